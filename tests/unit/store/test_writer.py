import sqlite3
import threading
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from bpci_node.errors import BpciError, RefusedError, StorageError
from bpci_node.store.store import Store


def insert(key: str, value: bytes = b"x"):
    def write(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (key, value))
        return key

    return write


def hold(store: Store) -> threading.Event:
    """Keep the writer busy, so that what follows is one group."""
    release, entered = threading.Event(), threading.Event()

    def write(_connection: sqlite3.Connection) -> None:
        entered.set()
        release.wait(60)

    store.writer.submit(write)
    assert entered.wait(60)
    return release


def test_jobs_that_wait_together_share_one_commit(store: Store) -> None:
    release = hold(store)
    futures = [store.writer.submit(insert(f"k{number}")) for number in range(50)]
    before = store.writer.statistics.commits
    release.set()
    assert [future.result(5) for future in futures] == [f"k{number}" for number in range(50)]
    assert store.writer.statistics.commits - before <= 2
    assert store.writer.statistics.last_group == 50


def test_a_result_comes_after_its_commit(store: Store) -> None:
    seen: list[bytes | None] = []
    future = store.writer.submit(insert("k", b"value"))
    future.add_done_callback(lambda _future: seen.append(store.meta("k")))
    future.result(5)
    wait([future])
    assert store.meta("k") == b"value"
    assert seen == [b"value"]


def test_a_job_that_fails_takes_nothing_else_with_it(store: Store) -> None:
    undone: list[str] = []

    def refuse(connection: sqlite3.Connection) -> None:
        insert("half-written")(connection)
        raise RefusedError("no", code="entry.no")

    release = hold(store)
    good = store.writer.submit(insert("good"), undo=lambda: undone.append("good"))
    bad: Future[None] = store.writer.submit(refuse, undo=lambda: undone.append("bad"))
    other = store.writer.submit(insert("other"))
    release.set()
    assert good.result(5) == "good"
    assert other.result(5) == "other"
    with pytest.raises(RefusedError) as caught:
        bad.result(5)
    assert caught.value.code == "entry.no"
    assert undone == ["bad"]
    assert store.meta("half-written") is None


def test_a_full_database_fails_the_whole_group_undoes_it_and_recovers(store: Store) -> None:
    undone: list[int] = []
    connection_of: list[sqlite3.Connection] = []
    store.writer.submit(connection_of.append).result(5)

    def cap(connection: sqlite3.Connection) -> int:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        return int(connection.execute(f"PRAGMA max_page_count={pages + 2}").fetchone()[0])

    store.writer.submit(cap).result(5)
    release = hold(store)
    first = store.writer.submit(insert("small"), undo=lambda: undone.append(1))
    second = store.writer.submit(insert("large", b"x" * 100_000), undo=lambda: undone.append(2))
    third = store.writer.submit(insert("after"), undo=lambda: undone.append(3))
    release.set()
    codes = []
    for future in (first, second, third):
        with pytest.raises(StorageError) as caught:
            future.result(5)
        codes.append(caught.value.code)
    assert set(codes) == {"storage.full"}
    assert sorted(undone) == [1, 2]
    assert store.meta("small") is None
    assert store.writer.error is not None
    assert store.writer.error.code == "storage.full"
    # Reading goes on, and a job that writes nothing does not hide the failure.
    assert store.query("SELECT count(*) FROM meta") == [(0,)]
    store.writer.submit(lambda connection: connection.execute("SELECT 1").fetchone()).result(5)
    assert store.writer.error is not None
    store.writer.submit(lambda connection: connection.execute("PRAGMA max_page_count=1000000").fetchone()).result(5)
    store.set_meta("again", b"y")
    assert store.writer.error is None
    assert store.meta("again") == b"y"


def test_after_damage_nothing_is_written_any_more(store: Store) -> None:
    def damage(_connection: sqlite3.Connection) -> None:
        error = sqlite3.DatabaseError("malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    with pytest.raises(StorageError):
        store.writer.submit(damage).result(5)
    with pytest.raises(StorageError) as caught:
        store.set_meta("k", b"v")
    assert caught.value.code == "storage.damaged"


def test_closing_commits_what_waits_and_refuses_what_follows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    futures = [store.writer.submit(insert(f"k{number}")) for number in range(20)]
    store.close()
    assert all(future.done() for future in futures)
    with pytest.raises(BpciError) as caught:
        store.writer.submit(insert("late")).result(5)
    assert caught.value.code == "unreachable.stopping"
    again = Store(tmp_path)
    assert again.query("SELECT count(*) FROM meta") == [(20,)]
    again.close()


def test_a_job_given_up_in_time_is_not_written(store: Store) -> None:
    release = hold(store)
    future = store.writer.submit(insert("given up"))
    assert future.cancel()
    release.set()
    store.set_meta("after", b"x")
    assert store.meta("given up") is None


def test_the_watchdog_sees_a_writer_that_is_stuck(store: Store) -> None:
    assert store.writer.is_alive(0.0)
    release = hold(store)
    assert not store.writer.is_alive(0.0)
    assert store.writer.is_alive(60.0)
    release.set()


def test_too_little_room_on_the_disk_is_said_before_anything_is_written(store: Store) -> None:
    store.require_room(1)
    with pytest.raises(StorageError) as caught:
        store.require_room(1 << 62)
    assert caught.value.code == "storage.full"
