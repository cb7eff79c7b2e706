import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import NotFoundError
from bpci_node.mempool.receipt import START, next_running_hash
from bpci_node.store import compaction, journal
from bpci_node.store.journal import Arrivals, JournalBundle
from bpci_node.store.journal_row import CANCELLED, EVICTED, row_id, waiting_row
from bpci_node.store.store import Store

T = "eip155:1"
RAW = b"r" * 1000


def txid(seq: int) -> bytes:
    return seq.to_bytes(32, "big")


def run(store: Store, job: Callable[[sqlite3.Connection], Any]) -> Any:
    return store.writer.submit(job).result(10)


def fill(store: Store, count: int) -> int:
    """Let ``count`` entries arrive; return the target's number."""

    def write(connection: sqlite3.Connection) -> int:
        number, after = journal.open_target(connection, T, b"", 1).number, START
        arrivals = Arrivals(number, 0)
        for seq in range(1, count + 1):
            previous, after = after, next_running_hash(after, T, txid(seq), seq, seq)
            identifier = row_id(number, seq)
            arrivals.add(waiting_row(identifier, seq, txid(seq), b"s" * 20, RAW, previous=previous, after=after))
        arrivals.write(connection, count, after)
        return number

    return int(run(store, write))


def leave(store: Store, number: int, seqs: range, left_ms: int) -> None:
    run(store, lambda c: journal.leave(c, number, EVICTED, left_ms, [txid(seq) for seq in seqs]))


def forget(store: Store, before_ms: int, most: int = 1000) -> int:
    return int(run(store, lambda c: compaction.forget_entries(c, before_ms, most)))


def known(store: Store, count: int) -> list[int]:
    return [seq for seq in range(1, count + 1) if journal.find_entry(store, T, txid(seq)) is not None]


def test_only_what_left_before_the_time_is_forgotten_oldest_departure_first(store: Store) -> None:
    number = fill(store, 9)
    leave(store, number, range(5, 7), left_ms=10)
    leave(store, number, range(1, 4), left_ms=20)
    assert forget(store, before_ms=10) == 0
    assert forget(store, before_ms=21, most=2) == 2
    assert known(store, 9) == [1, 2, 3, 4, 7, 8, 9]
    assert run(store, lambda c: journal.forgotten_seq(c, number)) == 6
    assert forget(store, before_ms=20) == 0
    assert forget(store, before_ms=21) == 3
    assert known(store, 9) == [4, 7, 8, 9]
    assert run(store, lambda c: journal.forgotten_seq(c, number)) == 6


def test_arrivals_go_on_where_they_were_when_everything_is_forgotten(store: Store) -> None:
    number = fill(store, 5)
    before = run(store, lambda c: journal.open_target(c, T, b"", 1))
    leave(store, number, range(1, 6), left_ms=1)
    assert forget(store, before_ms=2) == 5
    after = run(store, lambda c: journal.open_target(c, T, b"", 1))
    assert (after.arrival_seq, after.running_hash, after.waiting) == (5, before.running_hash, 0)


def test_a_row_that_stays_is_answered_for_without_its_neighbours(store: Store) -> None:
    number = fill(store, 5)
    before = journal.find_entry(store, T, txid(4))
    leave(store, number, range(1, 4), left_ms=1)
    forget(store, before_ms=2)
    assert before is not None
    assert journal.find_entry(store, T, txid(4)) == before


def test_a_cancellation_goes_with_its_entry(store: Store) -> None:
    number = fill(store, 2)

    def cancel(connection: sqlite3.Connection) -> None:
        journal.leave(connection, number, CANCELLED, 1, [txid(1)])
        journal.append_cancellation(connection, number, 1, b"signed")

    run(store, cancel)
    assert store.query("SELECT data FROM cancellations") == [(b"signed",)]
    forget(store, before_ms=2)
    assert store.query("SELECT data FROM cancellations") == []


def test_each_target_keeps_its_last_bundles(store: Store) -> None:
    numbers = [run(store, lambda c, name=name: journal.open_target(c, name, b"", 1).number) for name in (T, "eip155:5")]

    def seal(connection: sqlite3.Connection) -> None:
        for number, name, count in zip(numbers, (T, "eip155:5"), (5, 2), strict=True):
            for sequence in range(1, count + 1):
                bundle = JournalBundle(name, sequence, b"d" * 32, b"data")
                journal.append_bundle(connection, number, bundle, now_ms=1, txids=[], superseded=[], nonces=[], keys=[])

    run(store, seal)
    assert run(store, lambda c: compaction.forget_bundles(c, 2, 2)) == 2
    assert run(store, lambda c: compaction.forget_bundles(c, 2, 2)) == 1
    assert run(store, lambda c: compaction.forget_bundles(c, 2, 2)) == 0
    assert [journal.find_bundle(store, T, sequence) for sequence in (4, 5, 6)] == [b"data", b"data", None]
    for sequence in (1, 2, 3):
        with pytest.raises(NotFoundError) as caught:
            journal.find_bundle(store, T, sequence)
        assert caught.value.code == "bundle.forgotten"
    assert [journal.find_bundle(store, "eip155:5", sequence) for sequence in (1, 2)] == [b"data"] * 2
    assert journal.last_bundle(store, T) == (5, b"d" * 32)


def test_pages_that_nobody_uses_go_back_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_LEAST_FREE_PAGES", 16)
    store = Store(tmp_path)
    number = fill(store, 2000)
    leave(store, number, range(1, 2001), left_ms=1)
    forget(store, before_ms=2, most=5000)
    store.close()
    large = (tmp_path / "node.db").stat().st_size
    store = Store(tmp_path)
    steps = []
    while done := run(store, lambda c: compaction.shrink(c, 64)):
        steps.append(done)
    store.close()
    assert steps[:-1] == [64] * (len(steps) - 1)
    assert len(steps) > 3
    assert (tmp_path / "node.db").stat().st_size < large / 5
    connection = sqlite3.connect(tmp_path / "node.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
