"""The journal of accepted entries, and the bundles sealed from them.

A row is written before its receipt is returned, and stays after sealing: it is what "accepted" and "sealed" mean.
Every function takes an :class:`Executor`: inside a job of the writer its connection, which also sees what the job has
written; elsewhere the store, which sees what is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Protocol

REPLACED = 0
"""In the column ``bundle``: the entry left the pool because its sender replaced it; sequences of bundles begin at 1."""

_PAGE = 2_000


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
class JournalEntry:
    """One accepted entry."""

    target: str
    """CAIP-2 id of the target chain."""
    arrival_seq: int
    """Position in the order of arrival at this node, per target, from 1, without gaps."""
    arrival_ms: int
    """Unix milliseconds."""
    txid: bytes
    """32 bytes."""
    sender: bytes
    """20 bytes, recovered from the signature before acceptance."""
    running_hash: bytes
    """32 bytes: the running hash after this entry."""
    raw: bytes
    """The transaction as it was sent."""
    bundle: int | None = None
    """Sequence of the bundle that holds it, ``None`` while it waits, ``REPLACED``."""


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


_COLUMNS = "target, arrival_seq, arrival_ms, txid, sender, running_hash, raw, bundle"


def append_entries(connection: Connection, entries: Sequence[JournalEntry], replaced: Sequence[bytes]) -> None:
    """Write accepted entries of one target in their order of arrival, and mark those that they replaced."""
    connection.executemany(
        "INSERT INTO entries (target, arrival_seq, arrival_ms, txid, sender, running_hash, raw)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(e.target, e.arrival_seq, e.arrival_ms, e.txid, e.sender, e.running_hash, e.raw) for e in entries],
    )
    if replaced:
        _leave(connection, entries[0].target, REPLACED, replaced)


def append_bundle(
    connection: Connection, bundle: JournalBundle, txids: Sequence[bytes], nonces: Iterable[tuple[bytes, int]]
) -> None:
    """Write a sealed bundle, and mark what it holds.

    Args:
        txids: its entries.
        nonces: sender and greatest sealed nonce of each.
    """
    connection.execute(
        "INSERT INTO bundles (target, sequence, digest, data) VALUES (?, ?, ?, ?)",
        (bundle.target, bundle.sequence, bundle.digest, bundle.data),
    )
    _leave(connection, bundle.target, bundle.sequence, txids)
    connection.executemany(
        # Text, because a nonce may exceed what a signed 64-bit column holds.
        "INSERT OR REPLACE INTO sealed_nonces (target, sender, nonce) VALUES (?, ?, ?)",
        [(bundle.target, sender, str(nonce)) for sender, nonce in nonces],
    )


def _leave(connection: Connection, target: str, bundle: int, txids: Sequence[bytes]) -> None:
    connection.executemany(
        "UPDATE entries SET bundle = ? WHERE target = ? AND txid = ? AND bundle IS NULL",
        [(bundle, target, txid) for txid in txids],
    )


def pooled_entries(reader: Reader, target: str) -> Iterator[JournalEntry]:
    """Yield the entries that wait for ``target``, in their order of arrival."""
    after = 0
    while True:
        rows = reader.query(
            f"SELECT {_COLUMNS} FROM entries WHERE target = ? AND bundle IS NULL AND arrival_seq > ?"  # noqa: S608 - constant
            f" ORDER BY arrival_seq LIMIT {_PAGE}",
            (target, after),
        )
        for row in rows:
            yield JournalEntry(*row)
        if len(rows) < _PAGE:
            return
        after = rows[-1][1]


def sealed_nonces(reader: Reader, target: str) -> Iterator[tuple[bytes, int]]:
    """Yield each sender of whom something is sealed, and the greatest sealed nonce."""
    for sender, nonce in reader.query("SELECT sender, nonce FROM sealed_nonces WHERE target = ?", (target,)):
        yield sender, int(nonce)


def last_arrival(reader: Reader, target: str) -> tuple[int, bytes] | None:
    """Return the greatest arrival number of ``target`` and the running hash after it."""
    rows = reader.query(
        "SELECT arrival_seq, running_hash FROM entries WHERE target = ? ORDER BY arrival_seq DESC LIMIT 1", (target,)
    )
    return (rows[0][0], rows[0][1]) if rows else None


def running_hash_at(reader: Reader, target: str, arrival_seq: int) -> bytes | None:
    """Return the running hash after this arrival."""
    rows = reader.query("SELECT running_hash FROM entries WHERE target = ? AND arrival_seq = ?", (target, arrival_seq))
    return rows[0][0] if rows else None


def find_entry(reader: Reader, target: str, txid: bytes) -> JournalEntry | None:
    """Return the accepted entry with this txid, whether it waits or has left."""
    rows = reader.query(
        f"SELECT {_COLUMNS} FROM entries WHERE target = ? AND txid = ?",  # noqa: S608 - constant
        (target, txid),
    )
    return JournalEntry(*rows[0]) if rows else None


def last_bundle(reader: Reader, target: str) -> tuple[int, bytes] | None:
    """Return sequence and digest of the latest bundle of ``target``."""
    rows = reader.query(
        "SELECT sequence, digest FROM bundles WHERE target = ? ORDER BY sequence DESC LIMIT 1",
        (target,),
    )
    return (rows[0][0], rows[0][1]) if rows else None


def find_bundle(reader: Reader, target: str, sequence: int) -> bytes | None:
    """Return the bundle file with this sequence."""
    rows = reader.query("SELECT data FROM bundles WHERE target = ? AND sequence = ?", (target, sequence))
    return rows[0][0] if rows else None


def place_of(entry: JournalEntry) -> dict[str, Any]:
    """Return where an accepted entry is: ``{state, arrival_seq, bundle}``."""
    if entry.bundle is None:
        state, bundle = "pooled", None
    elif entry.bundle == REPLACED:
        state, bundle = "replaced", None
    else:
        state, bundle = "sealed", entry.bundle
    return {"state": state, "arrival_seq": entry.arrival_seq, "bundle": bundle}
