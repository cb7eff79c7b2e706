"""``validator.*``: nodes that validate: their keys, commission, and whether they may.

A validator has a BLS12-381 key, an ML-DSA-44 key and a key for a VRF over edwards25519 (RFC 9381); whoever registers
them proves that he holds each. The VRF itself is not computed here. What a validator risks is its account's stake.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, DIGEST, PUBLIC_KEY, SIGNATURE, Empty, Spec, blob, body_map, integer
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.registry import own_node
from bpci_node.chain.stake import load_stake
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.suspension import require_registry
from bpci_node.errors import RefusedError
from bpci_node.primitives import bls, mldsa
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, require_public_key, verify_signature
from bpci_node.primitives.record import load_record, save_record

VALIDATOR_CONTEXT = "bpci 2026 validator keys v1"
MAX_ACTIVE = 200
"""Most validators that are active at one time."""
MAX_BPS = 10_000

ACTIVE, JAILED, EXITED = "active", "jailed", "exited"
ACTIVE_ENTRY = b"validators"

BPS = integer(0, MAX_BPS)


@dataclass(frozen=True, slots=True)
class SetUp:
    """Body of ``validator.set_up``."""

    bls_key: Annotated[bytes, Spec(blob(bls.KEY_BYTES), "BLS12-381 key in G1, compressed.")]
    bls_possession: Annotated[
        bytes, Spec(blob(bls.SIGNATURE_BYTES), "Its proof of possession (draft-irtf-cfrg-bls-signature-05, 3.3).")
    ]
    bls_sig: Annotated[bytes, Spec(blob(bls.SIGNATURE_BYTES), "Its signature of the statement of keys.")]
    vrf_key: Annotated[bytes, Spec(PUBLIC_KEY, "Key for ECVRF over edwards25519 (RFC 9381); its form is Ed25519's.")]
    vrf_sig: Annotated[bytes, Spec(SIGNATURE, "The VRF key's Ed25519 signature of the statement.")]
    ml_dsa_key: Annotated[bytes, Spec(blob(mldsa.KEY_BYTES), "ML-DSA-44 key.")]
    ml_dsa_sig: Annotated[bytes, Spec(blob(mldsa.SIGNATURE_BYTES), "Its signature of the statement.")]
    commission_bps: Annotated[int, Spec(BPS, "What it keeps of what it earns for others, basis points.")]

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return body_map(self)


@dataclass(frozen=True, slots=True)
class Commission:
    """Body of ``validator.set_commission``."""

    commission_bps: Annotated[int, Spec(BPS, "The new commission, basis points.")]


@dataclass(frozen=True, slots=True)
class JailOrder:
    """Body of ``validator.jail``."""

    validator: Annotated[str, Spec(ACCOUNT, "The validator's account.")]
    cause: Annotated[bytes, Spec(DIGEST, "Digest of the statement of the cause.")]


@dataclass(frozen=True, slots=True)
class ValidatorRecord:
    """A validator as the state holds it."""

    account: str
    """Its account id."""
    bls_key: bytes
    """BLS12-381 key, 48 bytes."""
    vrf_key: bytes
    """Key for the VRF, 32 bytes."""
    ml_dsa_key: bytes
    """ML-DSA-44 key, 1,312 bytes."""
    commission_bps: int
    """Basis points."""
    commission_height: int
    """Height of the block that set the commission."""
    status: str
    """``active``, ``jailed`` or ``exited``."""
    jailed_until: int
    """After this height a jailed one may come back; 0: it was never jailed."""
    slashed: int
    """What it has lost so far, smallest units of BPI."""
    since_height: int
    """Height of the block that set it up."""
    updated_height: int
    """Height of the block that changed it last."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "account": self.account,
            "bls_key": self.bls_key,
            "vrf_key": self.vrf_key,
            "ml_dsa_key": self.ml_dsa_key,
            "commission_bps": self.commission_bps,
            "commission_height": self.commission_height,
            "status": self.status,
            "jailed_until": self.jailed_until,
            "slashed": self.slashed,
            "since_height": self.since_height,
            "updated_height": self.updated_height,
        }


def key_statement(*, ledger_id: str, account: str, bls_key: bytes, vrf_key: bytes, ml_dsa_key: bytes) -> bytes:
    """Return what each of a validator's keys signs to show that its holder wants it to serve ``account``, 32 bytes."""
    keys = {"bls_key": bls_key, "vrf_key": vrf_key, "ml_dsa_key": ml_dsa_key}
    return derive(VALIDATOR_CONTEXT, encode({"v": 1, "ledger_id": ledger_id, "account": account} | keys))


def prove_keys(
    bls_signer: bls.BlsSigner,
    vrf_signer: Signer,
    ml_dsa_signer: mldsa.MlDsaSigner,
    *,
    ledger_id: str,
    account: str,
    commission_bps: int,
) -> SetUp:
    """Return the body with which ``account`` sets up a validator with these keys."""
    bls_key, vrf_key, ml_dsa_key = bls_signer.public_key, vrf_signer.public_key, ml_dsa_signer.public_key
    statement = key_statement(
        ledger_id=ledger_id, account=account, bls_key=bls_key, vrf_key=vrf_key, ml_dsa_key=ml_dsa_key
    )
    return SetUp(
        bls_key=bls_key,
        bls_possession=bls_signer.prove_possession(),
        bls_sig=bls_signer.sign(statement),
        vrf_key=vrf_key,
        vrf_sig=vrf_signer.sign(statement),
        ml_dsa_key=ml_dsa_key,
        ml_dsa_sig=ml_dsa_signer.sign(statement),
        commission_bps=commission_bps,
    )


def check_set_up(body: SetUp) -> None:
    """Check that the key for the VRF has the form of one.

    Raises:
        FormatError: it has not (``format.key``).
    """
    require_public_key(body.vrf_key)


def load_validator(state: View, account: str) -> ValidatorRecord | None:
    """Return the validator of ``account``, ``None`` if it never was one."""
    data = state.get(validator_entry(account))
    if data is None:
        return None
    stored = load_record(data)
    del stored["v"]
    return ValidatorRecord(**stored)


def store_validator(state: Overlay, record: ValidatorRecord) -> None:
    """Write ``record``, and its place among the active ones."""
    active = set(load_active(state))
    changed = active | {record.account} if record.status == ACTIVE else active - {record.account}
    if changed != active:
        state.put(ACTIVE_ENTRY, save_record({"v": 1, "accounts": sorted(changed)}))
        if record.status == ACTIVE:
            state.put(active_entry(record.account), b"")
        else:
            state.delete(active_entry(record.account))
    state.put(validator_entry(record.account), save_record(record.as_map()))


def load_active(state: View) -> tuple[str, ...]:
    """Return the accounts of the active validators, ascending, whatever they have at stake."""
    data = state.get(ACTIVE_ENTRY)
    return () if data is None else tuple(load_record(data)["accounts"])


def set_up(state: Overlay, context: Context, body: SetUp) -> list[Event]:
    """Set up the validator of the sender's node; one that has exited may come back, with the same keys or others.

    Raises:
        RefusedError: as :func:`own_node`; the node's registration does not say that it validates
            (``validator.flag``), set up already (``validator.duplicate``), still barred (``validator.jailed``), a BLS
            key of another account (``validator.key``), less at stake than the least (``validator.stake``), or too many
            validators (``validator.full``).
        ProofError: a key's holder did not agree (``proof.bls``, ``proof.signature``).
        FormatError: no usable BLS key (``format.bls_key``).
    """
    node = own_node(state, context)
    if not node.flags["validator"]:
        raise RefusedError(
            "this node is not registered as a validator",
            code="validator.flag",
            hint="Send registry.update_node with the flag first.",
        )
    earlier = load_validator(state, context.sender)
    if earlier is not None and earlier.status != EXITED:
        raise RefusedError("this account is a validator already", code="validator.duplicate")
    if earlier is not None and context.height <= earlier.jailed_until:
        raise _jailed(earlier)
    served = state.get(_key_entry(body.bls_key))
    if served is not None and load_record(served)["account"] != context.sender:
        raise RefusedError("this BLS key served another account", code="validator.key", hint="Make a new key.")
    _require_room(state, context.sender)
    verify_keys(body, ledger_id=context.ledger_id, account=context.sender)
    state.put(_key_entry(body.bls_key), save_record({"v": 1, "account": context.sender}))
    record = ValidatorRecord(
        account=context.sender,
        bls_key=body.bls_key,
        vrf_key=body.vrf_key,
        ml_dsa_key=body.ml_dsa_key,
        commission_bps=body.commission_bps,
        commission_height=context.height,
        status=ACTIVE,
        jailed_until=0 if earlier is None else earlier.jailed_until,
        slashed=0 if earlier is None else earlier.slashed,
        since_height=context.height,
        updated_height=context.height,
    )
    store_validator(state, record)
    return [Event("validator.joined", {"account": context.sender, "bls_key": body.bls_key})]


def verify_keys(body: SetUp, *, ledger_id: str, account: str) -> None:
    """Check that the holders of all keys agreed.

    Raises:
        ProofError: one did not (``proof.bls``, ``proof.signature``).
        FormatError: no usable BLS key (``format.bls_key``).
    """
    statement = key_statement(
        ledger_id=ledger_id,
        account=account,
        bls_key=body.bls_key,
        vrf_key=body.vrf_key,
        ml_dsa_key=body.ml_dsa_key,
    )
    verify_signature(body.vrf_key, statement, body.vrf_sig)
    mldsa.verify_ml_dsa(body.ml_dsa_key, statement, body.ml_dsa_sig)
    bls.verify_bls(body.bls_key, statement, body.bls_sig)
    bls.verify_possession(body.bls_key, body.bls_possession)


def set_commission(state: Overlay, context: Context, body: Commission) -> list[Event]:
    """Change the sender's commission.

    Raises:
        RefusedError: not a validator (``validator.unknown``), exited (``validator.exited``), too soon after the last
            change (``validator.commission_rate``), or too far from it (``validator.commission_step``).
    """
    record = _present(state, context.sender)
    next_height = record.commission_height + load_parameter(state, "commission_period")
    if context.height < next_height:
        raise RefusedError(
            f"the commission may change again at height {next_height}",
            code="validator.commission_rate",
            height=next_height,
        )
    step = load_parameter(state, "commission_step_bps")
    if abs(body.commission_bps - record.commission_bps) > step:
        raise RefusedError(
            f"the commission changes by at most {step} basis points at once",
            code="validator.commission_step",
            step=step,
        )
    changed = replace(
        record,
        commission_bps=body.commission_bps,
        commission_height=context.height,
        updated_height=context.height,
    )
    store_validator(state, changed)
    fields: dict[str, str | int | bytes] = {"account": context.sender, "commission_bps": body.commission_bps}
    return [Event("validator.commission_set", fields)]


def jail(state: Overlay, context: Context, body: JailOrder) -> list[Event]:
    """Take a validator out of the set for ``jail_blocks``.

    Raises:
        AccessError: neither the registry nor a quorum signed it (``access.quorum``).
        RefusedError: not a validator (``validator.unknown``), or exited (``validator.exited``).
    """
    require_registry(state, context)
    record = _present(state, body.validator)
    changed = jailed(state, record, context.height)
    store_validator(state, changed)
    fields: dict[str, str | int | bytes] = {
        "account": body.validator,
        "cause": body.cause,
        "until_height": changed.jailed_until,
    }
    return [Event("validator.jailed", fields)]


def unjail(state: Overlay, context: Context, _body: Empty) -> list[Event]:
    """Bring the sender's validator back into the set.

    Raises:
        RefusedError: as :func:`own_node`; not a validator (``validator.unknown``), exited (``validator.exited``), not
            jailed (``validator.not_jailed``), too early (``validator.jailed``), less at stake than the least
            (``validator.stake``), or too many validators (``validator.full``).
    """
    own_node(state, context)
    record = _present(state, context.sender)
    if record.status != JAILED:
        raise RefusedError("this validator is not jailed", code="validator.not_jailed")
    if context.height <= record.jailed_until:
        raise _jailed(record)
    _require_room(state, context.sender)
    store_validator(state, replace(record, status=ACTIVE, updated_height=context.height))
    return [Event("validator.unjailed", {"account": context.sender})]


def leave(state: Overlay, context: Context, _body: Empty) -> list[Event]:
    """Let the sender's validator leave the set; ``stake.withdraw`` then frees its stake, which stays liable until.

    Raises:
        RefusedError: not a validator (``validator.unknown``), or exited (``validator.exited``).
    """
    record = _present(state, context.sender)
    store_validator(state, replace(record, status=EXITED, updated_height=context.height))
    return [Event("validator.left", {"account": context.sender})]


def jailed(state: View, record: ValidatorRecord, height: int) -> ValidatorRecord:
    """Return ``record`` jailed from block ``height`` on; one that has exited stays out."""
    until = max(record.jailed_until, height + load_parameter(state, "jail_blocks"))
    status = EXITED if record.status == EXITED else JAILED
    return replace(record, status=status, jailed_until=until, updated_height=height)


def _present(state: View, account: str) -> ValidatorRecord:
    record = load_validator(state, account)
    if record is None:
        raise RefusedError("this account is no validator", code="validator.unknown")
    if record.status == EXITED:
        raise RefusedError("this validator has left", code="validator.exited", hint="Set it up again.")
    return record


def _require_room(state: View, account: str) -> None:
    least, bonded = load_parameter(state, "validator_min_stake"), load_stake(state, account).bonded
    if bonded < least:
        raise RefusedError(
            f"a validator has at least {least} at stake; this one has {bonded}",
            code="validator.stake",
            hint="Send stake.deposit first.",
            least=str(least),
        )
    if len(load_active(state)) >= MAX_ACTIVE:
        raise RefusedError(f"there are {MAX_ACTIVE} active validators", code="validator.full")


def _jailed(record: ValidatorRecord) -> RefusedError:
    return RefusedError(
        f"this validator is jailed up to height {record.jailed_until}",
        code="validator.jailed",
        until_height=record.jailed_until,
    )


def validator_entry(account: str) -> bytes:
    """Return the state key of a validator's record."""
    return b"validator/" + account.encode("ascii")


def active_entry(account: str) -> bytes:
    """Return the state key that lists an active validator; its value is empty."""
    return b"validator-active/" + account.encode("ascii")


def _key_entry(bls_key: bytes) -> bytes:
    return b"bls-key/" + bls_key
