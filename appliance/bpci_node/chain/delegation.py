"""``governance.delegate``: whose weight votes with whom. Not transitive, and not for proposals that began before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, Spec, optional
from bpci_node.chain.state import Overlay, View
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
        RefusedError: to oneself (``governance.self``), to whom it is already (``governance.delegated``), or the other
            votes for too many (``governance.delegators``).
    """
    data = state.get(_entry(context.sender))
    former = None if data is None else load_record(data)["to"]
    if body.to == context.sender:
        raise RefusedError("nobody delegates to itself", code="governance.self")
    if body.to == former:
        raise RefusedError("so it is already", code="governance.delegated")
    if former is not None:
        _store_delegators(state, former, [item for item in _delegators(state, former) if item[0] != context.sender])
        state.delete(_entry(context.sender))
    if body.to is not None:
        others = _delegators(state, body.to)
        if len(others) >= MAX_DELEGATORS:
            raise RefusedError(f"an account votes for at most {MAX_DELEGATORS} others", code="governance.delegators")
        _store_delegators(state, body.to, [*others, (context.sender, context.height)])
        state.put(_entry(context.sender), save_record({"v": 1, "to": body.to}))
    return [Event("governance.delegated", {"account": context.sender, "to": body.to or ""})]


def delegators_of(state: View, account: str, height: int) -> tuple[str, ...]:
    """Return for whom ``account`` votes by delegations of blocks up to ``height``."""
    return tuple(name for name, since in _delegators(state, account) if since <= height)


def _delegators(state: View, account: str) -> list[tuple[str, int]]:
    data = state.get(_list_entry(account))
    return [] if data is None else [(item[0], item[1]) for item in load_record(data)["accounts"]]


def _store_delegators(state: Overlay, account: str, accounts: list[tuple[str, int]]) -> None:
    if accounts:
        state.put(_list_entry(account), save_record({"v": 1, "accounts": [list(item) for item in accounts]}))
    else:
        state.delete(_list_entry(account))


def _entry(account: str) -> bytes:
    return f"delegation/{account}".encode("ascii")


def _list_entry(account: str) -> bytes:
    return f"delegators/{account}".encode("ascii")
