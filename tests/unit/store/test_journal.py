import sqlite3
from collections.abc import Callable

import pytest

from bpci_node.store import journal
from bpci_node.store.journal import InJob, JournalBundle, JournalEntry
from bpci_node.store.store import Store

T = "eip155:1"


def row(number: int, target: str = T) -> JournalEntry:
    return JournalEntry(
        target, number, 1000 + number, bytes([number]) * 32, bytes([number]) * 20, bytes([number + 100]) * 32, b"raw"
    )


def run(store: Store, job: Callable[[sqlite3.Connection], object]) -> None:
    store.writer.submit(job).result(5)


def test_what_waits_is_read_back_in_the_order_of_arrival(store: Store) -> None:
    run(store, lambda c: journal.append_entries(c, [row(number) for number in (1, 2, 3)], []))
    run(store, lambda c: journal.append_entries(c, [row(1, "eip155:5")], []))
    assert [entry.arrival_seq for entry in journal.pooled_entries(store, T)] == [1, 2, 3]
    assert journal.last_arrival(store, T) == (3, row(3).running_hash)
    assert journal.last_arrival(store, "eip155:9") is None
    assert journal.running_hash_at(store, T, 2) == row(2).running_hash
    assert journal.find_entry(store, T, row(2).txid) == row(2)
    assert journal.find_entry(store, "eip155:5", row(2).txid) is None


def test_pages_join_without_gap_or_repetition(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_PAGE", 3)
    run(store, lambda c: journal.append_entries(c, [row(number) for number in range(1, 8)], []))
    assert [entry.arrival_seq for entry in journal.pooled_entries(store, T)] == list(range(1, 8))


def test_sealed_and_replaced_entries_stay_known_and_wait_no_more(store: Store) -> None:
    run(store, lambda c: journal.append_entries(c, [row(1), row(2), row(3)], [row(1).txid]))
    bundle = JournalBundle(T, 1, b"d" * 32, b"the file")
    nonces = [(row(2).sender, 2**64 - 2)]
    run(store, lambda c: journal.append_bundle(c, bundle, [row(2).txid], nonces))
    assert [entry.arrival_seq for entry in journal.pooled_entries(store, T)] == [3]
    replaced, sealed = journal.find_entry(store, T, row(1).txid), journal.find_entry(store, T, row(2).txid)
    assert replaced is not None
    assert replaced.bundle == journal.REPLACED
    assert sealed is not None
    assert sealed.bundle == 1
    assert dict(journal.sealed_nonces(store, T)) == {row(2).sender: 2**64 - 2}
    assert journal.last_bundle(store, T) == (1, b"d" * 32)
    assert journal.find_bundle(store, T, 1) == b"the file"
    assert journal.find_bundle(store, T, 2) is None


def test_a_job_sees_what_it_has_written_itself(store: Store) -> None:
    def write(connection: sqlite3.Connection) -> tuple[object, object]:
        journal.append_entries(connection, [row(1)], [])
        return journal.last_arrival(InJob(connection), T), journal.last_arrival(store, T)

    assert store.writer.submit(write).result(5) == ((1, row(1).running_hash), None)


def test_one_entry_is_never_journalled_twice(store: Store) -> None:
    run(store, lambda c: journal.append_entries(c, [row(1)], []))
    with pytest.raises(Exception, match="UNIQUE"):
        run(store, lambda c: journal.append_entries(c, [row(1)], []))
