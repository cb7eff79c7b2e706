import asyncio
import sqlite3
from pathlib import Path

from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction
from bpci_node.runtime.config import JournalSection
from bpci_node.runtime.counters import Timings
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.runtime.upkeep import DAY_MS, Upkeep
from bpci_node.store import journal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.journal_row import EVICTED
from bpci_node.store.store import Store

T = "eip155:1"


def test_what_left_long_ago_is_forgotten_and_the_pool_says_up_to_which_arrival(
    tmp_path: Path, mainnet: list[Transaction]
) -> None:
    store = Store(tmp_path / "state")
    pool = TargetPool(TargetConfig(T, 45_000_000), PoolLimits(), guard=ArrivalGuard(tmp_path / "guard"))
    store.writer.after_commit.append(pool.remember)
    store.writer.submit(lambda c: pool.accept(c, mainnet[:300], 1)).result(5)
    txids = [item.txid for item in mainnet[:280]]

    def leave(connection: sqlite3.Connection) -> None:
        journal.leave(connection, 1, EVICTED, 1, txids[:200])
        journal.leave(connection, 1, EVICTED, DAY_MS, txids[200:])

    store.writer.submit(leave).result(5)
    now = [2 * DAY_MS]
    upkeep = Upkeep(store, [pool], JournalSection(keep_days=2), lambda: now[0], timings=Timings())
    assert asyncio.run(upkeep.compact()) == 0
    assert pool.status()["forgotten"] == 0
    now[0] += 2
    assert asyncio.run(upkeep.compact()) == 1
    assert pool.status()["forgotten"] == 200
    assert journal.find_entry(store, T, txids[0]) is None
    assert journal.find_entry(store, T, txids[200]) is not None
    store.close()
