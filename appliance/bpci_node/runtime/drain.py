"""Before a restart that was planned: the node takes no new part in auctions, and says when its part has ended.

It serves the seats that it was drawn for, or may be drawn for by a ticket that is in, since nobody can stand in for it,
and draws no lots for new ones. A while before the deadline it closes: no commits, lines or windows any more, so that
those that are open end in time. A restart of the process forgets it all; so does the node, when nobody has stopped it
long after the deadline: a restart that failed must not cost it its next seats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bpci_node.auction.window import MAX_AHEAD_US
from bpci_node.chain.target_terms import MAX_PHASE_MS
from bpci_node.store.auction_journal import CERTIFIED, OPEN, PROPOSED

if TYPE_CHECKING:
    from bpci_node.runtime.auction_duties import AuctionDuties

CLOSING_MS = MAX_AHEAD_US // 1000 + 2 * MAX_PHASE_MS + 5_000
"""Before the deadline no window is opened any more: the one that opens last has the longest phases, and is settled."""
LAPSE_MS = 900_000
"""A node that runs this long after the deadline is not stopped any more, and takes part again."""
MAX_SECONDS = 86_400


class Drain:
    """Whether a node is about to be restarted."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        """Begin with a node that takes part."""
        self._clock_ms = clock_ms
        self._planned_ms: int | None = None

    @property
    def deadline_ms(self) -> int | None:
        """When the node will be stopped at the latest, Unix milliseconds; ``None`` for no such plan."""
        planned = self._planned_ms
        return None if planned is None or self._clock_ms() >= planned + LAPSE_MS else planned

    @property
    def is_draining(self) -> bool:
        """Whether no lots are drawn any more."""
        return self.deadline_ms is not None

    @property
    def is_closed(self) -> bool:
        """Whether no window is opened any more."""
        deadline = self.deadline_ms
        return deadline is not None and self._clock_ms() >= deadline - CLOSING_MS

    def begin(self, seconds: int) -> None:
        """Plan to stop within ``seconds``; an earlier plan that ends sooner stays."""
        earlier, deadline = self.deadline_ms, self._clock_ms() + seconds * 1000
        self._planned_ms = deadline if earlier is None else min(earlier, deadline)

    def end(self) -> None:
        """Take part again."""
        self._planned_ms = None

    async def status(self, auction: AuctionDuties | None) -> dict[str, Any]:
        """Say how far it is: seats that are served still, windows without a bundle, what is owed to the ledger.

        Raises:
            StorageError: the auction's journal can't be read.
        """
        seats: list[int] = []
        # The order matters: what is under way comes to the journal, and goes on from stage to stage, while it is read.
        is_closed = self.is_closed
        taking = windows = owed = 0
        if auction is not None:
            seats = auction.seats()
            led = {number: run.coordinator for number, run in auction.runs.items() if run.coordinator is not None}
            taking = sum(coordinator.taking for coordinator in led.values())
            stored = await asyncio.to_thread(auction.journal.windows, OPEN, CERTIFIED, PROPOSED)
            stored += await asyncio.to_thread(auction.journal.incomplete)
            windows = sum(1 for window in stored if window.epoch in led)
            owed = len(await asyncio.to_thread(auction.journal.owed))
        is_over = not taking and not windows and not owed and (not seats or is_closed)
        return {
            "draining": self.is_draining,
            "deadline_ms": self.deadline_ms,
            "closed": is_closed,
            "seats": seats,
            "windows": windows,
            "owed": owed,
            "drained": self.is_draining and is_over,
        }
