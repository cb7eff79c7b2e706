"""What auctions take from a node's own pools: entries that were visible all the time, and that any node may have got.

A notary names some of them in its inclusion list, so that no coordinator can keep them out; the coordinator fills with
others the room that hidden bids leave. What has won leaves the pool at every node that learns of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from sqlite3 import Connection
from typing import Any

from bpci_node.auction.candidates import public_candidate
from bpci_node.auction.selection import select
from bpci_node.auction.window import WindowId
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import BpciError
from bpci_node.mempool.entry import Signed
from bpci_node.runtime.target_pool import TargetPool

LOOK_SECONDS = 0.25
"""How old the choice of a pool's best entries may be: making it walks the whole pool, in the thread that writes."""
Submit = Callable[..., "Future[Any]"]
"""How a job gets into the thread that writes the pools' journal: :meth:`bpci_node.store.writer.Writer.submit`."""
_REMEMBERED = 100_000
"""Senders whose last winning nonce is remembered until it has left the pool."""


class PublicPool:
    """The pools of one node, for its auctions. Used on the event loop."""

    def __init__(self, pools: Mapping[str, TargetPool], submit: Submit | None = None) -> None:
        """Take the pools by target; other targets have no public entries here.

        Args:
            submit: the writer of their journal; it may be absent where there are no pools.
        """
        self._pools, self._submit = ({} if submit is None else pools), submit
        self._best: dict[str, tuple[float, list[Signed]]] = {}
        self._won: dict[str, dict[bytes, int]] = {}
        self._leaving: set[asyncio.Future[Any]] = set()

    def waiting(self, target: str) -> int:
        """Return how many entries wait for a target, some of which may be the winners of a moment ago."""
        pool = self._pools.get(target)
        return 0 if pool is None else pool.count

    async def best(
        self, window: WindowId, terms: TargetTerms, ledger_id: str, *, gas: int, most: int, raw_bytes: int
    ) -> list[Signed]:
        """Return the entries that pay most and would run in a window.

        Args:
            gas, most, raw_bytes: bounds on their gas, their number and their length together.
        """
        found: list[Signed] = []
        for tx in await self._look(window.target):
            needed = self._gas(tx, window, terms, ledger_id)
            if needed is None or needed > gas or len(tx.raw) > raw_bytes:
                continue
            if len(found) == most:
                break
            gas, raw_bytes = gas - needed, raw_bytes - len(tx.raw)
            found.append(tx)
        return found

    def is_fresh(self, target: str, tx: Signed) -> bool:
        """Say whether nothing of its sender has won here with its nonce or a later one."""
        return tx.nonce > self._won.get(target, {}).get(tx.sender, -1)

    def won(self, target: str, winners: Iterable[Signed]) -> None:
        """Let what has won leave the pool, with what can't follow it any more; behind the caller's back."""
        pool, nonces = self._pools.get(target), dict[bytes, int]()
        for tx in winners:
            nonces[tx.sender] = max(tx.nonce, nonces.get(tx.sender, -1))
        if pool is None or self._submit is None or not nonces:
            return
        known = self._won.setdefault(target, {})
        for sender, nonce in nonces.items():
            known[sender] = max(nonce, known.pop(sender, -1))
        while len(known) > _REMEMBERED:
            del known[next(iter(known))]
        now_ms = time.time_ns() // 1_000_000

        def write(connection: Connection) -> int:
            return pool.take_winners(connection, nonces, now_ms)

        leaving = asyncio.wrap_future(self._submit(write, undo=pool.forget))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._gone)

    def _gone(self, leaving: asyncio.Future[Any]) -> None:
        self._leaving.discard(leaving)
        if not leaving.cancelled():
            leaving.exception()  # the writer shows its failure to the node itself

    async def _look(self, target: str) -> list[Signed]:
        pool = self._pools.get(target)
        if pool is None or self._submit is None or not pool.count:
            return []
        made, found = self._best.get(target, (-LOOK_SECONDS, []))
        if time.monotonic() - made >= LOOK_SECONDS:

            def read(connection: Connection) -> list[Signed]:
                pool.refresh(connection)
                chosen = select(pool.pool.runnable(), pool.pool.target.gas_limit)
                return [entry.transaction for entry in chosen]

            found = list(await asyncio.wrap_future(self._submit(read, undo=pool.forget)))
            self._best[target] = time.monotonic(), found
        return found

    def _gas(self, tx: Signed, window: WindowId, terms: TargetTerms, ledger_id: str) -> int | None:
        """Return the gas of what would run, ``None`` for what would not."""
        if not self.is_fresh(window.target, tx):
            return None
        try:
            entry = public_candidate(tx, window, terms, ledger_id, is_forced=False).entry
        except BpciError:
            return None
        return entry.leaf.gas if entry.pays_base_fee else None
