"""``escrow.*``: what an owner has put into a holder's hands, so that the holder can reserve bonds from it.

A holder (an auction's coordinator, say) promises on the strength of an escrow before a block confirms it. Therefore an
owner announces what it withdraws, and what was announced can still be reserved until it has left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.assets import credit, debit, find_asset
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, AMOUNT, ASSET, Spec
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record


@dataclass(frozen=True, slots=True)
class EscrowAmount:
    """Body of ``escrow.deposit`` and ``escrow.announce``."""

    holder: Annotated[str, Spec(ACCOUNT, "Who may reserve from it.")]
    asset: Annotated[str, Spec(ASSET, "What it holds.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]


@dataclass(frozen=True, slots=True)
class EscrowName:
    """Body of ``escrow.withdraw``."""

    holder: Annotated[str, Spec(ACCOUNT, "The holder of the escrow.")]
    asset: Annotated[str, Spec(ASSET, "What it holds.")]


@dataclass(frozen=True, slots=True)
class EscrowRecord:
    """One owner's escrow with one holder, of one asset."""

    amount: int
    """What is there and not reserved, smallest unit."""
    leaving: int = 0
    """How much of it was announced to leave; 0: nothing."""
    leaves_ms: int = 0
    """Block time from which that may leave, Unix milliseconds."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {"v": 1, "amount": self.amount, "leaving": self.leaving, "leaves_ms": self.leaves_ms}


def load_escrow(state: View, owner: str, holder: str, asset: str) -> EscrowRecord:
    """Return an escrow, which may hold nothing."""
    data = state.get(_entry(owner, holder, asset))
    if data is None:
        return EscrowRecord(0)
    stored = load_record(data)
    return EscrowRecord(stored["amount"], stored["leaving"], stored["leaves_ms"])


def add_to_escrow(state: Overlay, owner: str, holder: str, asset: str, amount: int) -> None:
    """Add ``amount``, which the caller has taken from somewhere, to an escrow."""
    record = load_escrow(state, owner, holder, asset)
    _store(state, owner, holder, asset, replace(record, amount=record.amount + amount))


def take_from_escrow(state: Overlay, owner: str, holder: str, asset: str, amount: int) -> None:
    """Take ``amount`` out of an escrow; what was announced to leave is used last.

    Raises:
        RefusedError: it holds less (``escrow.amount``).
    """
    record = load_escrow(state, owner, holder, asset)
    if record.amount < amount:
        raise RefusedError(
            f"the escrow holds {record.amount} of {asset}, and {amount} is wanted",
            code="escrow.amount",
            held=str(record.amount),
        )
    left = record.amount - amount
    _store(state, owner, holder, asset, replace(record, amount=left, leaving=min(record.leaving, left)))


def deposit(state: Overlay, context: Context, body: EscrowAmount) -> list[Event]:
    """Put an amount of the sender's into an escrow.

    Raises:
        RefusedError: ``asset.unknown``, ``asset.balance``.
    """
    find_asset(state, body.asset)
    debit(state, context.sender, body.asset, body.amount)
    add_to_escrow(state, context.sender, body.holder, body.asset, body.amount)
    return [_event("escrow.deposited", context.sender, body.holder, body.asset, body.amount)]


def announce(state: Overlay, context: Context, body: EscrowAmount) -> list[Event]:
    """Announce that an amount leaves; a new announcement takes the place of an earlier one.

    Raises:
        RefusedError: the escrow holds less (``escrow.amount``).
    """
    record = load_escrow(state, context.sender, body.holder, body.asset)
    if record.amount < body.amount:
        raise RefusedError(
            f"the escrow holds {record.amount} of {body.asset}", code="escrow.amount", held=str(record.amount)
        )
    leaves_ms = context.time_ms + load_parameter(state, "escrow_notice_ms")
    leaving = replace(record, leaving=body.amount, leaves_ms=leaves_ms)
    _store(state, context.sender, body.holder, body.asset, leaving)
    return [_event("escrow.announced", context.sender, body.holder, body.asset, body.amount)]


def withdraw(state: Overlay, context: Context, body: EscrowName) -> list[Event]:
    """Take what was announced, as far as it was not reserved meanwhile.

    Raises:
        RefusedError: nothing was announced, or all of it was reserved (``escrow.nothing``), or the notice has not
            passed (``escrow.notice``).
    """
    record = load_escrow(state, context.sender, body.holder, body.asset)
    if record.leaving == 0:
        raise RefusedError(
            "nothing was announced to leave this escrow, or all of it was reserved",
            code="escrow.nothing",
            hint="Announce it first.",
        )
    if context.time_ms < record.leaves_ms:
        raise RefusedError("the notice has not passed yet", code="escrow.notice", leaves_ms=record.leaves_ms)
    _store(state, context.sender, body.holder, body.asset, EscrowRecord(record.amount - record.leaving))
    credit(state, context.sender, body.asset, record.leaving)
    return [_event("escrow.withdrawn", context.sender, body.holder, body.asset, record.leaving)]


def _store(state: Overlay, owner: str, holder: str, asset: str, record: EscrowRecord) -> None:
    if record.amount == 0:
        state.delete(_entry(owner, holder, asset))
        return
    if record.leaving == 0:
        record = EscrowRecord(record.amount)
    state.put(_entry(owner, holder, asset), save_record(record.as_map()))


def _entry(owner: str, holder: str, asset: str) -> bytes:
    return f"escrow/{owner}/{holder}/{asset}".encode("ascii")


def _event(kind: str, owner: str, holder: str, asset: str, amount: int) -> Event:
    return Event(kind, {"owner": owner, "holder": holder, "asset": asset, "amount": amount})
