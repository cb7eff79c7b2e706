"""What anyone may see of the pools, at a bounded cost for the thread that changes them.

One reading job at a time waits for the writer, so reads share each of its rounds with the entries instead of crowding
them out. What a job looks at is bounded: a page of buckets, and once a second at most the keys of all of them.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from sqlite3 import Connection
from typing import Any, TypeVar

from bpci_node.errors import LimitError, NotFoundError
from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.bucket_key import BucketKey
from bpci_node.mempool.header import MxHeader
from bpci_node.mempool.pool import Pool
from bpci_node.runtime.intake import Intake
from bpci_node.store.store import Store

T = TypeVar("T")

GLANCE_SECONDS = 1.0
"""How old the list of buckets may be."""
HEADER_SECONDS = 2.0
"""How old the roots of a summary may be."""
MAX_PAGE_BYTES = 1 << 20
"""Raw bytes of one page of entries, at most, unless its first entry alone has more."""
MAX_READERS = 64
"""Reads that wait for their turn, at most."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a whole pool was like at one moment."""

    keys: tuple[bytes, ...]
    """Keys of the non-empty buckets, ascending."""
    least_fee_wei: int
    """Fee rate with which a plain transfer got in, wei per gas."""
    is_crowded: bool
    """Whether so little room was left that nothing could be cancelled."""
    taken: float
    """When, seconds of the monotonic clock."""


class Overview:
    """Reads the pools of one node."""

    def __init__(self, store: Store, intake: Intake, *, make_header: Callable[[str], Awaitable[MxHeader]]) -> None:
        """Read what ``intake`` fills.

        Args:
            make_header: returns the signed header of a target's pool as it stands.
        """
        self._store, self._intake, self._make_header = store, intake, make_header
        self._glances: dict[str, Glance] = {}
        self._headers: dict[str, tuple[float, MxHeader]] = {}
        self._turn, self._header_turn = asyncio.Lock(), asyncio.Lock()
        self._readers = 0

    async def summary(self, target: str) -> dict[str, Any]:
        """Return a pool's counts, terms and limits, and its roots of at most ``HEADER_SECONDS`` ago.

        Raises:
            NotFoundError: no such target (``entry.target``).
            LimitError: too many reads wait (``limit.busy``).
            StorageError: the writer does not get on (``storage.stalled``).
        """

        def read(pool: Pool) -> dict[str, Any]:
            return _summarise(pool, self._glance(pool))

        with self._admitted():
            header = await self._header(target)
            return await self._read(target, read) | {"roots": _roots(header)}

    async def buckets(self, target: str, *, after: bytes, limit: int) -> tuple[list[dict[str, Any]], bytes | None]:
        """Return one page of buckets in the order of their keys, and the key to go on after.

        A bucket that came into being less than ``GLANCE_SECONDS`` ago may be missing.

        Args:
            after: key of the last bucket of the page before; empty for the first page.
            limit: buckets of the page.
        Raises:
            NotFoundError, LimitError, StorageError: as :meth:`summary`.
        """

        def read(pool: Pool) -> tuple[list[dict[str, Any]], bytes | None]:
            keys = self._glance(pool).keys
            start = bisect_right(keys, after)
            page = keys[start : start + limit]
            found = [_describe(pool, bucket) for key in page if (bucket := pool.bucket(key)) is not None]
            return found, page[-1] if start + limit < len(keys) else None

        with self._admitted():
            return await self._read(target, read)

    async def bucket(self, target: str, key: bytes) -> dict[str, Any]:
        """Return the statistics of one bucket.

        Raises:
            NotFoundError: it is empty (``mempool.no_bucket``), or as :meth:`summary`.
            LimitError, StorageError: as :meth:`summary`.
        """

        def read(pool: Pool) -> dict[str, Any]:
            return _describe(pool, _require(pool, key))

        with self._admitted():
            return await self._read(target, read)

    async def entries(
        self, target: str, key: bytes, *, skip: int, limit: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return one page of the entries of a bucket in its order, and how many to skip for the next page.

        A page ends before its entries have more than ``MAX_PAGE_BYTES``, but has at least one.

        Args:
            skip: entries of the pages before.
            limit: entries of the page, at most.
        Raises:
            NotFoundError, LimitError, StorageError: as :meth:`bucket`.
        """

        def read(pool: Pool) -> tuple[list[dict[str, Any]], int | None]:
            found: list[dict[str, Any]] = []
            size = 0
            waiting = _require(pool, key)
            for entry in islice(waiting, skip, skip + limit):
                size += len(entry.transaction.raw)
                if found and size > MAX_PAGE_BYTES:
                    break
                found.append({"txid": entry.leaf.txid, "raw": entry.transaction.raw})
            behind = skip + len(found)
            return found, behind if behind < len(waiting) else None

        with self._admitted():
            return await self._read(target, read)

    async def _header(self, target: str) -> MxHeader:
        async with self._header_turn:
            made, header = self._headers.get(target, (0.0, None))
            if header is None or time.monotonic() - made > HEADER_SECONDS:
                header = await self._make_header(target)
                self._headers[target] = (time.monotonic(), header)
        return header

    def _glance(self, pool: Pool) -> Glance:
        """Return what the pool was like a moment ago; in the writer's thread."""
        found, now = self._glances.get(pool.target.id), time.monotonic()
        if found is None or now - found.taken > GLANCE_SECONDS:
            keys = tuple(bucket.key for bucket in pool.buckets())
            found = self._glances[pool.target.id] = Glance(keys, pool.least_fee(), pool.is_crowded, now)
        return found

    async def _read(self, target: str, look: Callable[[Pool], T]) -> T:
        """Let ``look`` see a pool from the writer's thread, one reader at a time."""
        held = self._intake.pool(target)

        def job(connection: Connection) -> T:
            held.refresh(connection)
            return look(held.pool)

        async with self._turn:
            return await asyncio.wrap_future(self._store.writer.submit(job))

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Count one read while it is answered, unless that would be too many, or the writer stands still."""
        self._intake.require_writer()
        if self._readers >= MAX_READERS:
            raise LimitError("too many reads wait", code="limit.busy", hint="Try again in a second.")
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1


def _require(pool: Pool, key: bytes) -> Bucket:
    bucket = pool.bucket(key)
    if bucket is None:
        raise NotFoundError(
            "no entry waits in this bucket",
            code="mempool.no_bucket",
            hint="That it is empty can be proved: ask for a proof of its key.",
        )
    return bucket


def _describe(pool: Pool, bucket: Bucket) -> dict[str, Any]:
    key = BucketKey.decode(bucket.key)
    return {
        "key": bucket.key,
        "bucket_id": bucket.identifier,
        "region": key.region,
        "type": key.kind.name.lower(),
        "gas_class": key.gas.name,
        "qlock_ms": key.qlock_ms,
        "fee_bin": key.fee_bin,
        "count": len(bucket),
        "gas_sum": str(bucket.gas_sum),
        "min_fee_wei": str(next(reversed(bucket)).leaf.fee_per_w),
        "max_fee_wei": str(next(iter(bucket)).leaf.fee_per_w),
        "sealed_epoch": pool.sealed_epoch(bucket.key),
    }


def _roots(header: MxHeader) -> dict[str, Any]:
    return {
        "verkle_root": header.verkle_root,
        "merkle_mesh_root": header.merkle_mesh_root,
        "mx_root": header.mx_root,
        "arrival_seq": header.arrival_seq,
        "sequence": header.sequence,
        "time_ms": header.time_ms,
    }


def _summarise(pool: Pool, glance: Glance) -> dict[str, Any]:
    limits, terms = pool.limits, pool.target
    return {
        "v": 1,
        "target": terms.id,
        "funding": "checked" if pool.is_checked else "unchecked",
        "count": len(pool),
        "bytes": pool.raw_bytes,
        "buckets": len(glance.keys),
        "least_fee_wei": str(glance.least_fee_wei),
        "crowded": glance.is_crowded,
        "base_fee_wei": str(terms.base_fee_wei),
        "fee_bin_wei": str(terms.fee_bin_wei),
        "gas_limit": terms.gas_limit,
        "region": terms.region,
        "qlock_ms": terms.qlock_ms,
        "limits": {
            "entries": limits.entries,
            "bytes": limits.raw_bytes,
            "per_sender": limits.per_sender,
            "per_source": limits.per_source,
            "per_bucket": limits.per_bucket,
            "replacement_percent": limits.replacement_percent,
        },
    }
