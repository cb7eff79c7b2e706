"""What the ledger says of one epoch of auctions, read from this node's own copy of its state."""

from __future__ import annotations

import threading

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.lines import Lines
from bpci_node.auction.offences import forfeit_of
from bpci_node.auction.outcome_list import Stake
from bpci_node.chain.account import load_account
from bpci_node.chain.committee import Committee
from bpci_node.chain.draw import committee_of
from bpci_node.chain.epochs import Epochs, load_epochs
from bpci_node.chain.forfeits import offences_before
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.state import State
from bpci_node.chain.targets import list_targets, terms_of
from bpci_node.errors import NotFoundError
from bpci_node.runtime.lookups import Lookups

_PAGE = 1_000
"""Reservations that are read at once."""


def frame_of(state: State, ledger_id: str, number: int) -> AuctionEpoch:
    """Return the frame of an epoch that is drawn.

    Raises:
        NotFoundError: it has no committee (``auction.no_committee``), or nothing is auctioned (``auction.target``).
    """
    epochs = load_epochs(state)
    terms = {}
    for target in list_targets(state):
        try:
            terms[target] = terms_of(state, target, number)
        except NotFoundError:
            continue
    if not terms:
        raise NotFoundError("nothing is auctioned in this epoch", code="auction.target")
    return AuctionEpoch(
        ledger_id=ledger_id,
        committee=committee_of(state, number),
        begins_us=epochs.begins_ms(number) * 1000,
        ends_us=epochs.begins_ms(number + 1) * 1000,
        terms=terms,
    )


def find_committee(state: State, number: int) -> Committee | None:
    """Return the committee of an epoch, ``None`` if it has none."""
    try:
        return committee_of(state, number)
    except NotFoundError:
        return None


def is_draw_known(epochs: Epochs, number: int, now_us: int) -> bool:
    """Say in an epoch whether the draw for the next one is over, and its last block has had time to come here."""
    closed_us = epochs.tickets_close_ms(number) * 1000
    return now_us >= closed_us + (epochs.begins_ms(number + 1) * 1000 - closed_us) // 2


def seats_ahead(state: State, account: str, now_us: int, *, ticket: int) -> set[int]:
    """Return in which of this epoch and the next one an account has a seat, or may come to have one.

    Args:
        now_us: ledger time.
        ticket: the last epoch for which it may have drawn, 0 for none: its ticket may be in a block that is not here.
    """
    epochs = load_epochs(state)
    number = epochs.number_at(now_us // 1000)
    committees = {epoch: find_committee(state, epoch) for epoch in (number, number + 1)}
    found = {epoch for epoch, item in committees.items() if item is not None and item.number_of(account) is not None}
    if ticket == number + 1 and not is_draw_known(epochs, number, now_us):
        found.add(ticket)
    return found


def keys_of(state: State, account: str) -> tuple[bytes, ...]:
    """Return the current Ed25519 keys of an account, none if there is no such account."""
    found = load_account(state, account)
    return () if found is None else tuple(key.public_key for key in found.keys)


class LedgerLines:
    """Brings the lines that the ledger reserves for an epoch to a book, each bond once."""

    def __init__(self, epoch: int, lookups: Lookups) -> None:
        self._epoch, self._lookups = epoch, lookups
        self._one = threading.Lock()
        self._after = (0, 0, 0)
        self._reserved: dict[tuple[str, str, int], int] = {}

    def reserved(self, target: str, owner: str, tier: int) -> int:
        """Return how many bonds of a line were brought so far."""
        return self._reserved.get((target, owner, tier), 0)

    def bring(self, lines: Lines) -> None:
        """Open what was reserved since the last time. Not for the event loop."""
        with self._one:
            while found := self._lookups.find_events("auction.reserved", after=self._after, limit=_PAGE):
                for event in found:
                    fields = event["fields"]
                    self._after = (event["height"], event["position"], event["number"])
                    if fields["epoch"] == self._epoch:
                        name = (fields["target"], fields["owner"], fields["tier"])
                        lines.open(*name, fields["count"])
                        self._reserved[name] = self._reserved.get(name, 0) + fields["count"]


def forfeit_at(state: State, epoch: AuctionEpoch, stake: Stake, target: str) -> int:
    """Return what an unrevealed commit loses of its bond in an epoch, smallest unit of the target's asset."""
    tier = epoch.terms[target].tier(stake.tier)
    base_bps = load_parameter(state, "auction_forfeit_bps")
    earlier = offences_before(state, stake.account, epoch.number)
    return 0 if tier is None else forfeit_of(tier.bond, base_bps, earlier)
