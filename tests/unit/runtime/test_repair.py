"""Damaged files: noticed, named, and what can be read of them saved. The damage is done to real files."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from bpci_node.errors import BpciError, NotFoundError, RefusedError, StorageError
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.receipt import next_running_hash
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.sealing import Sealer
from bpci_node.runtime.target_pool import Arrival, TargetPool
from bpci_node.store import journal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.database import REPAIR_MARK
from bpci_node.store.journal_row import row_id
from bpci_node.store.losses import MARGIN, gap_hash
from bpci_node.store.pages import INTERIOR_TABLE, LEAF_TABLE, Found, PageFile, open_pages
from bpci_node.store.repair import Report, check, repair
from bpci_node.store.salvage import layout
from bpci_node.store.store import Store

T = "eip155:1"
ROOT = Path(__file__).parents[3]
NOW = 1_700_000_000_000
TARGET = TargetConfig(T, 45_000_000, fee_bin_wei=10_000_000)
PAGE = 4096


@dataclass
class Opened:
    """A pool on its journal."""

    store: Store
    pool: TargetPool
    sealer: Sealer

    def accept(self, entries: list[Transaction]) -> list[Arrival]:
        job = self.store.writer.submit(lambda c: self.pool.accept(c, entries, NOW), undo=self.pool.forget)
        results = job.result(10)
        assert all(isinstance(item, Arrival) for item in results)
        return results

    def seal(self, gas: int) -> None:
        terms = {"now_ms": NOW, "gas_limit": gas, "base_fee_wei": None, "certificate": None}
        self.sealer.remember(self.store.writer.submit(lambda c: self.sealer.seal(c, **terms)).result(10))

    def waiting(self) -> dict[int, bytes]:
        return {entry.leaf.arrival_seq: entry.leaf.txid for entry in self.pool.pool}


def open_pool(directory: Path) -> Opened:
    store = Store(directory)
    try:
        guards = directory / "guard"
        guards.mkdir(exist_ok=True)
        pool = TargetPool(TARGET, PoolLimits(), guard=ArrivalGuard(guards / "arrivals-eip155-1"))
        store.writer.after_commit.append(pool.remember)
        store.writer.submit(pool.refresh).result(10)
        sealer = Sealer(pool, signer=LocalSigner(b"\x01" * 32), ledger_id="l:" + "a" * 64, guard_directory=guards)
        sealer.check_guard(store)
    except BaseException:
        store.close()
        raise
    return Opened(store, pool, sealer)


@dataclass(frozen=True)
class Sample:
    """A journal with 700 arrivals, of which two bundles took some, before and after its log was folded in."""

    closed: Path
    running: Path
    """As a process that was killed leaves it: with a log."""
    waiting: dict[int, bytes]
    roots: bytes
    spare: list[Transaction]

    def copy(self, path: Path, *, with_log: bool = False) -> Path:
        shutil.copytree(self.running if with_log else self.closed, path)
        return path


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, mainnet: list[Transaction]) -> Sample:
    home = tmp_path_factory.mktemp("repair")
    opened = open_pool(home / "closed")
    opened.accept(mainnet[:400])
    opened.seal(5_000_000)
    opened.store.close()
    opened = open_pool(home / "closed")
    for start in range(400, 700, 50):
        opened.accept(mainnet[start : start + 50])
    opened.seal(3_000_000)
    waiting, roots = opened.waiting(), opened.pool.pool.roots().mx_root
    shutil.copytree(home / "closed", home / "running")
    opened.store.close()
    return Sample(home / "closed", home / "running", waiting, roots, mainnet[700:800])


def pages_of(directory: Path, table: str, kind: int) -> list[int]:
    """Numbers of the pages of a table that are of this kind."""
    with open_pages(directory / "node.db") as pages:
        root = next(item.root for item in layout() if item.name == table)
        found = Found()
        list(pages.walk(root, found))
        return sorted(number for number in found.pages if pages.kind(number) == kind)


def overwrite(directory: Path, offset: int, data: bytes, name: str = "node.db") -> None:
    with (directory / name).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def refusal(directory: Path) -> BpciError:
    with pytest.raises(BpciError) as caught:
        open_pool(directory).store.close()
    return caught.value


def mend(directory: Path) -> Report:
    """Check, which changes nothing; then repair."""
    before = {path: path.read_bytes() for path in directory.glob("node.db*") if not path.name.endswith("-shm")}
    looked = check(directory, (T,))
    after = {path: path.read_bytes() for path in directory.glob("node.db*") if not path.name.endswith("-shm")}
    assert after == before
    report = repair(directory, (T,), NOW)
    assert looked.as_map() | {"copy": None} == report.as_map() | {"copy": None}
    return report


def assert_all_is_there(directory: Path, sample: Sample) -> None:
    opened = open_pool(directory)
    assert opened.waiting() == sample.waiting
    assert opened.pool.pool.roots().mx_root == sample.roots
    assert [len(journal.find_bundle(opened.store, T, sequence) or b"") > 0 for sequence in (1, 2)] == [True, True]
    (arrival,) = opened.accept(sample.spare[:1])
    assert arrival.arrival_seq == 701
    opened.store.close()


def test_a_sound_database_is_left_alone(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    report = mend(directory)
    assert report.is_sound
    assert report.copy is None
    assert (directory / "node.db").read_bytes() == (sample.closed / "node.db").read_bytes()
    assert sorted(path.name for path in directory.iterdir()) == sorted(path.name for path in sample.closed.iterdir())


def test_a_database_with_a_sound_log_is_sound(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state", with_log=True)
    assert (directory / "node.db-wal").stat().st_size > 100_000
    assert mend(directory).is_sound
    assert_all_is_there(directory, sample)


def test_a_flipped_byte_in_a_waiting_row_costs_that_row_alone(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    page = pages_of(directory, "waiting", LEAF_TABLE)[3]
    data = bytearray((directory / "node.db").read_bytes())
    seq, txid = next(
        (seq, txid) for seq, txid in sample.waiting.items() if txid in data[(page - 1) * PAGE : page * PAGE]
    )
    at = data.index(txid, (page - 1) * PAGE)
    overwrite(directory, at + 5, bytes([data[at + 5] ^ 0x10]))
    error = refusal(directory)
    assert error.code == "storage.damaged"
    assert error.details == {"table": "waiting", "target": T, "arrival": seq}
    report = mend(directory)
    (target,) = report.targets
    assert target.arrivals == [(seq, seq)]
    assert target.waiting == 1
    assert not target.is_end_lost
    assert report.txids == {(T, seq): txid}
    assert report.findings.bad_rows == {"waiting": 1}
    assert report.copy is not None
    assert (report.copy / "node.db").read_bytes()[at + 5] == data[at + 5] ^ 0x10
    opened = open_pool(directory)
    assert opened.waiting() == {key: value for key, value in sample.waiting.items() if key != seq}
    opened.store.close()
    again = mend(directory)
    assert again.is_sound
    assert again.targets[0].earlier == [(seq, seq)]


def test_a_lost_leaf_costs_its_rows_and_they_are_named(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    page = pages_of(directory, "waiting", LEAF_TABLE)[5]
    with open_pages(directory / "node.db") as pages:
        lost = {row.rowid & 0xFFFF: row.values[2] for row in pages.rows(page, Found()) if row.rowid is not None}
    overwrite(directory, (page - 1) * PAGE, os.urandom(PAGE))
    assert refusal(directory).code == "storage.damaged"
    report = mend(directory)
    found = {seq for first, last in report.targets[0].arrivals for seq in range(first, last + 1)}
    assert found == set(lost)
    assert {seq: txid for (_, seq), txid in report.txids.items()} == lost
    assert page in report.findings.unreadable_pages
    opened = open_pool(directory)
    assert opened.waiting() == {key: value for key, value in sample.waiting.items() if key not in lost}
    opened.store.close()


@pytest.mark.parametrize("table", ["waiting", "gone"])
def test_a_destroyed_inner_page_costs_nothing(sample: Sample, tmp_path: Path, table: str) -> None:
    directory = sample.copy(tmp_path / "state")
    (root,) = pages_of(directory, table, INTERIOR_TABLE)
    overwrite(directory, (root - 1) * PAGE, bytes(PAGE))
    report = mend(directory)
    assert report.findings.orphans > 10
    assert report.targets[0].arrivals == []
    assert_all_is_there(directory, sample)


@pytest.mark.parametrize("index", ["sqlite_autoindex_waiting_1", "gone_txid", "gone_left"])
def test_a_destroyed_index_costs_nothing(sample: Sample, tmp_path: Path, index: str) -> None:
    directory = sample.copy(tmp_path / "state")
    root = next(item.root for item in layout() if item.name == index)
    overwrite(directory, (root - 1) * PAGE, os.urandom(PAGE))
    report = mend(directory)
    assert index in report.findings.broken
    assert report.targets[0].arrivals == []
    assert_all_is_there(directory, sample)


def test_an_index_that_says_something_else_than_its_table_is_noticed(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    root = next(item.root for item in layout() if item.name == "sqlite_autoindex_waiting_1")
    with open_pages(directory / "node.db") as pages:
        found = Found()
        keys = [row.values[0] for row in pages.walk(root, found)]
    data = (directory / "node.db").read_bytes()
    leaves = [number for number in found.pages if data[(number - 1) * PAGE] == 0x0A]
    at = max(data.find(keys[10], (number - 1) * PAGE, number * PAGE) for number in leaves)
    overwrite(directory, at + 31, bytes([data[at + 31] ^ 1]))
    report = mend(directory)
    assert report.findings.broken == {"indexes"}
    assert_all_is_there(directory, sample)


@pytest.mark.parametrize("size", [100, PAGE])
def test_a_destroyed_header_or_first_page_costs_nothing(sample: Sample, tmp_path: Path, size: int) -> None:
    directory = sample.copy(tmp_path / "state")
    overwrite(directory, 0, os.urandom(size))
    assert refusal(directory).code == "storage.damaged"
    report = mend(directory)
    assert report.findings.is_first_page_lost
    assert report.targets[0].arrivals == []
    assert_all_is_there(directory, sample)


def test_a_destroyed_first_page_that_the_log_has_again_is_healed_by_it(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state", with_log=True)
    overwrite(directory, 0, os.urandom(PAGE))
    assert check(directory, (T,)).is_sound
    assert_all_is_there(directory, sample)


def test_a_lost_target_row_is_built_anew_and_no_number_is_given_twice(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    root = next(item.root for item in layout() if item.name == "targets")
    overwrite(directory, (root - 1) * PAGE, bytes(PAGE))
    report = mend(directory)
    assert report.targets[0].is_end_lost
    opened = open_pool(directory)
    assert opened.waiting() == sample.waiting
    (arrival,) = opened.accept(sample.spare[:1])
    assert arrival.arrival_seq == 701 + MARGIN
    opened.store.close()


def test_a_damaged_bundle_is_lost_and_the_sealed_nonces_stay(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    connection = sqlite3.connect(directory / "node.db")
    connection.execute("UPDATE bundles SET data = zeroblob(length(data)) WHERE id = ?", (row_id(1, 1),))
    connection.commit()
    connection.close()
    report = mend(directory)
    assert report.targets[0].bundles == [1]
    opened = open_pool(directory)
    assert opened.waiting() == sample.waiting
    with pytest.raises(NotFoundError) as caught:
        journal.find_bundle(opened.store, T, 1)
    assert caught.value.code == "bundle.lost"
    opened.store.close()


def test_sealed_nonces_are_read_from_the_bundles_when_their_table_is_lost(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    with open_pages(directory / "node.db") as pages:
        root = next(item.root for item in layout() if item.name == "sealed_nonces")
        found = Found()
        before = sorted(row.values for row in pages.walk(root, found))
    for number in found.pages:
        overwrite(directory, (number - 1) * PAGE, bytes(PAGE))
    mend(directory)
    with open_pages(directory / "node.db") as pages:
        assert sorted(row.values for row in pages.walk(root, Found())) == before
    assert_all_is_there(directory, sample)


def test_after_losing_the_last_bundle_the_node_does_not_seal(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    guard = (directory / "guard" / "bundles-eip155-1").read_bytes()
    connection = sqlite3.connect(directory / "node.db")
    connection.execute("UPDATE bundles SET data = zeroblob(length(data)) WHERE id = ?", (row_id(1, 2),))
    connection.commit()
    connection.close()
    assert mend(directory).targets[0].bundles == [2]
    assert refusal(directory).code == "sign.rolled_back"
    assert (directory / "guard" / "bundles-eip155-1").read_bytes() == guard


def test_a_file_that_was_cut_gives_back_what_is_left(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state")
    size = (directory / "node.db").stat().st_size
    os.truncate(directory / "node.db", size // 2 + 77)
    assert refusal(directory).code == "storage.damaged"
    report = mend(directory)
    assert report.findings.unreadable_pages
    lost = {seq for first, last in report.targets[0].arrivals for seq in range(first, last + 1)}
    store = Store(directory)
    known = {seq for (seq,) in store.query("SELECT id & 65535 FROM waiting UNION SELECT id & 65535 FROM gone")}
    store.close()
    assert lost
    assert known
    assert lost | known == set(range(1, 701))
    assert not lost & known


# The log


def frame_offsets(directory: Path) -> list[int]:
    size = (directory / "node.db-wal").stat().st_size
    return list(range(32, size - PAGE, PAGE + 24))


def test_a_damaged_frame_in_the_middle_of_the_log_is_noticed_and_what_follows_is_saved(
    sample: Sample, tmp_path: Path
) -> None:
    directory = sample.copy(tmp_path / "state", with_log=True)
    frames = frame_offsets(directory)
    overwrite(directory, frames[len(frames) // 3] + 24 + 2000, b"\xde\xad\xbe\xef", "node.db-wal")
    error = refusal(directory)
    assert error.code == "storage.damaged"
    assert "write-ahead log" in error.message
    mend(directory)
    opened = open_pool(directory)
    assert opened.waiting().items() <= sample.waiting.items()
    assert len(opened.waiting()) > len(sample.waiting) - 30
    opened.store.close()


@pytest.mark.parametrize("size", [1, 32])
def test_a_log_with_a_damaged_header_is_noticed_and_saved(sample: Sample, tmp_path: Path, size: int) -> None:
    directory = sample.copy(tmp_path / "state", with_log=True)
    overwrite(directory, 0, b"\x11" * size, "node.db-wal")
    assert refusal(directory).code == "storage.damaged"
    report = mend(directory)
    assert report.findings.broken >= {"write-ahead log"}
    assert_all_is_there(directory, sample)


@pytest.mark.parametrize("keep", [0.0, 0.4])
def test_a_log_that_was_cut_or_deleted_is_noticed_and_no_number_is_given_twice(
    sample: Sample, tmp_path: Path, keep: float
) -> None:
    directory = sample.copy(tmp_path / "state", with_log=True)
    frames = frame_offsets(directory)
    if keep:
        os.truncate(directory / "node.db-wal", frames[int(len(frames) * keep)])
    else:
        (directory / "node.db-wal").unlink()
    error = refusal(directory)
    assert isinstance(error, RefusedError)
    assert error.code == "sign.rolled_back"
    report = mend(directory)
    (target,) = report.targets
    assert target.is_end_lost
    last = error.details["arrival_seq"]
    assert target.arrivals[-1] == (last + 1, 700)
    # The second bundle was signed and is gone: entries are taken, and nothing is sealed.
    assert refusal(directory).code == "sign.rolled_back"
    (directory / "guard" / "bundles-eip155-1").unlink()
    store = Store(directory)
    row = store.writer.submit(lambda c: journal.open_target(c, T, b"", 0)).result(5)
    assert row.arrival_seq == 700 + MARGIN
    before = store.query("SELECT arrival_ms, txid, previous FROM waiting WHERE id = ?", (row_id(1, last),))
    if before:
        arrival_ms, txid, previous = before[0]
        after = next_running_hash(previous, T, txid, last, arrival_ms)
        assert row.running_hash == gap_hash(after, T, last + 1, 700 + MARGIN)
    store.close()


def test_a_torn_end_of_the_log_that_nobody_was_told_of_is_no_damage(sample: Sample, tmp_path: Path) -> None:
    directory = sample.copy(tmp_path / "state", with_log=True)
    with (directory / "node.db-wal").open("ab") as file:
        file.write(b"\0\0\0\3\0\0\0\0" + (directory / "node.db-wal").read_bytes()[16:24] + os.urandom(3000))
    assert check(directory, (T,)).is_sound
    assert_all_is_there(directory, sample)


# Killed, full, called wrongly

KILLED = """
import os, signal, sys
from pathlib import Path
from bpci_node.store.repair import repair
limit, calls = int(sys.argv[2]), 0
def counting(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
for name in ("fsync", "replace", "unlink", "rename"):
    setattr(os, name, counting(name))
repair(Path(sys.argv[1]), ("eip155:1",), 1)
print(calls)
"""


def repair_and_be_killed(directory: Path, step: int) -> subprocess.CompletedProcess[str]:
    """Repair in a process that dies before this one of its calls that change files."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(directory), str(step)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "appliance")},
        capture_output=True,
        text=True,
        check=False,
    )


def damaged(sample: Sample, path: Path) -> Path:
    """A directory with a log, in which an inner page of the database is destroyed: nothing need be lost."""
    directory = sample.copy(path, with_log=True)
    Store(directory).close()
    (root,) = pages_of(directory, "waiting", INTERIOR_TABLE)
    overwrite(directory, (root - 1) * PAGE, bytes(PAGE))
    return directory


def test_a_repair_that_is_killed_begins_again_and_loses_nothing(sample: Sample, tmp_path: Path) -> None:
    done = repair_and_be_killed(damaged(sample, tmp_path / "whole"), -1)
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    assert steps > 10
    marked = 0
    for step in range(1, steps + 1):
        directory = damaged(sample, tmp_path / str(step))
        assert repair_and_be_killed(directory, step).returncode == -9
        if (directory / REPAIR_MARK).exists():
            marked += 1
            error = refusal(directory)
            assert error.code == "storage.repair"
            assert error.hint
        repair(directory, (T,), NOW)
        assert not (directory / REPAIR_MARK).exists()
        assert not list(directory.glob("*.new"))
        assert_all_is_there(directory, sample)
    assert marked > 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def test_a_repair_without_room_changes_nothing(sample: Sample, small_disk: Path) -> None:
    directory = damaged(sample, small_disk / "state")
    before = (directory / "node.db").read_bytes()
    # Not even for the new database; for that, and not for the copy.
    for least in (100_000, len(before) + 300_000):
        ballast = small_disk / "ballast"
        room = os.statvfs(small_disk)
        ballast.write_bytes(b"x" * (room.f_bavail * room.f_frsize - least))
        with pytest.raises(StorageError) as caught:
            repair(directory, (T,), NOW)
        assert caught.value.code == "storage.full"
        assert (directory / "node.db").read_bytes() == before
        assert sorted(path.name for path in directory.iterdir()) == ["guard", "lock", "node.db"]
        ballast.unlink()
    assert repair(directory, (T,), NOW).copy is not None
    assert_all_is_there(directory, sample)


def test_what_cannot_be_repaired_is_said(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(BpciError) as absent:
        check(tmp_path, (T,))
    assert absent.value.code == "storage.absent"
    directory = sample.copy(tmp_path / "state")
    store = Store(directory)
    with pytest.raises(StorageError) as locked:
        repair(directory, (T,), NOW)
    assert locked.value.code == "storage.locked"
    store.close()
    for offset, value, code in ((60, 99, "storage.newer"), (60, 1, "storage.version"), (68, 7, "storage.foreign")):
        changed = sample.copy(tmp_path / code)
        overwrite(changed, offset, value.to_bytes(4, "big"))
        with pytest.raises(StorageError) as caught:
            repair(changed, (T,), NOW)
        assert caught.value.code == code
    marked = sample.copy(tmp_path / "marked")
    (marked / REPAIR_MARK).write_text(json.dumps({"v": 1, "copy": "damaged-x"}))
    with pytest.raises(BpciError) as missing:
        repair(marked, (T,), NOW)
    assert missing.value.code == "storage.absent"


def test_pages_that_the_disk_does_not_give_are_lost_and_nothing_else(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = sample.copy(tmp_path / "state")
    bad = (pages_of(directory, "waiting", LEAF_TABLE)[5] - 1) * PAGE
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if offset <= bad < offset + size:
            raise OSError(5, "Input/output error")
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    report = repair(directory, (T,), NOW)
    monkeypatch.undo()
    assert report.findings.unreadable_pages == {bad // PAGE + 1}
    assert len(report.targets[0].arrivals) > 0
    open_pool(directory).store.close()


def damage_at_random(sample: Sample, directory: Path, random: Random) -> None:
    """Flip, blank or cut something somewhere; whatever comes of it must be named, and the rest be there."""
    shutil.rmtree(directory, ignore_errors=True)
    sample.copy(directory, with_log=random.random() < 0.5)
    names = [name for name in ("node.db", "node.db-wal") if (directory / name).exists()]
    for _ in range(random.choice((1, 1, 3, 20))):
        name = random.choice(names)
        size = (directory / name).stat().st_size
        length = random.choice((1, 1, 16, 512, 4096))
        overwrite(directory, random.randrange(max(1, size - length)), random.randbytes(length), name)


def survive(sample: Sample, directory: Path) -> None:
    try:
        report = repair(directory, (T,), NOW)
    except StorageError as error:
        assert error.code in ("storage.newer", "storage.version", "storage.foreign")  # noqa: PT017 - it may pass, too
        return
    lost = {seq for target in report.targets for first, last in target.arrivals for seq in range(first, last + 1)}
    try:
        opened = open_pool(directory)
    except RefusedError as error:
        assert error.code in ("sign.rolled_back", "sign.conflict")  # noqa: PT017 - it may pass, too
        (target,) = report.targets
        assert target.last_bundle < 2 or target.is_end_lost
        return
    waiting = opened.waiting()
    known = {seq for (seq,) in opened.store.query("SELECT id & 65535 FROM waiting UNION SELECT id & 65535 FROM gone")}
    assert lost.isdisjoint(known)
    assert set(range(1, 701)) <= lost | known
    # Nothing is invented, and what sat in a page that lost its latest form is waiting again at worst.
    assert {txid for seq, txid in waiting.items() if seq in sample.waiting} <= set(sample.waiting.values())
    if not report.findings.unreadable_pages:
        assert set(waiting) <= set(sample.waiting)
        assert set(sample.waiting) - set(waiting) <= lost
    opened.store.close()
    assert check(directory, (T,)).is_sound


@pytest.mark.parametrize("seed", range(25))
def test_whatever_is_damaged_is_named_and_the_rest_is_there(sample: Sample, tmp_path: Path, seed: int) -> None:
    damage_at_random(sample, tmp_path / "state", Random(seed))  # noqa: S311 - damage is no secret
    survive(sample, tmp_path / "state")


@pytest.mark.long
def test_whatever_is_damaged_is_named_many_times(sample: Sample, tmp_path: Path) -> None:
    for seed in range(1000, 1400):
        damage_at_random(sample, tmp_path / "state", Random(seed))  # noqa: S311 - damage is no secret
        survive(sample, tmp_path / "state")


def test_the_layout_of_a_new_database_is_what_a_lost_first_page_is_replaced_by(tmp_path: Path) -> None:
    Store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "node.db")
    stated = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))
    connection.close()
    assert {table.name: table.root for table in layout()} == stated


def test_the_page_reader_agrees_with_sqlite_on_every_table(sample: Sample) -> None:
    connection = sqlite3.connect(sample.closed / "node.db")
    with open_pages(sample.closed / "node.db") as pages:
        assert isinstance(pages, PageFile)
        for table in layout():
            if table.types:
                order = ", ".join(str(number) for number in range(1, len(table.types) + 1))
                wanted = connection.execute(f"SELECT * FROM {table.name} ORDER BY {order}").fetchall()  # noqa: S608
                rows = pages.walk(table.root, Found())
                found = [(row.rowid, *row.values[1:]) if table.has_rowid else row.values for row in rows]
                assert sorted(found) == wanted
    connection.close()


def test_the_command_says_what_it_found(
    sample: Sample, make_config: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bpci_node.cli.main import main
    from bpci_node.runtime.config import TargetSection, dump

    directory = damaged(sample, tmp_path / "state")
    config = make_config(state_dir=directory, targets=(TargetSection(T, 45_000_000, 10_000_000),))
    file = tmp_path / "node.toml"
    file.write_text(dump(config))

    def call(*options: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main(["node", "repair", "--config", str(file), *options])
        return int(caught.value.code or 0), capsys.readouterr().out

    status, text = call("--check")
    assert status == 1
    assert "nothing was changed" in text
    status, text = call("--json")
    assert status == 0
    report = json.loads(text)
    assert report["copy"].startswith(str(directory / "damaged-"))
    assert report["targets"][T]["lost_arrivals"] == []
    assert report["targets"][T]["guarded_bundle"] == 2
    status, text = call("--check")
    assert status == 0
    assert "sound" in text
