"""``registry.*_miner``: miners say who they are, how much they claim to compute, and for which pool.

The claim is the miner's word; nothing here checks it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT_FORM, PUBLIC_KEY, SIGNATURE, Empty, Spec, body_map, integer, optional, text
from bpci_node.chain.registration import ACTIVE, RETIRED
from bpci_node.chain.state import Overlay, State, View
from bpci_node.errors import FormatError, RefusedError
from bpci_node.primitives.keys import Signer, require_public_key, sign_object, verify_object
from bpci_node.primitives.record import load_record, save_record

MINER_CONTEXT = "bpci 2026 miner key v1"
POOL_FORM = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
POOL = text(POOL_FORM, "1 to 32 characters `a-z 0-9 -`")
HASH_POWER = integer(0, 10**18)


@dataclass(frozen=True, slots=True)
class MinerRegistration:
    """Body of ``registry.register_miner``."""

    miner_key: Annotated[bytes, Spec(PUBLIC_KEY, "The Ed25519 key with which the miner signs its shares.")]
    proof: Annotated[
        bytes,
        Spec(
            SIGNATURE,
            "That key's signature of `{v: 1, ledger_id, account, miner_key}` under `bpci 2026 miner key v1`.",
        ),
    ]
    hash_power: Annotated[int, Spec(HASH_POWER, "What it claims to compute, hashes per second.")]
    pool: Annotated[str | None, Spec(optional(POOL), "The pool that it works for; null: none.")]

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return body_map(self)


@dataclass(frozen=True, slots=True)
class MinerChange:
    """Body of ``registry.update_miner``."""

    hash_power: Annotated[int, Spec(HASH_POWER, "What it claims to compute, hashes per second.")]
    pool: Annotated[str | None, Spec(optional(POOL), "The pool that it works for; null: none.")]


@dataclass(frozen=True, slots=True)
class MinerRecord:
    """A miner as the state holds it."""

    account: str
    """Its account id."""
    miner_key: bytes
    """Ed25519, 32 bytes."""
    hash_power: int
    """What it claims to compute, hashes per second."""
    pool: str | None
    """The pool that it works for."""
    status: str
    """``active`` or ``retired``."""
    registered_height: int
    """Height of the block that registered it."""
    updated_height: int
    """Height of the block that changed it last."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "account": self.account,
            "miner_key": self.miner_key,
            "hash_power": self.hash_power,
            "pool": self.pool,
            "status": self.status,
            "registered_height": self.registered_height,
            "updated_height": self.updated_height,
        }


def check_miner(body: MinerRegistration) -> None:
    """Check that the key is one.

    Raises:
        FormatError: it is not (``format.key``).
    """
    require_public_key(body.miner_key)


def prove_miner(signer: Signer, *, ledger_id: str, account: str) -> bytes:
    """Return the proof, 64 bytes, that lets ``account`` register the miner key of ``signer``."""
    return sign_object(signer, MINER_CONTEXT, _statement(ledger_id, account, signer.public_key))


def register_miner(state: Overlay, context: Context, body: MinerRegistration) -> list[Event]:
    """Register the miner of the sender; one that has retired may come back.

    Raises:
        RefusedError: the account has an active miner (``registry.miner_duplicate``), or the key served another account
            (``registry.miner_key``).
        ProofError: the key's holder did not agree (``proof.signature``).
    """
    earlier = load_miner(state, context.sender)
    if earlier is not None and earlier.status == ACTIVE:
        raise RefusedError("this account has an active miner", code="registry.miner_duplicate")
    entry = b"miner-key/" + body.miner_key
    served = state.get(entry)
    if served is not None and load_record(served)["account"] != context.sender:
        raise RefusedError("this key served another miner", code="registry.miner_key", hint="Make a new key.")
    statement = _statement(context.ledger_id, context.sender, body.miner_key)
    verify_object(body.miner_key, MINER_CONTEXT, statement, body.proof)
    state.put(entry, save_record({"v": 1, "account": context.sender}))
    record = MinerRecord(
        context.sender, body.miner_key, body.hash_power, body.pool, ACTIVE, context.height, context.height
    )
    _store(state, record)
    return [_event("registry.miner_registered", record)]


def update_miner(state: Overlay, context: Context, body: MinerChange) -> list[Event]:
    """State claim and pool of the sender's miner anew.

    Raises:
        RefusedError: the account has no active miner (``registry.miner_unknown``).
    """
    record = replace(
        _active(state, context.sender), hash_power=body.hash_power, pool=body.pool, updated_height=context.height
    )
    _store(state, record)
    return [_event("registry.miner_updated", record)]


def retire_miner(state: Overlay, context: Context, _body: Empty) -> list[Event]:
    """Retire the sender's miner.

    Raises:
        RefusedError: the account has no active miner (``registry.miner_unknown``).
    """
    record = replace(_active(state, context.sender), status=RETIRED, updated_height=context.height)
    _store(state, record)
    return [_event("registry.miner_retired", record)]


def load_miner(state: View, account: str) -> MinerRecord | None:
    """Return the miner of ``account``, ``None`` if it never registered one."""
    data = state.get(_entry(account))
    if data is None:
        return None
    stored = load_record(data)
    del stored["v"]
    return MinerRecord(**stored)


def list_miners(state: State, *, pool: str | None = None, after: str = "", limit: int = 100) -> list[MinerRecord]:
    """Return miners in order of their account ids; of a pool, its active ones.

    Args:
        after: only accounts greater than this one.
        limit: most miners returned.
    Raises:
        FormatError: no name of a pool (``format.pool``), or ``after`` is no account id (``format.account``).
    """
    if pool is not None and POOL_FORM.fullmatch(pool) is None:
        raise FormatError("a pool's name is 1 to 32 characters a-z 0-9 -", code="format.pool")
    if after and ACCOUNT_FORM.fullmatch(after) is None:
        raise FormatError("a page begins after an account id", code="format.account")
    prefix = _entry("") if pool is None else _pool_entry(pool, "")
    found: list[MinerRecord] = []
    for entry, _ in state.entries(prefix, after=prefix + after.encode("ascii") if after else b""):
        record = load_miner(state, entry.removeprefix(prefix).decode("ascii"))
        if record is not None:
            found.append(record)
        if len(found) >= limit:
            break
    return found


def _active(state: View, account: str) -> MinerRecord:
    record = load_miner(state, account)
    if record is None or record.status != ACTIVE:
        raise RefusedError("this account has no active miner", code="registry.miner_unknown")
    return record


def _store(state: Overlay, record: MinerRecord) -> None:
    earlier = load_miner(state, record.account)
    if earlier is not None and earlier.pool is not None:
        state.delete(_pool_entry(earlier.pool, record.account))
    if record.pool is not None and record.status == ACTIVE:
        state.put(_pool_entry(record.pool, record.account), b"")
    state.put(_entry(record.account), save_record(record.as_map()))


def _statement(ledger_id: str, account: str, miner_key: bytes) -> dict[str, Any]:
    return {"v": 1, "ledger_id": ledger_id, "account": account, "miner_key": miner_key}


def _event(kind: str, record: MinerRecord) -> Event:
    return Event(kind, {"account": record.account, "hash_power": record.hash_power})


def _entry(account: str) -> bytes:
    return b"miner/" + account.encode("ascii")


def _pool_entry(pool: str, account: str) -> bytes:
    return f"miner-pool/{pool}/{account}".encode("ascii")
