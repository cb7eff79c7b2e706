"""Whose vote is whose: delegations are not transitive, and not for proposals that began before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, Spec, optional
from bpci_node.chain.roll import Roll
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.weight import NETWORK
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

MAX_DELEGATORS = 64


@dataclass(frozen=True, slots=True)
class Delegation:
    """Body of ``governance.delegate``."""

    to: Annotated[str | None, Spec(optional(ACCOUNT), "Who votes for the sender; null ends it.")]


def delegate(state: Overlay, context: Context, body: Delegation) -> list[Event]:
    """Let another account vote for the sender, or no longer.

    Raises:
        RefusedError: as :func:`change_delegate`.
    """
    change_delegate(state, context, NETWORK, body.to)
    return [Event("governance.delegated", {"account": context.sender, "to": body.to or ""})]


def change_delegate(state: Overlay, context: Context, roll: Roll, to: str | None) -> None:
    """Write who votes for the sender on a roll; ``None``: nobody else does.

    Raises:
        RefusedError: to oneself (``governance.self``), to whom it is already (``governance.delegated``), or the other
            votes for too many (``governance.delegators``).
    """
    entry = roll.entry("delegation", context.sender)
    data = state.get(entry)
    former = None if data is None else load_record(data)["to"]
    if to == context.sender:
        raise RefusedError("nobody delegates to itself", code="governance.self")
    if to == former:
        raise RefusedError("so it is already", code="governance.delegated")
    if former is not None:
        others = [item for item in _delegators(state, roll, former) if item[0] != context.sender]
        _store_delegators(state, roll, former, others)
        state.delete(entry)
    if to is not None:
        others = _delegators(state, roll, to)
        if len(others) >= MAX_DELEGATORS:
            raise RefusedError(f"an account votes for at most {MAX_DELEGATORS} others", code="governance.delegators")
        _store_delegators(state, roll, to, [*others, (context.sender, context.height)])
        state.put(entry, save_record({"v": 1, "to": to}))


def delegators_of(state: View, roll: Roll, account: str, height: int) -> tuple[str, ...]:
    """Return for whom ``account`` votes on a roll by delegations of blocks up to ``height``."""
    return tuple(name for name, since in _delegators(state, roll, account) if since <= height)


def _delegators(state: View, roll: Roll, account: str) -> list[tuple[str, int]]:
    data = state.get(roll.entry("delegators", account))
    return [] if data is None else [(item[0], item[1]) for item in load_record(data)["accounts"]]


def _store_delegators(state: Overlay, roll: Roll, account: str, accounts: list[tuple[str, int]]) -> None:
    entry = roll.entry("delegators", account)
    if accounts:
        state.put(entry, save_record({"v": 1, "accounts": [list(item) for item in accounts]}))
    else:
        state.delete(entry)
