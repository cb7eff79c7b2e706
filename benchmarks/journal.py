"""The journal: how fast entries become durable, how soon a node has them again, what they take on the disk.

Input: transactions of the shipped data's shape, each signed anew with a key of its own; keys of buckets are as in the
data, not spread. One process, one core at a time; accepted means judged, inserted, written and synced to the disk of
the temporary directory, which is synced for real. The bare cost of a sync is a row of its own. A start builds the pool
from the journal and brings its roots up to date is another row. Latency beside compaction is that of one entry at a
time, and so mostly the disk's.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.intake import shaped_transactions
from benchmarks.run import machine
from bpci_node.errors import BpciError
from bpci_node.mempool.entry import Signed
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.target import TargetConfig
from bpci_node.runtime.config import JournalSection
from bpci_node.runtime.counters import Timings
from bpci_node.runtime.recovery_worker import decode
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.runtime.upkeep import DAY_MS, Upkeep
from bpci_node.store import journal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.journal_row import EVICTED
from bpci_node.store.store import Store

TARGET = TargetConfig("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000)
LIMITS = PoolLimits(entries=1 << 20, raw_bytes=1 << 30, per_bucket=1 << 20)
ENTRIES = 100_000
UNPROVED = 20_000
PROBES = 300
SYNCS = 50


@contextmanager
def opened(directory: Path) -> Iterator[tuple[Store, TargetPool]]:
    """Open a pool on its journal as a node does, filled with what waits."""
    store = Store(directory)
    try:
        pool = TargetPool(TARGET, LIMITS, guard=ArrivalGuard(directory / "arrivals"))
        store.writer.after_commit.append(pool.remember)
        store.writer.submit(pool.refresh).result()
        yield store, pool
    finally:
        store.close()


def accept(store: Store, pool: TargetPool, entries: Sequence[Signed | BpciError], batch: int) -> float:
    """Let entries in, two batches under way; return the seconds that it took."""
    started = time.perf_counter()
    jobs = []
    for start in range(0, len(entries), batch):
        part = entries[start : start + batch]
        jobs.append(store.writer.submit(lambda c, part=part: pool.accept(c, part, 1), undo=pool.forget))
        if len(jobs) > 1:
            jobs.pop(0).result()
    for job in jobs:
        job.result()
    return time.perf_counter() - started


def prove_and_accept(store: Store, pool: TargetPool, raws: Sequence[bytes], batch: int) -> float:
    """Decode, prove and let in, all in one process; return the seconds that it took."""
    started = time.perf_counter()
    for start in range(0, len(raws), batch):
        part = [decode(raw) for raw in raws[start : start + batch]]
        store.writer.submit(lambda c, part=part: pool.accept(c, part, 1), undo=pool.forget).result()
    return time.perf_counter() - started


def sync_seconds(directory: Path) -> float:
    """Return what syncing one page behind a file costs, mean."""
    with (directory / "probe").open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(SYNCS):
            file.write(b"\0" * 4096)
            os.fdatasync(file.fileno())
    return (time.perf_counter() - started) / SYNCS


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def size_of(directory: Path) -> int:
    """Return the bytes of the database, which has no log when nobody has it open."""
    return (directory / "node.db").stat().st_size


def let_leave(store: Store, txids: Sequence[bytes]) -> float:
    """Let entries leave as a seal of 1,000 does; return the seconds per thousand."""
    started = time.perf_counter()
    for start in range(0, len(txids), 1000):
        part = txids[start : start + 1000]
        store.writer.submit(lambda c, part=part: journal.leave(c, 1, EVICTED, 1, part)).result()
    return (time.perf_counter() - started) / len(txids) * 1000


async def compact(store: Store, pool: TargetPool, probes: Sequence[Signed]) -> tuple[float, int, list[float]]:
    """Forget all that left; return seconds, steps, and how long single entries took meanwhile, seconds."""
    upkeep = Upkeep(store, [pool], JournalSection(keep_days=1), lambda: 3 * DAY_MS, timings=Timings())
    started = time.perf_counter()
    task = asyncio.create_task(upkeep.compact())
    waited = []
    for item in probes:
        if task.done():
            break
        before = time.perf_counter()
        await asyncio.wrap_future(store.writer.submit(lambda c, item=item: pool.accept(c, [item], 1)))
        waited.append(time.perf_counter() - before)
        await asyncio.sleep(0.005)
    steps = await task
    return time.perf_counter() - started, steps, waited


def alone(store: Store, pool: TargetPool, probes: Sequence[Signed]) -> list[float]:
    """Return how long single entries take when nothing else is written, seconds."""
    waited = []
    for item in probes:
        waited.append(accept(store, pool, [item], 1))
        time.sleep(0.005)
    return waited


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    rows: list[dict[str, Any]] = []
    where = machine()

    def row(name: str, value: float, unit: str, target: str = "-") -> None:
        rows.append(
            {"name": f"journal: {name}", "value": round(value, 3), "unit": unit, "target": target, "machine": where}
        )

    raws = shaped_transactions(ENTRIES + 2 * PROBES)
    entries = [item for item in map(decode, raws) if not isinstance(item, BpciError)]
    waiting, probes = entries[:ENTRIES], entries[ENTRIES:]
    gc.freeze()  # the input is the benchmark's; a node does not hold it, and its collector need not walk it
    row("bytes of one entry, mean", sum(map(len, raws)) / len(raws), "bytes")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        row("bare sync of one page", sync_seconds(directory) * 1000, "ms")
        for batch in (1000, 5000):
            with opened(directory / str(batch)) as (store, pool):
                seconds = accept(store, pool, waiting[: ENTRIES // 2], batch)
                row(f"accepted, senders proved, batches of {batch:,}", ENTRIES / 2 / seconds, "entries/s", ">= 40000")
        with opened(directory / "unproved") as (store, pool):
            seconds = prove_and_accept(store, pool, raws[:UNPROVED], 1000)
            row("accepted, signatures checked, one process", UNPROVED / seconds, "entries/s", ">= 12000")
        state = directory / "5000"
        with opened(state) as (store, pool):
            accept(store, pool, waiting[ENTRIES // 2 :], 5000)
        row("on the disk, one entry that waits", size_of(state) / ENTRIES, "bytes")
        before = resident_bytes()
        started = time.perf_counter()
        with opened(state) as (store, pool):
            row(f"start with {ENTRIES:,} entries waiting", time.perf_counter() - started, "s", "<= 2")
            row("memory of one entry that waits", (resident_bytes() - before) / ENTRIES, "bytes")
            started = time.perf_counter()
            pool.pool.roots()
            row("roots after that start", time.perf_counter() - started, "s")
            single = alone(store, pool, probes[:PROBES])
            row("one entry alone, median", quantiles(single, n=100)[49] * 1000, "ms")
            row("one entry alone, 99 %", quantiles(single, n=100)[98] * 1000, "ms")
            row("leaving, 1,000 entries in one commit", let_leave(store, [item.txid for item in waiting]) * 1000, "ms")
        full = size_of(state)
        with opened(state) as (store, pool):
            seconds, steps, waited = asyncio.run(compact(store, pool, probes[PROBES:]))
            row(f"forgetting {ENTRIES:,} entries that left, in {steps} steps", seconds, "s")
            row("one entry beside compaction, median", quantiles(waited, n=100)[49] * 1000, "ms")
            row("one entry beside compaction, 99 %", quantiles(waited, n=100)[98] * 1000, "ms")
        row("database when all have left", full / 1e6, "MB")
        row("database after compaction", size_of(state) / 1e6, "MB")
    return rows


if __name__ == "__main__":
    for item in run():
        print(f"{item['name']:<68} {item['value']:>12,.3f} {item['unit']:<10} {item['target']}")
