import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bpci_node.errors import StorageError
from bpci_node.mempool.receipt import START, next_running_hash
from bpci_node.store import journal
from bpci_node.store.journal import Arrivals, InJob, JournalBundle, TargetRow
from bpci_node.store.journal_row import CANCELLED, EVICTED, REPLACED, WaitingRow, check_waiting, row_id, waiting_row
from bpci_node.store.store import Store

T, OTHER = "eip155:1", "eip155:5"
TERMS = b"terms"
NOW = 1_700_000_000_000


def txid(number: int, target: str = T) -> bytes:
    """A txid is one target's: what is signed names its chain."""
    return bytes([number]) * 31 + target[-1:].encode()


def chain(number: int, count: int, target: str = T) -> tuple[list[WaitingRow], bytes]:
    """Rows of the first arrivals at a target, and the running hash after them."""
    rows, after = [], START
    for seq in range(1, count + 1):
        previous, after = after, next_running_hash(after, target, txid(seq, target), seq, NOW + seq)
        sender = bytes([seq]) * 20
        rows.append(
            waiting_row(
                row_id(number, seq), NOW + seq, txid(seq, target), sender, b"raw", previous=previous, after=after
            )
        )
    return rows, after


def run(store: Store, job: Callable[[sqlite3.Connection], Any]) -> Any:
    return store.writer.submit(job).result(5)


def opened(store: Store, target: str = T) -> TargetRow:
    return run(store, lambda c: journal.open_target(c, target, TERMS, 7))


def fill(store: Store, count: int, target: str = T, leaving: tuple[tuple[int, int], ...] = ()) -> TargetRow:
    """Write the first arrivals at a target in one job; those of ``leaving`` leave in it."""
    number = opened(store, target).number
    rows, after = chain(number, count, target)

    def write(connection: sqlite3.Connection) -> None:
        arrivals = Arrivals(number, NOW)
        for row in rows:
            arrivals.add(row)
        for seq, bundle in leaving:
            arrivals.leave(txid(seq), bundle)
        arrivals.write(connection, count, after)

    run(store, write)
    return opened(store, target)


def waiting(store: Store, number: int) -> list[int]:
    return run(store, lambda c: [row[0] & 0xFFFF for row in journal.waiting_entries(c, number)])


def states(store: Store, count: int, target: str = T) -> list[int | None]:
    found = [journal.find_entry(store, target, txid(seq)) for seq in range(1, count + 1)]
    return [entry.bundle if entry is not None else -99 for entry in found]


def test_what_waits_is_read_back_in_the_order_of_arrival(store: Store) -> None:
    row = fill(store, 3)
    other = fill(store, 1, OTHER)
    assert waiting(store, row.number) == [1, 2, 3]
    assert waiting(store, other.number) == [1]
    rows, after = chain(row.number, 3)
    assert (row.arrival_seq, row.running_hash, row.waiting) == (3, after, 3)
    assert run(store, lambda c: list(journal.waiting_entries(c, row.number))) == rows
    assert [check_waiting(T, item) for item in rows][-1] == after
    found = journal.find_entry(store, T, txid(2))
    assert found is not None
    assert (found.arrival_seq, found.previous, found.bundle) == (2, rows[1][4], None)
    assert found.running_hash == rows[2][4]
    assert journal.find_entry(store, OTHER, txid(2)) is None
    assert journal.find_entry(store, "eip155:9", txid(2)) is None


def test_whoever_leaves_stays_known_with_the_reason(store: Store) -> None:
    number = fill(store, 6, leaving=((1, REPLACED), (2, EVICTED))).number
    bundle = JournalBundle(T, 1, b"d" * 32, b"the file")

    def leave(connection: sqlite3.Connection) -> None:
        journal.append_bundle(
            connection,
            number,
            bundle,
            now_ms=NOW,
            txids=[txid(3)],
            superseded=[txid(4)],
            nonces=[(b"\x03" * 20, 2**64 - 2)],
            keys=[b"\0\0\0\1"],
        )
        journal.leave(connection, number, CANCELLED, NOW, [txid(5)])

    run(store, leave)
    assert states(store, 6) == [REPLACED, EVICTED, 1, REPLACED, CANCELLED, None]
    assert waiting(store, number) == [6]
    assert opened(store).waiting == 1
    assert run(store, lambda c: list(journal.sealed_nonces(c, number))) == [(b"\x03" * 20, 2**64 - 2)]
    assert run(store, lambda c: journal.epochs(c, number)) == {b"\0\0\0\1": 1}
    assert journal.last_bundle(store, T) == (1, b"d" * 32)
    assert journal.last_bundle(store, OTHER) is None
    assert journal.find_bundle(store, T, 1) == b"the file"
    assert journal.find_bundle(store, T, 2) is None
    for seq in range(1, 6):
        found = journal.find_entry(store, T, txid(seq))
        assert found is not None
        assert found.left_ms == NOW
        assert found.previous == chain(number, 6)[0][seq - 1][4]


def test_an_entry_that_left_may_arrive_again_even_in_one_job(store: Store) -> None:
    number = fill(store, 2).number

    def again(connection: sqlite3.Connection) -> None:
        arrivals = Arrivals(number, NOW)
        row = opened_row(connection)
        after = row.running_hash
        for seq in (3, 4, 5):
            # Arrival 3 pushes out the first entry, which comes back as 4; 5 pushes that out, too.
            again = txid(1) if seq == 4 else txid(seq)
            previous, after = after, next_running_hash(after, T, again, seq, NOW)
            if seq in (3, 5):
                arrivals.leave(txid(1), EVICTED)
            arrivals.add(
                waiting_row(row_id(number, seq), NOW, again, b"s" * 20, b"raw", previous=previous, after=after)
            )
        arrivals.write(connection, 5, after)

    def opened_row(connection: sqlite3.Connection) -> TargetRow:
        return journal.open_target(connection, T, TERMS, 7)

    run(store, again)
    assert waiting(store, number) == [2, 3, 5]
    assert store.query("SELECT id & 65535, bundle FROM gone ORDER BY id") == [(1, EVICTED), (4, EVICTED)]
    last = journal.find_entry(store, T, txid(1))
    assert last is not None
    assert last.arrival_seq == 4
    assert opened(store).waiting == 3


def test_the_base_fee_in_force_stays_until_the_configuration_says_another(store: Store) -> None:
    row = fill(store, 1)
    assert row.base_fee_wei == 7

    def seal(connection: sqlite3.Connection) -> None:
        journal.set_base_fee(connection, row.number, 9)
        bundle = JournalBundle(T, 3, b"d" * 32, b"the file")
        journal.append_bundle(
            connection, row.number, bundle, now_ms=NOW, txids=[], superseded=[], nonces=[], keys=[b"\0\0\0\1"]
        )

    run(store, seal)
    assert opened(store).base_fee_wei == 9
    assert run(store, lambda c: journal.epochs(c, row.number)) == {b"\0\0\0\1": 3}
    changed = run(store, lambda c: journal.open_target(c, T, b"other terms", 8))
    assert changed == replace(row, base_fee_wei=8)
    assert run(store, lambda c: journal.epochs(c, row.number)) == {}


def test_a_job_sees_what_it_has_written_itself(store: Store) -> None:
    number = opened(store).number
    rows, after = chain(number, 1)

    def write(connection: sqlite3.Connection) -> tuple[object, object]:
        arrivals = Arrivals(number, NOW)
        arrivals.add(rows[0])
        arrivals.write(connection, 1, after)
        inside = journal.find_entry(InJob(connection), T, txid(1))
        return inside is not None, journal.find_entry(store, T, txid(1))

    assert run(store, write) == (True, None)


def test_one_entry_never_waits_twice(store: Store) -> None:
    number = fill(store, 1).number
    rows, after = chain(number, 1)
    twin = (row_id(number, 2), *rows[0][1:])

    def write(connection: sqlite3.Connection) -> None:
        arrivals = Arrivals(number, NOW)
        arrivals.add(twin)
        arrivals.write(connection, 2, after)

    with pytest.raises(StorageError, match="UNIQUE"):
        run(store, write)


def test_leaving_what_does_not_wait_is_damage(store: Store) -> None:
    number = fill(store, 1).number
    with pytest.raises(StorageError) as caught:
        run(store, lambda c: journal.leave(c, number, EVICTED, NOW, [txid(1), txid(9)]))
    assert caught.value.code == "storage.damaged"
    assert states(store, 1) == [None]


@pytest.mark.parametrize("column", ["arrival_ms", "txid", "sender", "previous", "bundle", "left_ms", "row_check"])
def test_an_altered_column_of_an_entry_that_left_is_named(store: Store, column: str) -> None:
    fill(store, 2, leaving=((2, REPLACED),))
    change = {"txid": "x'" + "02" * 31 + "32'", "sender": "zeroblob(20)", "previous": "zeroblob(32)"}
    statement = f"UPDATE gone SET {column} = {change.get(column, column + ' + 1')}"  # noqa: S608 - names of this test
    run(store, lambda c: c.execute(statement).rowcount)
    wanted = bytes.fromhex("02" * 31 + "32") if column == "txid" else txid(2)
    with pytest.raises(StorageError) as caught:
        journal.find_entry(store, T, wanted)
    assert caught.value.code == "storage.damaged"
    assert caught.value.details == {"table": "gone", "target": T, "arrival": 2}


@pytest.mark.parametrize("position", range(1, 10))
def test_an_altered_column_of_a_waiting_entry_is_named(position: int) -> None:
    row = list(chain(1, 2)[0][1])
    row[position] = row[position] + 1 if isinstance(row[position], int) else b"?" + row[position][1:]
    with pytest.raises(StorageError) as caught:
        check_waiting(T, tuple(row))
    assert caught.value.details == {"table": "waiting", "target": T, "arrival": 2}


def test_a_damaged_bundle_is_named(store: Store) -> None:
    number = fill(store, 1).number
    bundle = JournalBundle(T, 1, b"d" * 32, b"the file")
    run(
        store,
        lambda c: journal.append_bundle(
            c, number, bundle, now_ms=NOW, txids=[txid(1)], superseded=[], nonces=[], keys=[]
        ),
    )
    run(store, lambda c: c.execute("UPDATE bundles SET data = CAST('the fyle' AS BLOB)").rowcount)
    with pytest.raises(StorageError) as caught:
        journal.find_bundle(store, T, 1)
    assert caught.value.details == {"table": "bundles", "target": T, "bundle": 1}
