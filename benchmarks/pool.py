"""A pool alone, in memory: entries in, entries out, and what one takes in memory.

Entries are made for the purpose: not signed (their senders count as proved), 113 raw bytes, each of another sender.
"Spread" are uniform fees over some 2,000 buckets; "one fee bin" has uniform fees in four buckets, one for each gas
limit. A full pool holds 50,000 entries, and every newcomer pushes the cheapest out. Memory is what the process grows
by, transactions included, collected; rates are by processor time, with the garbage collector as the node sets it.
"""

from __future__ import annotations

import gc
import random
import time
from typing import Any

import psutil

from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import DYNAMIC_FEE, Transaction
from bpci_node.runtime.process import COLLECTION

COUNT = 100_000
GWEI = 10**9
STATE = SenderState(0, 10**30)


def made(randomness: random.Random, fee: int) -> Transaction:
    value = randomness.randrange(10**18)
    return Transaction(
        raw=b"\x02" + randomness.randbytes(112),
        txid=randomness.randbytes(32),
        tx_type=DYNAMIC_FEE,
        chain_id=1,
        sender=randomness.randbytes(20),
        nonce=0,
        gas=21_000 + 60_000 * randomness.randrange(4),
        max_fee=fee,
        max_priority_fee=fee,
        to=randomness.randbytes(20),
        value=value,
        data_bytes=0,
        floor_gas=21_000,
        blob_wei=0,
    )


def spread(randomness: random.Random) -> list[Transaction]:
    return [made(randomness, randomness.randrange(10 * GWEI)) for _ in range(COUNT)]


def empty(*, fee_bin_wei: int = GWEI // 50, entries: int = COUNT, is_checked: bool = False) -> Pool:
    limits = PoolLimits(entries=entries, per_bucket=COUNT)
    return Pool(TargetConfig("eip155:1", base_fee_wei=0, fee_bin_wei=fee_bin_wei), limits, is_checked=is_checked)


def rate_of(
    transactions: list[Transaction], pool: Pool, state: SenderState | None = None, first_number: int = 1
) -> float:
    """Insert all and return how many a second of processor time."""
    gc.collect()
    started = time.process_time()
    for number, tx in enumerate(transactions, start=first_number):
        pool.insert(tx, number, number, state=state)
    return len(transactions) / (time.process_time() - started)


def row(name: str, value: float, unit: str = "entries/s", target: str = "-") -> dict[str, Any]:
    return {"name": f"pool: {name}", "value": value, "unit": unit, "target": target}


def run() -> list[dict[str, Any]]:
    thresholds = gc.get_threshold()
    gc.set_threshold(*COLLECTION)
    try:
        return measured()
    finally:
        gc.set_threshold(*thresholds)


def measured() -> list[dict[str, Any]]:
    randomness, process = random.Random(4), psutil.Process()  # noqa: S311 - the same entries in every run
    gc.collect()
    before = process.memory_info().rss
    transactions, held = spread(randomness), empty()
    inserted = rate_of(transactions, held)
    gc.collect()
    size = (process.memory_info().rss - before) / COUNT
    rows = [
        row("insert, spread", inserted, target=">= 100,000"),
        row("memory of an entry, transaction included", size, "bytes"),
        row("insert, spread, accounts checked", rate_of(transactions, empty(is_checked=True), STATE)),
    ]
    del held
    one_bucket = [made(randomness, randomness.randrange(GWEI)) for _ in range(COUNT)]
    crowd, arrived = empty(fee_bin_wei=GWEI), 0
    for name, part in (("first 1,000", one_bucket[:1_000]), ("up to 100,000", one_bucket[1_000:])):
        rows.append(row(f"insert, one fee bin, {name}", rate_of(part, crowd, first_number=arrived + 1)))
        arrived = len(part)
    rising = sorted(transactions, key=lambda tx: tx.max_fee)
    full = empty(entries=COUNT // 2, is_checked=True)
    rate_of(rising[: COUNT // 2], full, STATE)
    rows.append(
        row("insert into a full pool, each evicts one", rate_of(rising[COUNT // 2 :], full, STATE, COUNT // 2 + 1))
    )
    return rows
