"""How entries get in: decoded, judged and journalled, and then acknowledged; and how they are found again.

Every stage says what a power cut can take: an entry without a receipt may be lost, one with a receipt is in the
journal. What waits in here is bounded, and nothing waits on a disk that does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from sqlite3 import Connection
from typing import Any, TypeVar

from bpci_node.errors import BpciError, LimitError, NotFoundError, RefusedError, StorageError
from bpci_node.mempool.cancellation import Cancellation
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.receipt import issue_receipt
from bpci_node.mempool.state import SenderState
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.counters import Counters, Timings
from bpci_node.runtime.funding import Funding
from bpci_node.runtime.recovery import Recovery
from bpci_node.runtime.recovery_worker import Decoded
from bpci_node.runtime.target_pool import Arrival, TargetPool
from bpci_node.store import journal
from bpci_node.store.journal_row import place_of
from bpci_node.store.store import Store

T = TypeVar("T")

RESERVE_BYTES = 32 << 20
"""Room on the disk below which no entry is accepted, so that blocks and bundles can still be written."""
MAX_WAITING_BYTES = 128 << 20
"""What batches that are being accepted take in memory, at most."""
ENTRY_BYTES = 1 << 10
"""What an entry takes in memory beside its raw bytes, roughly, while it is being accepted."""
STALL_SECONDS = 5.0
"""How long the writer may be inside one commit before no more is taken in."""


def clock_ms() -> int:
    """Return the clock, Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Intake:
    """Takes entries into the pools of one node."""

    def __init__(
        self,
        store: Store,
        pools: Mapping[str, TargetPool],
        *,
        signer: Signer,
        funding: Funding,
        counters: Counters,
        timings: Timings,
    ) -> None:
        self._store, self._pools, self._signer, self._funding = store, pools, signer, funding
        self._counters, self._timings = counters, timings
        self.recovery = Recovery()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="receipts")
        self.waiting_bytes = 0
        """What batches that are being accepted take in memory, bytes."""

    async def accept(self, target: str, raws: Sequence[bytes], *, source: bytes = b"") -> list[bytes | BpciError]:
        """Accept raw entries; one result each, in their order: the encoded receipt, or why it was refused.

        A receipt is returned after its entry is durable.

        Args:
            source: from where they came; what waits is limited per source. Empty is not limited.
        Raises:
            NotFoundError: no such target here (``entry.target``).
            LimitError: too much waits to be accepted (``limit.busy``).
            StorageError: nothing of this batch was accepted (``storage.*``).
            UnreachableError: nor here: the process that recovers senders failed (``unreachable.recovery``), or the
                target's chain could not be asked (``unreachable.chain*``).
        """
        pool = self.pool(target)
        self.require_disk()
        size = sum(map(len, raws)) + ENTRY_BYTES * len(raws)
        if self.waiting_bytes + size > MAX_WAITING_BYTES:
            raise LimitError("too much waits to be accepted", code="limit.busy", hint="Try again in a second.")
        self.waiting_bytes += size
        try:
            with self._timings.of("recover"):
                decoded = await self.recovery.decode(raws)
            states = await self._funding.states(target, decoded)
            arrivals = await self._insert(pool, decoded, source, states)
            results = await self._work(lambda: self._receipts(target, arrivals))
        finally:
            self.waiting_bytes -= size
        self._count(arrivals)
        return results

    async def cancel(self, cancellation: Cancellation) -> dict[str, Any]:
        """Let an entry leave because its sender says so; return ``{txid, arrival_seq, state}`` when that is durable.

        Raises:
            NotFoundError: no such target here (``entry.target``), or the entry does not wait (``entry.not_waiting``).
            RefusedError: as :meth:`~bpci_node.mempool.pool.Pool.cancel`.
            StorageError: it was not cancelled (``storage.*``).
        """
        pool, now = self.pool(cancellation.target), clock_ms()
        self.require_disk()

        def write(connection: Connection) -> Entry | RefusedError:
            with self._timings.of("cancel"):
                try:
                    return pool.cancel(connection, cancellation, now)
                except RefusedError as error:  # changed nothing; raised in here, it would void the pool
                    return error

        found = await asyncio.wrap_future(self._store.writer.submit(write, undo=pool.forget))
        if isinstance(found, RefusedError):
            self._counters.note_refusal(found.code)
            raise found
        self._counters.cancelled += 1
        return {"txid": found.leaf.txid, "arrival_seq": found.leaf.arrival_seq, "state": "cancelled"}

    async def entry(self, target: str, txid: bytes) -> dict[str, Any]:
        """Return what is known of an accepted entry, with its receipt.

        Raises:
            NotFoundError: no such target (``entry.target``), or never accepted here (``entry.unknown``).
        """
        self.pool(target)
        return await asyncio.to_thread(self._entry, target, txid)

    async def find_entries(self, target: str, txids: Sequence[bytes]) -> list[dict[str, Any] | None]:
        """Return where each of many entries is; ``None`` for one that was never accepted here.

        Raises:
            NotFoundError: no such target (``entry.target``).
        """
        self.pool(target)

        def look() -> list[dict[str, Any] | None]:
            found = (journal.find_entry(self._store, target, txid) for txid in txids)
            return [None if entry is None else place_of(entry) for entry in found]

        return await asyncio.to_thread(look)

    def pool(self, target: str) -> TargetPool:
        """Return the pool of ``target``.

        Raises:
            NotFoundError: there is none (``entry.target``).
        """
        pool = self._pools.get(target)
        if pool is None:
            raise NotFoundError(
                "this node collects nothing for that chain",
                code="entry.target",
                hint="Its targets are in /v1/status.",
                targets=list(self._pools),
            )
        return pool

    def require_disk(self) -> None:
        """Check that the disk takes entries.

        Raises:
            StorageError: there is too little room (``storage.full``), or as :meth:`require_writer`.
        """
        self.require_writer()
        self._store.require_room(RESERVE_BYTES)

    def require_writer(self) -> None:
        """Check that the writer gets on.

        Raises:
            StorageError: it has been inside one commit for too long (``storage.stalled``).
        """
        if not self._store.writer.is_alive(STALL_SECONDS):
            raise StorageError(
                "the disk does not answer",
                code="storage.stalled",
                hint="Look at the disk's health (smartctl) and the kernel's log; the node goes on by itself.",
            )

    def close(self) -> None:
        """Finish what was begun. Not for the event loop."""
        self.recovery.close()
        self._worker.shutdown(wait=True)

    async def _insert(
        self,
        pool: TargetPool,
        decoded: Sequence[Decoded],
        source: bytes,
        states: Mapping[bytes, SenderState] | None,
    ) -> list[Arrival | BpciError]:
        now = clock_ms()

        def write(connection: Connection) -> list[Arrival | BpciError]:
            with self._timings.of("insert"):
                return pool.accept(connection, decoded, now, source=source, states=states)

        return await asyncio.wrap_future(self._store.writer.submit(write, undo=pool.forget))

    def _count(self, arrivals: Sequence[Arrival | BpciError]) -> None:
        for item in arrivals:
            if isinstance(item, BpciError):
                self._counters.note_refusal(item.code)
            else:
                self._counters.accepted += 1
                self._counters.replaced += item.has_replaced
                self._counters.evicted += item.evicted

    def _receipts(self, target: str, arrivals: Sequence[Arrival | BpciError]) -> list[bytes | BpciError]:
        with self._timings.of("receipts"):
            return [self._receipt(target, item) for item in arrivals]

    def _receipt(self, target: str, item: Arrival | BpciError) -> bytes | BpciError:
        if isinstance(item, BpciError):
            return item
        return issue_receipt(
            self._signer,
            target=target,
            txid=item.txid,
            arrival_seq=item.arrival_seq,
            arrival_ms=item.arrival_ms,
            previous=item.previous,
        )

    def _entry(self, target: str, txid: bytes) -> dict[str, Any]:
        found = journal.find_entry(self._store, target, txid)
        if found is None:
            raise NotFoundError("no such entry was accepted here", code="entry.unknown")
        arrival = Arrival(found.txid, found.arrival_seq, found.arrival_ms, found.previous)
        return {
            "target": target,
            "txid": txid,
            "sender": found.sender,
            "arrival_ms": found.arrival_ms,
            "receipt": self._receipt(target, arrival),
            **place_of(found),
        }

    async def _work(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)
