"""A notary's wish that entries of its own pool run: the list that it signs, and what everybody checks about it."""

from __future__ import annotations

from collections.abc import Sequence

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.candidates import public_candidate
from bpci_node.auction.lists import MAX_LISTED, InclusionList, verify_list
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import forced_gas
from bpci_node.errors import ProofError
from bpci_node.mempool.entry import Signed
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.window_draft import MAX_POOL_ENTRIES

MAX_FORCED_BYTES = 128 * 1024
"""Raw bytes of what one list names, at most."""


async def wished(pool: PublicPool, epoch: AuctionEpoch, window: WindowId) -> list[Signed]:
    """Return what a notary wants in a window: as much as the share for forced entries holds, each seat its part."""
    terms, seats = epoch.terms_of(window), len(epoch.committee.seats)
    return await pool.best(
        window,
        terms,
        epoch.ledger_id,
        gas=forced_gas(terms),
        most=min(MAX_LISTED, MAX_POOL_ENTRIES // seats),
        raw_bytes=min(MAX_FORCED_BYTES, MAX_FORCED_BYTES * 8 // seats),
    )


def check_inclusion(
    epoch: AuctionEpoch, window: WindowId, seat: int, found: InclusionList, entries: Sequence[Signed]
) -> None:
    """Check a list that a seat signed for a window, and that exactly its entries came along, each for this chain.

    Raises:
        ProofError: of another window, seat or ledger, or not signed by it (``list.signature``); other entries came
            (``list.entries``).
        RefusedError: one is of another chain (``entry.*``).
    """
    verify_inclusion(epoch, window, found)
    if found.seat != seat:
        raise ProofError("the list is of another seat", code="list.signature")
    if tuple(sorted({tx.txid for tx in entries})) != found.txids:
        raise ProofError("other entries came than the list names", code="list.entries")
    terms = epoch.terms_of(window)
    for tx in entries:
        public_candidate(tx, window, terms, epoch.ledger_id, is_forced=True)


def verify_inclusion(epoch: AuctionEpoch, window: WindowId, found: InclusionList) -> None:
    """Check that a list is a seat's for this window.

    Raises:
        ProofError: it is not (``list.signature``).
    """
    seats = epoch.committee.seats
    if found.seat >= len(seats) or (found.ledger_id, found.epoch, found.window) != (
        epoch.ledger_id,
        epoch.number,
        window,
    ):
        raise ProofError("an inclusion list is of another window or seat", code="list.signature")
    verify_list(seats[found.seat].node_key, found)
