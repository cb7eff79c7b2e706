"""``validator.report_*``: evidence that a validator contradicted itself, which anyone may bring, and what it costs.

Evidence is two things that one key signed and that can't both be meant: two blocks of one height on one parent, or two
bundles of one sequence. Each contradiction costs once: a part of all that the validator has at stake, what unbonds
included, goes to the treasury, and the validator is jailed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from bpci_node.auction.bundle import SIGNATURE_CONTEXT, Bundle
from bpci_node.chain.account import load_key_use
from bpci_node.chain.assets import credit
from bpci_node.chain.block import MAX_BLOCK_BYTES, decode_signed_block, verify_block
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import Spec, blob_up_to
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.stake import StakeRecord, load_stake, store_stake
from bpci_node.chain.state import Overlay
from bpci_node.chain.validators import MAX_BPS, jailed, load_validator, store_validator
from bpci_node.chain.wallets import TREASURY, WALLETS
from bpci_node.errors import RefusedError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import verify_object
from bpci_node.primitives.record import save_record

OFFENCE_CONTEXT = "bpci 2026 offence v1"
MAX_BUNDLE_EVIDENCE = 6_400
"""Longest bundle that evidence holds: two of them, and the signatures, fit into a command."""


@dataclass(frozen=True, slots=True)
class DoubleBlock:
    """Body of ``validator.report_blocks``."""

    first: Annotated[bytes, Spec(blob_up_to(MAX_BLOCK_BYTES), "A signed block.")]
    second: Annotated[
        bytes, Spec(blob_up_to(MAX_BLOCK_BYTES), "Another one, by the same proposer, of the same height and parent.")
    ]


@dataclass(frozen=True, slots=True)
class DoubleSeal:
    """Body of ``validator.report_bundles``."""

    first: Annotated[bytes, Spec(blob_up_to(MAX_BUNDLE_EVIDENCE), "A bundle.")]
    second: Annotated[
        bytes,
        Spec(blob_up_to(MAX_BUNDLE_EVIDENCE), "Another one, by the same signer, of the same target and sequence."),
    ]


def report_blocks(state: Overlay, context: Context, body: DoubleBlock) -> list[Event]:
    """Slash a validator that signed two blocks of one height.

    That both name one parent shows that they are of one chain; whether it is this ledger's, the parent's digest says.

    Raises:
        FormatError: not two signed blocks (``format.block``).
        ProofError: a signature does not hold (``proof.signature``).
        RefusedError: no contradiction (``validator.evidence``), the signer is no validator (``validator.unknown``), or
            this was punished already (``validator.punished``).
    """
    first, second = decode_signed_block(body.first), decode_signed_block(body.second)
    one, other = first.block, second.block
    same = (one.proposer, one.height, one.parent) == (other.proposer, other.height, other.parent)
    if not same or one.digest == other.digest:
        raise _no_contradiction("blocks of one proposer, height and parent")
    verify_block(first)
    verify_block(second)
    return _punish(state, context, one.proposer, ["block", one.height, one.parent])


def report_bundles(state: Overlay, context: Context, body: DoubleSeal) -> list[Event]:
    """Slash a validator that sealed two bundles of one sequence.

    Raises:
        FormatError: not two bundles (``bundle.format``).
        ProofError: a signature does not hold (``proof.signature``).
        RefusedError: no contradiction (``validator.evidence``), of another ledger (``chain.ledger``), the signer is no
            validator (``validator.unknown``), or this was punished already (``validator.punished``).
    """
    first, second = Bundle.decode(body.first), Bundle.decode(body.second)
    one, other = first.header, second.header
    same = (first.signer, one.ledger_id, one.target, one.sequence) == (
        second.signer,
        other.ledger_id,
        other.target,
        other.sequence,
    )
    if not same or one.digest() == other.digest():
        raise _no_contradiction("bundles of one signer, target and sequence")
    if one.ledger_id != context.ledger_id:
        raise RefusedError("the bundles are of another ledger", code="chain.ledger")
    for bundle in (first, second):
        verify_object(bundle.signer, SIGNATURE_CONTEXT, bundle.signed_map(), bundle.signature)
    return _punish(state, context, first.signer, ["bundle", one.target, one.sequence])


def take_stake(state: Overlay, account: str, bps: int) -> int:
    """Take a part of all that an account has at stake for the treasury, and return it, smallest units of BPI."""
    record = load_stake(state, account)
    whole = record.bonded + sum(amount for amount, _ in record.unbonding)
    return take_from_stake(state, account, whole * bps // MAX_BPS, WALLETS[TREASURY])


def take_from_stake(state: Overlay, account: str, amount: int, to: str) -> int:
    """Move at most ``amount`` of what an account has at stake to the account ``to``, and return how much it was.

    What is bonded goes first, then withdrawals under way, the latest first.
    """
    record = load_stake(state, account)
    taken = min(amount, record.bonded + sum(waiting for waiting, _ in record.unbonding))
    bonded = max(record.bonded - taken, 0)
    owed = taken - (record.bonded - bonded)
    kept: list[tuple[int, int]] = []
    for waiting, free_ms in reversed(record.unbonding):
        part = min(owed, waiting)
        owed -= part
        if waiting > part:
            kept.append((waiting - part, free_ms))
    if taken:
        store_stake(state, account, StakeRecord(bonded, tuple(reversed(kept))))
        credit(state, to, NATIVE, taken)
    return taken


def _punish(state: Overlay, context: Context, key: bytes, offence: list[str | int | bytes]) -> list[Event]:
    use = load_key_use(state, key)
    if use is None:
        raise _no_validator()
    return punish(state, context, use.account, offence)


def punish(state: Overlay, context: Context, account: str, offence: list[str | int | bytes]) -> list[Event]:
    """Slash and jail a validator for a contradiction that was proved, once.

    Args:
        offence: what it was; with the account it names the contradiction.
    Raises:
        RefusedError: no validator (``validator.unknown``), or punished already (``validator.punished``).
    """
    record = load_validator(state, account)
    if record is None:
        raise _no_validator()
    digest = derive(OFFENCE_CONTEXT, encode([record.account, *offence]))
    entry = b"offence/" + digest
    if state.get(entry) is not None:
        raise RefusedError("this was punished already", code="validator.punished")
    amount = take_stake(state, record.account, load_parameter(state, "slash_bps"))
    changed = jailed(state, record, context.height)
    store_validator(state, replace(changed, slashed=changed.slashed + amount))
    noted = {"v": 1, "account": record.account, "reporter": context.sender, "amount": amount, "height": context.height}
    state.put(entry, save_record(noted))
    fields: dict[str, str | int | bytes] = {
        "account": record.account,
        "reporter": context.sender,
        "amount": amount,
        "offence": digest,
    }
    return [
        Event("validator.slashed", fields),
        Event("validator.jailed", {"account": record.account, "cause": digest, "until_height": changed.jailed_until}),
    ]


def _no_contradiction(what: str) -> RefusedError:
    return RefusedError(f"these are not two different {what}", code="validator.evidence")


def _no_validator() -> RefusedError:
    return RefusedError("the signer is no validator of this ledger", code="validator.unknown")
