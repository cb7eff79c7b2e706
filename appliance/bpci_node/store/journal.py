"""The journal: what arrived and in which order, what waits, where the rest went, and the bundles sealed from it.

A row is written before its receipt is returned: it is what "accepted" and "sealed" mean. An entry that waits stands in
``waiting`` with its raw bytes; when it leaves, its row moves to ``gone`` without them, in the commit that says why. The
row of its target carries how far arrivals have got, so that nothing of the order is lost when rows are forgotten.

Functions that write take the connection of a job of the writer. Those that read take a :class:`Reader`: inside a job
:class:`InJob`, which also sees what the job has written; elsewhere the store, which sees what is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Protocol
from zlib import crc32

from bpci_node.errors import NotFoundError, StorageError
from bpci_node.mempool.receipt import START
from bpci_node.store.journal_row import (
    REPAIR,
    REPLACED,
    JournalEntry,
    WaitingRow,
    damaged_row,
    departure_check,
    epoch_check,
    gone_row,
    nonce_check,
    read_entry,
    row_id,
    split_id,
    terms_check,
)


class Reader(Protocol):
    """What answers a reading statement with all its rows: the store, or :class:`InJob`."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows."""
        ...


class InJob:
    """Reads through the writing connection, inside a job."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows, those of the running transaction included."""
        return self._connection.execute(sql, parameters).fetchall()


@dataclass(frozen=True, slots=True)
class TargetRow:
    """What the journal keeps of a target, beside its rows."""

    number: int
    """Its number in this journal, from 1."""
    base_fee_wei: int
    """The base fee in force, wei."""
    arrival_seq: int
    """The last arrival number that was given, 0 before the first."""
    running_hash: bytes
    """Running hash after it, 32 bytes."""
    waiting: int
    """Entries that wait."""
    forgotten_seq: int
    """The greatest arrival number of an entry that is no longer kept, 0 if none was forgotten."""
    is_guarded: bool
    """Whether a guard beside the database remembers arrivals."""


@dataclass(frozen=True, slots=True)
class JournalBundle:
    """One sealed bundle."""

    target: str
    sequence: int
    """Position among the bundles of this target, from 1."""
    digest: bytes
    """Digest of its header, 32 bytes."""
    data: bytes
    """The bundle file."""


# Targets


def open_target(connection: Connection, name: str, terms: bytes, base_fee_wei: int) -> TargetRow:
    """Return the row of a target, made if there is none.

    Where the configured terms are others than at the last start, the configured base fee is in force again, and no
    bucket has an epoch.

    Args:
        name: CAIP-2 id.
        terms: what the configuration says, in any fixed form.
        base_fee_wei: what it says of the base fee.
    """
    found = connection.execute(
        "SELECT number, base_fee, arrival_seq, running_hash, waiting, forgotten_seq, guarded, terms, terms_check"
        " FROM targets WHERE name = ?",
        (name,),
    ).fetchone()
    if found is None:
        number = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM targets").fetchone()[0]
        connection.execute("INSERT INTO targets VALUES (?, ?, x'', 0, 0, 0, ?, 0, 0, 0, 0)", (number, name, START))
        _set_terms(connection, number, name, terms, base_fee_wei)
        return open_target(connection, name, terms, base_fee_wei)
    number, base_fee, arrival_seq, running_hash, waiting, forgotten, guarded, kept_terms, check = found
    if check != terms_check(number, name, kept_terms, base_fee):
        raise StorageError(
            f"the journal is damaged: table targets, terms of {name}",
            code="storage.damaged",
            hint=REPAIR,
            table="targets",
            target=name,
        )
    if kept_terms == terms:
        return TargetRow(number, base_fee, arrival_seq, running_hash, waiting, forgotten, bool(guarded))
    _set_terms(connection, number, name, terms, base_fee_wei)
    return open_target(connection, name, terms, base_fee_wei)


def set_base_fee(connection: Connection, number: int, base_fee_wei: int) -> None:
    """Keep the base fee in force. Buckets are others at another base fee: no epoch stays."""
    name, terms = connection.execute("SELECT name, terms FROM targets WHERE number = ?", (number,)).fetchone()
    _set_terms(connection, number, name, terms, base_fee_wei)


def _set_terms(connection: Connection, number: int, name: str, terms: bytes, base_fee_wei: int) -> None:
    connection.execute(
        "UPDATE targets SET terms = ?, base_fee = ?, terms_check = ? WHERE number = ?",
        (terms, base_fee_wei, terms_check(number, name, terms, base_fee_wei), number),
    )
    connection.execute("DELETE FROM epochs WHERE target = ?", (number,))


def forgotten_seq(connection: Connection, number: int) -> int:
    """Return the greatest arrival number of an entry that is no longer kept, 0 if none was forgotten."""
    found = connection.execute("SELECT forgotten_seq FROM targets WHERE number = ?", (number,)).fetchone()
    return int(found[0]) if found else 0


def set_guarded(connection: Connection, number: int) -> None:
    """Keep that a guard remembers arrivals from now on."""
    connection.execute("UPDATE targets SET guarded = 1 WHERE number = ?", (number,))


def epochs(connection: Connection, number: int) -> dict[bytes, int]:
    """Return, by bucket key, the last bundle that took an entry of the bucket.

    Raises:
        StorageError: a row is damaged (``storage.damaged``).
    """
    found = {}
    for key, epoch, check in connection.execute(
        "SELECT key, epoch, row_check FROM epochs WHERE target = ? ORDER BY key", (number,)
    ):
        if check != epoch_check(number, key, epoch):
            raise _damaged_row("epochs", f"bucket {key.hex()}")
        found[key] = epoch
    return found


# Entries


class Arrivals:
    """What one job accepts for one target, and what gives way to it; written together."""

    __slots__ = ("_fresh", "_gone", "_leaving", "_now_ms", "_number")

    def __init__(self, number: int, now_ms: int) -> None:
        """Begin.

        Args:
            number: of the target.
            now_ms: Unix milliseconds.
        """
        self._number, self._now_ms = number, now_ms
        self._fresh: dict[bytes, WaitingRow] = {}
        self._gone: list[tuple[Any, ...]] = []
        self._leaving: list[tuple[bytes, int]] = []

    def add(self, row: WaitingRow) -> None:
        """Note an accepted entry; in the order of arrival."""
        self._fresh[row[2]] = row

    def leave(self, txid: bytes, bundle: int) -> None:
        """Note that an entry leaves, one that waited before or one of these: ``REPLACED`` or ``EVICTED``."""
        row = self._fresh.pop(txid, None)
        if row is None:
            self._leaving.append((txid, bundle))
        else:
            self._gone.append(gone_row(row, bundle, self._now_ms))

    def write(self, connection: Connection, arrival_seq: int, running_hash: bytes) -> None:
        """Write everything.

        Args:
            arrival_seq: number of the last of them, and the running hash after it.
        Raises:
            StorageError: an entry that leaves does not wait in the journal (``storage.damaged``).
        """
        # Those that waited before leave first: one of them may have arrived again.
        for bundle in sorted({bundle for _, bundle in self._leaving}):
            leave(
                connection, self._number, bundle, self._now_ms, [txid for txid, why in self._leaving if why == bundle]
            )
        connection.executemany("INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._fresh.values())
        connection.executemany("INSERT INTO gone VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._gone)
        connection.execute(
            "UPDATE targets SET arrival_seq = ?, running_hash = ?, waiting = waiting + ? WHERE number = ?",
            (arrival_seq, running_hash, len(self._fresh), self._number),
        )


def leave(connection: Connection, number: int, bundle: int, left_ms: int, txids: Sequence[bytes]) -> None:
    """Move entries out of what waits.

    Args:
        number: of the target.
        bundle: sequence of the bundle that took them, or another reason of :mod:`bpci_node.store.journal_row`.
        left_ms: Unix milliseconds.
    Raises:
        StorageError: one of them does not wait in the journal (``storage.damaged``).
    """
    check = departure_check(bundle, left_ms)
    connection.executemany(
        "INSERT INTO gone SELECT id, arrival_ms, txid, sender, previous, ?, ?, (row_check + ?) & 4294967295"
        " FROM waiting WHERE txid = ?",
        [(bundle, left_ms, check, txid) for txid in txids],
    )
    moved = connection.executemany("DELETE FROM waiting WHERE txid = ?", [(txid,) for txid in txids]).rowcount
    if moved != len(txids):
        raise StorageError(
            f"the journal is damaged: table waiting lacks {len(txids) - moved} entries that the pool holds",
            code="storage.damaged",
            hint=REPAIR,
            table="waiting",
        )
    connection.execute("UPDATE targets SET waiting = waiting - ? WHERE number = ?", (moved, number))


def append_cancellation(connection: Connection, number: int, arrival_seq: int, data: bytes) -> None:
    """Keep the signed word by which a sender took an entry back."""
    connection.execute("INSERT INTO cancellations (id, data) VALUES (?, ?)", (row_id(number, arrival_seq), data))


def waiting_entries(connection: Connection, number: int) -> Iterator[WaitingRow]:
    """Yield the rows of what waits for the target of this number, in the order of arrival, unchecked."""
    return connection.execute(
        "SELECT * FROM waiting WHERE id BETWEEN ? AND ? ORDER BY id", (row_id(number, 0), row_id(number + 1, 0) - 1)
    )


def find_entry(reader: Reader, target: str, txid: bytes) -> JournalEntry | None:
    """Return the accepted entry with this txid, whether it waits or has left; its last arrival if it had several.

    Raises:
        StorageError: its row is damaged (``storage.damaged``).
    """
    rows = reader.query(
        "SELECT id, arrival_ms, txid, sender, previous, NULL, NULL, row_check"
        " FROM waiting JOIN targets ON number = id >> 48 WHERE txid = ?1 AND name = ?2"
        " UNION ALL SELECT id, arrival_ms, txid, sender, previous, bundle, left_ms, row_check"
        " FROM gone JOIN targets ON number = id >> 48"
        " WHERE substr(txid, 1, 8) = substr(?1, 1, 8) AND txid = ?1 AND name = ?2"
        " ORDER BY 1 DESC LIMIT 1",
        (txid, target),
    )
    return read_entry(target, rows[0]) if rows else None


# Bundles


def append_bundle(
    connection: Connection,
    number: int,
    bundle: JournalBundle,
    *,
    now_ms: int,
    txids: Sequence[bytes],
    superseded: Sequence[bytes],
    nonces: Iterable[tuple[bytes, int]],
    keys: Iterable[bytes],
) -> None:
    """Write a sealed bundle, and let what it holds leave.

    Args:
        number: of the target.
        now_ms: Unix milliseconds.
        txids: its entries.
        superseded: entries that it does not hold, and that can't follow it: their nonces are sealed.
        nonces: sender and greatest sealed nonce of each.
        keys: of the buckets that it took entries from.
    Raises:
        StorageError: one of the entries does not wait in the journal (``storage.damaged``).
    """
    connection.execute(
        "INSERT INTO bundles (id, digest, data_check, data) VALUES (?, ?, ?, ?)",
        (row_id(number, bundle.sequence), bundle.digest, crc32(bundle.data), bundle.data),
    )
    leave(connection, number, bundle.sequence, now_ms, txids)
    leave(connection, number, REPLACED, now_ms, superseded)
    seal_nonces(connection, number, nonces)
    connection.executemany(
        "INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?)",
        [(number, key, bundle.sequence, epoch_check(number, key, bundle.sequence)) for key in keys],
    )


def seal_nonces(connection: Connection, number: int, nonces: Iterable[tuple[bytes, int]]) -> None:
    """Write the greatest sealed nonce of each of these senders; ``number`` is that of the target."""
    connection.executemany(
        # Text, because a nonce may exceed what a signed 64-bit column holds.
        "INSERT OR REPLACE INTO sealed_nonces VALUES (?, ?, ?, ?)",
        [(number, sender, str(nonce), nonce_check(number, sender, str(nonce))) for sender, nonce in nonces],
    )


def sealed_nonces(connection: Connection, number: int) -> Iterator[tuple[bytes, int]]:
    """Yield each sender of whom something is sealed, and the greatest sealed nonce.

    Raises:
        StorageError: a row is damaged (``storage.damaged``).
    """
    for sender, nonce, check in connection.execute(
        "SELECT sender, nonce, row_check FROM sealed_nonces WHERE target = ?", (number,)
    ):
        if check != nonce_check(number, sender, nonce):
            raise _damaged_row("sealed_nonces", f"sender {sender.hex()}")
        yield sender, int(nonce)


def last_bundle(reader: Reader, target: str) -> tuple[int, bytes] | None:
    """Return sequence and digest of the latest bundle of ``target``."""
    rows = reader.query(
        "SELECT bundles.id, digest FROM targets"
        " JOIN bundles ON bundles.id BETWEEN number << 48 AND (number + 1 << 48) - 1"
        " WHERE name = ? ORDER BY bundles.id DESC LIMIT 1",
        (target,),
    )
    return (split_id(rows[0][0])[1], rows[0][1]) if rows else None


def find_bundle(reader: Reader, target: str, sequence: int) -> bytes | None:
    """Return the bundle file with this sequence, ``None`` if there was none.

    Raises:
        NotFoundError: it is not kept any more (``bundle.forgotten``), or was lost with a damaged disk
            (``bundle.lost``).
        StorageError: it is damaged (``storage.damaged``).
    """
    rows = reader.query(
        "SELECT data, data_check FROM targets JOIN bundles ON bundles.id = (number << 48) + ? WHERE name = ?",
        (sequence, target),
    )
    if not rows:
        _require_unknown(reader, target, sequence)
        return None
    data, check = rows[0]
    if crc32(data) != check:
        raise damaged_row("bundles", target, sequence)
    return bytes(data)


def _require_unknown(reader: Reader, target: str, sequence: int) -> None:
    """Check that a bundle that is not there never was.

    Raises:
        NotFoundError: it was (``bundle.forgotten``, ``bundle.lost``).
    """
    rows = reader.query(
        "SELECT forgotten_bundle >= ?1, EXISTS (SELECT 1 FROM lost_bundles WHERE id = (number << 48) + ?1)"
        " FROM targets WHERE name = ?2",
        (sequence, target),
    )
    is_forgotten, is_lost = rows[0] if rows else (0, 0)
    if is_lost:
        raise NotFoundError(
            f"bundle {sequence} of {target} was lost with a damaged disk",
            code="bundle.lost",
            hint="Ask somebody who fetched it; its header's digest is the parent of the next one.",
        )
    if is_forgotten:
        raise NotFoundError(
            f"bundle {sequence} of {target} is not kept any more",
            code="bundle.forgotten",
            hint="A node keeps its last bundles only; ask somebody who fetched it.",
        )


def _damaged_row(table: str, what: str) -> StorageError:
    return StorageError(
        f"the journal is damaged: table {table}, {what}", code="storage.damaged", hint=REPAIR, table=table
    )
