"""``stake.*``: BPI that an account puts at risk. What is withdrawn stays liable for the unbonding time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.assets import credit, debit
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import AMOUNT, Empty, Spec
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

MAX_UNBONDING = 16
"""Most withdrawals of one account that are under way."""


@dataclass(frozen=True, slots=True)
class StakeAmount:
    """Body of ``stake.deposit`` and ``stake.withdraw``."""

    amount: Annotated[int, Spec(AMOUNT, "How much, smallest units of BPI.")]


@dataclass(frozen=True, slots=True)
class StakeRecord:
    """What an account has at stake."""

    bonded: int
    """At stake until it is withdrawn, smallest units of BPI."""
    unbonding: tuple[tuple[int, int], ...]
    """Withdrawals under way, oldest first: amount, and the block time in Unix milliseconds from which it is free."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        waiting = [{"amount": amount, "free_ms": free_ms} for amount, free_ms in self.unbonding]
        return {"v": 1, "bonded": self.bonded, "unbonding": waiting}


def load_stake(state: View, account: str) -> StakeRecord:
    """Return what ``account`` has at stake, which may be nothing."""
    data = state.get(stake_entry(account))
    if data is None:
        return StakeRecord(0, ())
    stored = load_record(data)
    return StakeRecord(stored["bonded"], tuple((item["amount"], item["free_ms"]) for item in stored["unbonding"]))


def deposit(state: Overlay, context: Context, body: StakeAmount) -> list[Event]:
    """Put BPI of the sender at stake.

    Raises:
        RefusedError: it has less (``asset.balance``).
    """
    record = load_stake(state, context.sender)
    debit(state, context.sender, NATIVE, body.amount)
    store_stake(state, context.sender, StakeRecord(record.bonded + body.amount, record.unbonding))
    return [_event("stake.deposited", context.sender, body.amount)]


def withdraw(state: Overlay, context: Context, body: StakeAmount) -> list[Event]:
    """Begin to withdraw; the amount is free after the unbonding time in force now.

    Raises:
        RefusedError: less is at stake (``stake.amount``), or too many withdrawals are under way (``stake.unbonding``).
    """
    record = load_stake(state, context.sender)
    if record.bonded < body.amount:
        raise RefusedError(f"the account has {record.bonded} at stake", code="stake.amount", held=str(record.bonded))
    if len(record.unbonding) >= MAX_UNBONDING:
        raise RefusedError(
            f"{MAX_UNBONDING} withdrawals are under way", code="stake.unbonding", hint="Claim those that are free."
        )
    waiting = (body.amount, context.time_ms + load_parameter(state, "unbonding_ms"))
    store_stake(state, context.sender, StakeRecord(record.bonded - body.amount, (*record.unbonding, waiting)))
    return [_event("stake.withdrawn", context.sender, body.amount)]


def claim(state: Overlay, context: Context, _body: Empty) -> list[Event]:
    """Take every withdrawal that is free.

    Raises:
        RefusedError: none is (``stake.nothing``).
    """
    record = load_stake(state, context.sender)
    amount = sum(item for item, free_ms in record.unbonding if free_ms <= context.time_ms)
    if amount == 0:
        raise RefusedError("no withdrawal of this account is free yet", code="stake.nothing")
    kept = tuple(item for item in record.unbonding if item[1] > context.time_ms)
    store_stake(state, context.sender, StakeRecord(record.bonded, kept))
    credit(state, context.sender, NATIVE, amount)
    return [_event("stake.claimed", context.sender, amount)]


def store_stake(state: Overlay, account: str, record: StakeRecord) -> None:
    """Write what ``account`` has at stake."""
    if record.bonded or record.unbonding:
        state.put(stake_entry(account), save_record(record.as_map()))
    else:
        state.delete(stake_entry(account))


def stake_entry(account: str) -> bytes:
    """Return the state key of an account's stake."""
    return b"stake/" + account.encode("ascii")


def _event(kind: str, account: str, amount: int) -> Event:
    return Event(kind, {"account": account, "amount": amount})
