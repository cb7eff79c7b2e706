"""Headers and proofs of this node's pools: read while the writer stands still, signed and proved beside it.

Bringing the trees up to date takes time in the writer's thread, in which nothing is accepted. So only one request at a
time does it, a few hundred buckets at once, and pauses for as long as that took: at most half of the writer's time goes
into roots, and entries wait for a fraction of a second even while a large pool is hashed after a start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from sqlite3 import Connection
from typing import TypeVar

from bpci_node.errors import LimitError
from bpci_node.mempool.header import MxHeader, sign_header
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.mempool.prove import HeaderFacts, prove, snapshot, unsigned_header
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.counters import Timings
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.store.store import Store

T = TypeVar("T")

MAX_WAITING = 64
"""Headers and proofs that are asked for and not answered, at most."""

STEP = 250
"""Buckets that are brought up to date at once; they take some 30 to 100 ms."""


class Prover:
    """Makes the headers and proofs of one node."""

    def __init__(self, store: Store, *, signer: Signer, ledger_id: str, timings: Timings) -> None:
        self._store, self._signer, self._ledger_id, self._timings = store, signer, ledger_id, timings
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="prove")
        self._turn = asyncio.Lock()
        self._next = 0.0
        self._waiting = 0

    async def header(self, pool: TargetPool, *, certificate: bytes | None, now_ms: int) -> MxHeader:
        """Return the signed header of a pool as it stands.

        Args:
            certificate: the node's registration certificate.
            now_ms: Unix milliseconds.
        Raises:
            LimitError: too much waits to be proved (``limit.busy``).
            StorageError: the journal failed.
        """
        with self._admitted():
            unsigned = await self._read(pool, certificate, now_ms, unsigned_header)
            return sign_header(self._signer, unsigned)

    async def prove(
        self,
        pool: TargetPool,
        txids: Sequence[bytes],
        keys: Sequence[bytes],
        *,
        certificate: bytes | None,
        now_ms: int,
    ) -> MempoolProof:
        """Return the proof of these entries and buckets in a pool as it stands.

        Args:
            txids: see :func:`~bpci_node.mempool.prove.snapshot`; so are ``keys``.
            certificate: see :meth:`header`; so is ``now_ms``.
        Raises:
            NotFoundError: an entry does not wait (``entry.not_waiting``).
            LimitError: too much at once (``proof.size``), or too much waits to be proved (``limit.busy``).
            StorageError: the journal failed.
        """

        def work() -> MempoolProof:
            with self._timings.of("prove"):
                return prove(taken, self._signer)

        with self._admitted():
            taken = await self._read(pool, certificate, now_ms, lambda pool, facts: snapshot(pool, facts, txids, keys))
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def close(self) -> None:
        """Finish what was begun. Not for the event loop."""
        self._worker.shutdown(wait=True)

    async def _read(
        self, pool: TargetPool, certificate: bytes | None, now_ms: int, call: Callable[[Pool, HeaderFacts], T]
    ) -> T:
        """Call ``call`` in the writer's thread, with the pool up to date."""

        def read(connection: Connection) -> T:
            facts = pool.header_facts(
                connection,
                ledger_id=self._ledger_id,
                time_ms=now_ms,
                certificate=certificate,
                signer=self._signer.public_key,
            )
            return call(pool.pool, facts)

        def step(connection: Connection) -> None:
            pool.refresh(connection)
            pool.pool.advance(STEP)

        async with self._turn:
            # As many steps as were due when this began: a pool that changes faster must not keep it from its end.
            for _ in range(pool.pool.behind // STEP):
                await self._in_turn(step)
            return await self._in_turn(read)

    async def _in_turn(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in the writer's thread, no sooner than the last one's time has passed once more."""

        def timed(connection: Connection) -> tuple[T, float]:
            started = time.perf_counter()
            with self._timings.of("root"):
                found = work(connection)
            return found, time.perf_counter() - started

        await asyncio.sleep(max(0.0, self._next - time.monotonic()))
        found, seconds = await asyncio.wrap_future(self._store.writer.submit(timed))
        self._next = time.monotonic() + seconds
        return found

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count one request while it is answered, unless that would be too many."""
        if self._waiting >= MAX_WAITING:
            raise LimitError("too much waits to be proved", code="limit.busy", hint="Try again in a second.")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
