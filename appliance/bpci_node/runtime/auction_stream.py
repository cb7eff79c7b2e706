"""What subscribers of auctions are told, in one sequence that survives restarts.

A subscriber says after which number it goes on and gets everything later, from the journal as far as it is kept and
then as it happens; there is no queue of its own that could overflow. A number is never given to two events, so what
comes twice is recognised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from bpci_node.primitives import codec
from bpci_node.store.auction_journal import AuctionJournal, Event

PAGE = 256
"""Events that are read at once."""
_RECENT = 4_096
"""Events that are kept in memory for subscribers who follow closely."""


class AuctionStream:
    """The events of one validator, for subscribers on the event loop."""

    def __init__(self, journal: AuctionJournal) -> None:
        """Begin with what is stored. To be made on the event loop."""
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._recent: deque[Event] = deque(maxlen=_RECENT)
        self._changed, self._stored = asyncio.Event(), asyncio.Event()
        self.last = journal.event_range()[1]
        """Number of the last event that is known here."""
        journal.on_events = self._wake

    def _wake(self) -> None:
        """From the journal's thread: look again."""
        self._loop.call_soon_threadsafe(self._stored.set)

    async def run(self) -> None:
        """Bring what was stored to the subscribers, for ever."""
        while True:
            await self._stored.wait()
            self._stored.clear()
            while True:
                found = await asyncio.to_thread(self._journal.events, self.last, PAGE)
                if not found:
                    break
                self._recent.extend(found)
                self.last = found[-1].sequence
                changed, self._changed = self._changed, asyncio.Event()
                changed.set()

    async def after(self, sequence: int) -> list[Event]:
        """Return up to :data:`PAGE` events after a number, at least one; waits for the next one if there is none."""
        while True:
            changed = self._changed
            if sequence < self.last:
                return await self._read(sequence)
            await changed.wait()

    async def page(self, sequence: int, limit: int) -> list[Event]:
        """Return up to ``limit`` events after a number, none if there is none yet."""
        return (await self._read(sequence))[:limit] if sequence < self.last else []

    async def _read(self, sequence: int) -> list[Event]:
        if self._recent and self._recent[0].sequence <= sequence + 1:
            skipped = sequence + 1 - self._recent[0].sequence
            return [event for at, event in enumerate(self._recent) if skipped <= at < skipped + PAGE]
        return await asyncio.to_thread(self._journal.events, sequence, PAGE)


def event_map(event: Event) -> dict[str, Any]:
    """Return what a subscriber gets of an event."""
    return {
        "v": 1,
        "sequence": event.sequence,
        "kind": event.kind,
        "target": event.target,
        "data": codec.decode(event.data, max_bytes=len(event.data)),
    }
