"""What senders have on their chains, asked before the writer's thread is troubled with an entry.

A target either has a chain that is asked, and then nothing is accepted that the chain could not be asked about; or it
has none, and its status says so. A chain that does not answer fails what waits for it after a bounded time, and for a
moment after that everything else at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from sqlite3 import Connection

from bpci_node.errors import BpciError, UnreachableError
from bpci_node.mempool.state import SenderState, StateProvider
from bpci_node.primitives.ethereum import Transaction
from bpci_node.runtime.counters import Counters, Timings
from bpci_node.runtime.recovery_worker import Decoded
from bpci_node.runtime.service import log_error
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.store.store import Store

log = logging.getLogger("bpci.funding")

DEADLINE_SECONDS = 8.0
"""Time after which a chain has not answered, whatever its provider still waits for."""
PAUSE_SECONDS = 1.0
"""How long a chain that failed is not asked again."""
REVISED_SENDERS = 1_000
"""Senders that one round of revision asks about; the next round goes on with those after them."""
_THREADS = 4


class Funding:
    """Asks the chains of one node's targets."""

    def __init__(
        self,
        providers: Mapping[str, StateProvider],
        pools: Mapping[str, TargetPool],
        store: Store,
        *,
        counters: Counters,
        timings: Timings,
    ) -> None:
        """Ask nothing yet.

        Args:
            providers: by target; a target without one is unchecked.
        """
        self._providers, self._pools, self._store = providers, pools, store
        self._counters, self._timings = counters, timings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="chain")
        self._failures: dict[str, tuple[float, UnreachableError]] = {}
        self._reached: dict[str, bytes] = {}

    async def states(self, target: str, decoded: Sequence[Decoded]) -> Mapping[bytes, SenderState] | None:
        """Return what the Ethereum senders of these entries have; ``None`` where no chain is asked.

        Raises:
            UnreachableError: the chain could not be asked (``unreachable.chain*``).
        """
        if target not in self._providers:
            return None
        return await self._ask(target, sorted({item.sender for item in decoded if isinstance(item, Transaction)}))

    async def revise(self, now_ms: int) -> None:
        """Let leave what its chain has run or its sender can't pay for any more; one round for each target.

        Args:
            now_ms: Unix milliseconds.
        """
        for target in self._providers:
            try:
                self._counters.spent += await self._revise(target, now_ms)
            except BpciError as error:
                log_error(log, f"the senders of {target} can't be asked for", error)

    def close(self) -> None:
        """Wait for what is being asked. Not for the event loop."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _revise(self, target: str, now_ms: int) -> int:
        held, writer = self._pools[target], self._store.writer

        def choose(connection: Connection) -> list[bytes]:
            held.refresh(connection)
            senders = held.pool.senders()
            start = bisect_right(senders, self._reached.get(target, b""))
            return senders[start : start + REVISED_SENDERS]

        senders = await asyncio.wrap_future(writer.submit(choose))
        self._reached[target] = senders[-1] if len(senders) == REVISED_SENDERS else b""
        if not senders:
            return 0
        states = await self._ask(target, senders)
        job = writer.submit(lambda connection: held.revise(connection, states, now_ms), undo=held.forget)
        return await asyncio.wrap_future(job)

    async def _ask(self, target: str, senders: Sequence[bytes]) -> Mapping[bytes, SenderState]:
        failed_at, failure = self._failures.get(target, (0.0, None))
        if failure is not None and time.monotonic() - failed_at < PAUSE_SECONDS:
            raise failure
        call = self._providers[target].states
        try:
            with self._timings.of("state"):
                async with asyncio.timeout(DEADLINE_SECONDS):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, call, senders)
        except UnreachableError as error:
            failure = error
        except TimeoutError:
            failure = UnreachableError(
                "the chain did not answer in time",
                code="unreachable.chain",
                hint="Entries are accepted again when the node of the chain answers.",
            )
        self._failures[target] = (time.monotonic(), failure)
        raise failure
