"""What partner chains have contributed, and what their owners may take: ``auction.claim``.

A partner takes its share itself: nobody's failing account holds up another's settlement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bpci_node.chain.assets import credit
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ASSET, Spec
from bpci_node.chain.shares import Partner
from bpci_node.chain.stake import load_stake
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.target_terms import PARTNER
from bpci_node.chain.targets import list_targets, party_of
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record


@dataclass(frozen=True, slots=True)
class Claim:
    """Body of ``auction.claim``."""

    asset: Annotated[str, Spec(ASSET, "What is taken.")]


def partners_of(state: View, asset: str, epoch: int) -> tuple[dict[str, Partner], dict[str, str]]:
    """Return the partner chains of an epoch, by their ids, and whose each of them is."""
    owners = {}
    for target in list_targets(state):
        kind, owner = party_of(state, target, epoch)
        if kind == PARTNER and owner is not None:
            owners[target] = owner
    found = {
        target: Partner(sum(_load(state, target, asset, epoch)), load_stake(state, owner).bonded)
        for target, owner in owners.items()
    }
    return found, owners


def note_contribution(state: Overlay, target: str, asset: str, epoch: int, amount: int) -> None:
    """Add to what a target's auctions of an epoch brought."""
    now, before = _load(state, target, asset, epoch)
    data = state.get(_contribution_entry(target, asset))
    epoch = epoch if data is None else max(epoch, load_record(data)["epoch"])
    record = {"v": 1, "epoch": epoch, "now": now + amount, "before": before}
    state.put(_contribution_entry(target, asset), save_record(record))


def due(state: View, account: str, asset: str) -> int:
    """Return what an account may take, smallest unit."""
    data = state.get(_due_entry(account, asset))
    return 0 if data is None else int(load_record(data)["amount"])


def add_due(state: Overlay, account: str, asset: str, amount: int) -> None:
    """Add to what an account may take; the caller has taken it from somewhere."""
    if amount:
        record = {"v": 1, "amount": due(state, account, asset) + amount}
        state.put(_due_entry(account, asset), save_record(record))


def claim(state: Overlay, context: Context, body: Claim) -> list[Event]:
    """Take what the sender's chains have earned of an asset.

    Raises:
        RefusedError: nothing (``auction.nothing``).
    """
    amount = due(state, context.sender, body.asset)
    if amount == 0:
        raise RefusedError(f"nothing of {body.asset} is due to this account", code="auction.nothing")
    state.delete(_due_entry(context.sender, body.asset))
    credit(state, context.sender, body.asset, amount)
    return [Event("auction.claimed", {"account": context.sender, "asset": body.asset, "amount": amount})]


def _load(state: View, target: str, asset: str, epoch: int) -> tuple[int, int]:
    """Return what a target brought in an epoch, and in the one before."""
    data = state.get(_contribution_entry(target, asset))
    if data is None:
        return 0, 0
    stored = load_record(data)
    if stored["epoch"] >= epoch:  # a late settlement counts with the latest
        return stored["now"], stored["before"]
    return 0, stored["now"] if stored["epoch"] == epoch - 1 else 0


def _contribution_entry(target: str, asset: str) -> bytes:
    return f"auction-contribution/{target}/{asset}".encode("ascii")


def _due_entry(account: str, asset: str) -> bytes:
    return f"auction-due/{account}/{asset}".encode("ascii")
