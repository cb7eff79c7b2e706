"""One epoch of auctions, as bidders, coordinator and notaries see it: who runs it, when, for which targets.

Everything here is fixed before the epoch begins: a change of a target's terms counts from a later epoch, or honest
commits would open nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bpci_node.auction.window import Phases, WindowId, phases_of
from bpci_node.chain.committee import Committee
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import NotFoundError, RefusedError


@dataclass(frozen=True, slots=True)
class AuctionEpoch:
    """The frame of one epoch."""

    ledger_id: str
    committee: Committee
    begins_us: int
    """Ledger time; windows that open from here on belong to it."""
    ends_us: int
    """Ledger time; windows that open from here on belong to the next."""
    terms: Mapping[str, TargetTerms]
    """The targets that are auctioned, by their ids."""

    @property
    def number(self) -> int:
        """The epoch's number."""
        return self.committee.epoch

    def terms_of(self, window: WindowId) -> TargetTerms:
        """Return the terms of a window of this epoch.

        Raises:
            NotFoundError: its target or class is not auctioned (``window.target``, ``window.class``).
            RefusedError: it opens in another epoch (``window.epoch``).
        """
        terms = self.terms.get(window.target)
        if terms is None:
            raise NotFoundError(f"{window.target} is not auctioned", code="window.target")
        if window.qlock_ms not in terms.classes:
            raise NotFoundError(
                f"{window.target} has no windows of {window.qlock_ms} ms", code="window.class", classes=[*terms.classes]
            )
        if not self.begins_us <= window.opens_us < self.ends_us:
            raise RefusedError(
                "the window opens in another epoch",
                code="window.epoch",
                hint="Ask the committee of that epoch.",
                epoch=self.number,
            )
        return terms

    def phases_of(self, window: WindowId) -> Phases:
        """Return the phases of a window of this epoch; raises as :meth:`terms_of`."""
        return phases_of(window, self.terms_of(window))
