"""From a window's commits and its selection to the outcomes: what each commit comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from bpci_node.auction.outcome import Kind, Outcome
from bpci_node.auction.reveal import payment_of
from bpci_node.auction.window_selection import WindowSelection
from bpci_node.chain.target_terms import TargetTerms


class Stake(NamedTuple):
    """A commit whose bond a window decides about."""

    commit_id: bytes
    """32 bytes."""
    account: str
    tier: int


def outcomes_of(
    stakes: Iterable[Stake], selection: WindowSelection, terms: TargetTerms, forfeit: Callable[[Stake], int]
) -> tuple[Outcome, ...]:
    """Return the outcome of every commit that a window decides about.

    Args:
        stakes: of the entries that were carried in, then of the commits of the window, each in the order of arrival.
        forfeit: what a commit that nobody revealed loses of its bond, smallest unit of the terms' asset.
    """
    won = {item.commit_id: payment_of(item.entry, terms) for item in selection.winners if item.commit_id is not None}
    if selection.parcel is not None:
        won[selection.parcel.commit.commit_id] = selection.parcel.payment
    kinds: dict[bytes | None, Kind] = dict.fromkeys((item.commit_id for item in selection.lost), Kind.LOST)
    kinds |= dict.fromkeys((item.commit.commit_id for item in selection.lost_parcels), Kind.LOST)
    kinds |= dict.fromkeys((item.commit_id for item in selection.carried), Kind.CARRIED)
    outcomes = []
    for stake in stakes:
        commit_id = stake.commit_id
        if commit_id in won:
            kind, amount = Kind.WON, won[commit_id]
        elif commit_id in kinds:
            kind, amount = kinds[commit_id], 0
        else:
            kind, amount = Kind.UNREVEALED, forfeit(stake)
        outcomes.append(Outcome(commit_id, stake.account, stake.tier, kind, amount))
    return tuple(outcomes)
