"""State directories that earlier releases wrote: see tests/fixtures/README.md."""

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import StorageError
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.receipt import EntryReceipt
from bpci_node.mempool.target import TargetConfig
from bpci_node.runtime.config import KeysSection, LedgerSection, NodeConfig, TargetSection
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.store import journal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.journal_row import place_of
from bpci_node.store.schema import VERSION
from bpci_node.store.store import Store

ROOT = Path(__file__).parents[3]
ARCHIVE = ROOT / "tests" / "fixtures" / "state-0.1.0.tar.xz"
TARGETS = (
    TargetConfig("eip155:1", 45_000_000, fee_bin_wei=10_000_000),
    TargetConfig("eip155:5", 100, fee_bin_wei=50),
)


@pytest.fixture
def unpacked(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path)  # noqa: S202 - our own archive; 3.11.2 has no filter
    return tmp_path / "state", json.loads((tmp_path / "expected.json").read_text())


def open_pools(store: Store, directory: Path) -> dict[str, TargetPool]:
    pools = {}
    for target in TARGETS:
        guard = ArrivalGuard(directory / "guard" / f"arrivals-{target.id.replace(':', '-')}")
        pools[target.id] = TargetPool(target, PoolLimits(), guard=guard)
        store.writer.after_commit.append(pools[target.id].remember)
        store.writer.submit(pools[target.id].refresh).result(10)
    return pools


def test_the_state_of_0_1_0_opens_with_all_that_it_held(unpacked: tuple[Path, dict[str, Any]]) -> None:
    directory, expected = unpacked
    store = Store(directory)
    try:
        for name, pool in open_pools(store, directory).items():
            wanted = expected["pools"][name]
            waiting = sorted(pool.pool, key=lambda entry: entry.leaf.arrival_seq)
            assert [entry.leaf.txid.hex() for entry in waiting] == wanted["waiting"]
            assert pool.pool.merkle_mesh_root().hex() == wanted["merkle_mesh_root"]
            assert pool.pool.roots().merkle_mesh_root.hex() == wanted["merkle_mesh_root"]
            status = {key: value for key, value in pool.status().items() if key in expected["status"][name]}
            assert status == expected["status"][name]
            for data, place in zip(expected["receipts"][name], expected["places"][name], strict=True):
                receipt = EntryReceipt.decode(bytes.fromhex(data))
                found = journal.find_entry(store, name, receipt.txid)
                assert found is not None
                assert (found.arrival_seq, found.arrival_ms) == (receipt.arrival_seq, receipt.arrival_ms)
                assert (found.previous, found.running_hash) == (receipt.previous, receipt.running_hash)
                assert place_of(found) == place
            for sequence, digest in enumerate(expected["bundles"][name], start=1):
                data = journal.find_bundle(store, name, sequence)
                assert data is not None
                assert hashlib.sha256(data).hexdigest() == digest
    finally:
        store.close()


def test_a_node_goes_on_from_the_state_of_0_1_0(
    unpacked: tuple[Path, dict[str, Any]], make_config: Callable[..., NodeConfig], sign_raw: Callable[..., bytes]
) -> None:
    from bpci_node.runtime.node import Node

    directory, expected = unpacked
    keys = []
    for name, byte in (("node", b"\x11"), ("registry", b"\x22")):
        path = directory.parent / f"{name}.key"
        path.write_bytes(byte * 32)
        path.chmod(0o600)
        keys.append(f"file:{path}")
    config = make_config(
        state_dir=directory,
        keys=KeysSection(*keys),
        ledger=LedgerSection("embedded", "fixture"),
        targets=tuple(TargetSection(item.id, item.base_fee_wei, item.fee_bin_wei) for item in TARGETS),
    )

    async def go_on() -> None:
        node = Node(config)
        try:
            assert node.network.ledger_id == expected["ledger"]["id"]
            receipt = EntryReceipt.decode(bytes.fromhex(expected["receipts"]["eip155:1"][7]))
            assert (await node.intake.entry("eip155:1", receipt.txid))["receipt"] == receipt.encode()
            (added,) = await node.intake.accept("eip155:5", [sign_raw(90, chain_id=5, max_fee=300, tip=30)])
            assert isinstance(added, bytes)
            after = EntryReceipt.decode(added)
            pool = expected["pools"]["eip155:5"]
            assert (after.arrival_seq, after.previous.hex()) == (pool["arrival_seq"] + 1, pool["running_hash"])
            assert await node.seal("eip155:1")
            assert await node.bundle("eip155:1", len(expected["bundles"]["eip155:1"]) + 1)
        finally:
            await node.close()

    asyncio.run(go_on())


def test_a_migrated_file_is_laid_out_like_a_new_one(unpacked: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    directory, _ = unpacked
    Store(directory).close()
    Store(tmp_path / "new").close()
    layouts = []
    for path in (directory, tmp_path / "new"):
        connection = sqlite3.connect(path / "node.db")
        layouts.append(connection.execute("SELECT name, rootpage, sql FROM sqlite_schema ORDER BY rootpage").fetchall())
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    assert layouts[0] == layouts[1]


def test_damage_in_an_old_file_is_named_and_changes_nothing(unpacked: tuple[Path, dict[str, Any]]) -> None:
    directory, _ = unpacked
    connection = sqlite3.connect(directory / "node.db")
    connection.execute("UPDATE entries SET arrival_ms = arrival_ms + 1 WHERE target = 'eip155:5' AND arrival_seq = 3")
    connection.commit()
    before = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    connection.close()
    with pytest.raises(StorageError) as caught:
        Store(directory)
    assert caught.value.details == {"table": "entries", "target": "eip155:5", "arrival": 3}
    connection = sqlite3.connect(directory / "node.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall() == before
    connection.close()


KILLED = """
import os, signal, sys, sqlite3
from pathlib import Path
from bpci_node.store import database
limit = int(sys.argv[2])
class Counting(sqlite3.Connection):
    steps = 0
    def execute(self, *arguments):
        self.step()
        return super().execute(*arguments)
    def executemany(self, *arguments):
        self.step()
        return super().executemany(*arguments)
    def step(self):
        Counting.steps += 1
        if Counting.steps == limit:
            os.kill(os.getpid(), signal.SIGKILL)
connect = sqlite3.connect
sqlite3.connect = lambda *a, **k: connect(*a, **k, factory=Counting)
database.open_writer(Path(sys.argv[1])).close()
print(Counting.steps)
"""


def open_and_be_killed(path: Path, step: int) -> subprocess.CompletedProcess[str]:
    """Open the database in a process that dies before its statement of this number."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(step)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "appliance")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_killed_in_a_migration_has_done_nothing_or_all(
    unpacked: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    directory, expected = unpacked

    def copy(name: str) -> Path:
        (tmp_path / name).mkdir()
        for file in ("node.db", "node.db-wal"):
            (tmp_path / name / file).write_bytes((directory / file).read_bytes())
        return tmp_path / name / "node.db"

    steps = int(open_and_be_killed(copy("whole"), -1).stdout)
    seen = set()
    for step in [*range(5, steps, max(1, steps // 8)), steps]:
        path = copy(str(step))
        assert open_and_be_killed(path, step).returncode == -9
        connection = sqlite3.connect(path)
        seen.add(connection.execute("PRAGMA user_version").fetchone()[0])
        connection.close()
        store = Store(path.parent)
        (path.parent / "guard").mkdir()
        for name, pool in open_pools(store, path.parent).items():
            assert pool.pool.merkle_mesh_root().hex() == expected["pools"][name]["merkle_mesh_root"]
        store.close()
    assert seen == {1, VERSION}
