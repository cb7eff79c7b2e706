"""Keeps the journal bounded while the node runs: small steps between the commits of entries.

What left long ago is forgotten, old bundles too, and pages that nobody uses go back to the disk. A step is one job of
the writer and takes a few milliseconds; between two steps the writer is free.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from sqlite3 import Connection

from bpci_node.errors import BpciError
from bpci_node.runtime.config import JournalSection
from bpci_node.runtime.counters import Timings
from bpci_node.runtime.service import log_error
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.store import compaction
from bpci_node.store.store import Store

log = logging.getLogger("bpci.node")

STEP_ENTRIES = 500
STEP_BUNDLES = 4
STEP_PAGES = 256
REST_SECONDS = 0.03
"""Between two steps: what arrives meanwhile has the writer for itself."""
PAUSE_SECONDS = 60.0
"""Between two rounds."""
DAY_MS = 86_400_000


class Upkeep:
    """The upkeep of one node's journal."""

    def __init__(
        self,
        store: Store,
        pools: Iterable[TargetPool],
        section: JournalSection,
        clock_ms: Callable[[], int],
        *,
        timings: Timings,
    ) -> None:
        """Start nothing yet.

        Args:
            section: how long what is kept.
            clock_ms: Unix milliseconds.
        """
        self._store, self._pools, self._section, self._clock_ms = store, tuple(pools), section, clock_ms
        self._timings = timings

    async def run(self) -> None:
        """Compact again and again, until cancelled. A disk that fails is left alone until the next round."""
        while True:
            try:
                await self.compact()
            except BpciError as error:
                log_error(log, "the journal could not be compacted", error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def compact(self) -> int:
        """Forget all that may be forgotten now, and shrink the file; return the number of steps that did something.

        Raises:
            StorageError: the disk or the database failed.
        """
        before_ms = self._clock_ms() - self._section.keep_days * DAY_MS
        steps = 0

        def step(connection: Connection) -> bool:
            with self._timings.of("compact"):
                return self._step(connection, before_ms)

        while await asyncio.wrap_future(self._store.writer.submit(step)):
            steps += 1
            await asyncio.sleep(REST_SECONDS)
        return steps

    def _step(self, connection: Connection, before_ms: int) -> bool:
        """Do one step; tell whether there was something to do."""
        forgotten = compaction.forget_entries(connection, before_ms, STEP_ENTRIES)
        if forgotten:
            for pool in self._pools:
                pool.note_forgotten(connection)
            return True
        return bool(
            compaction.forget_bundles(connection, self._section.keep_bundles, STEP_BUNDLES)
            or compaction.shrink(connection, STEP_PAGES)
        )
