"""The journal of accepted entries, and the bundles sealed from them.

A row is written before its receipt is returned, and stays after sealing: it is what "accepted" and "sealed" mean.
Functions that take a connection run inside a job of the writer; the others read what is committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bpci_node.store.store import Store

_PAGE = 2_000


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One accepted entry."""

    target: str
    """CAIP-2 id of the target chain."""
    arrival_seq: int
    """Position in the order of arrival at this node, per target, from 1."""
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
    """Sequence of the bundle that holds it, ``None`` while it waits."""


@dataclass(frozen=True, slots=True)
class JournalBundle:
    """One sealed bundle."""

    target: str
    sequence: int
    """Position among the bundles of this target, from 1."""
    digest: bytes
    """32 bytes."""
    data: bytes
    """The bundle file."""


_COLUMNS = "target, arrival_seq, arrival_ms, txid, sender, running_hash, raw, bundle"


def append_entries(connection: sqlite3.Connection, entries: Sequence[JournalEntry]) -> None:
    """Write accepted entries, in their order of arrival."""
    connection.executemany(
        "INSERT INTO entries (target, arrival_seq, arrival_ms, txid, sender, running_hash, raw)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(e.target, e.arrival_seq, e.arrival_ms, e.txid, e.sender, e.running_hash, e.raw) for e in entries],
    )


def append_bundle(connection: sqlite3.Connection, bundle: JournalBundle, txids: Sequence[bytes]) -> None:
    """Write a sealed bundle, and mark the entries that it holds."""
    connection.execute(
        "INSERT INTO bundles (target, sequence, digest, data) VALUES (?, ?, ?, ?)",
        (bundle.target, bundle.sequence, bundle.digest, bundle.data),
    )
    connection.executemany(
        "UPDATE entries SET bundle = ? WHERE target = ? AND txid = ? AND bundle IS NULL",
        [(bundle.sequence, bundle.target, txid) for txid in txids],
    )


def pooled(store: Store, target: str) -> Iterator[JournalEntry]:
    """Yield the entries that wait for ``target``, in their order of arrival."""
    after = 0
    while True:
        rows = store.query(
            f"SELECT {_COLUMNS} FROM entries WHERE target = ? AND bundle IS NULL AND arrival_seq > ?"  # noqa: S608 - constant
            f" ORDER BY arrival_seq LIMIT {_PAGE}",
            (target, after),
        )
        for row in rows:
            yield JournalEntry(*row)
        if len(rows) < _PAGE:
            return
        after = rows[-1][1]


def last_arrival(store: Store, target: str) -> tuple[int, bytes] | None:
    """Return the greatest arrival number of ``target`` and the running hash after it."""
    rows = store.query(
        "SELECT arrival_seq, running_hash FROM entries WHERE target = ? ORDER BY arrival_seq DESC LIMIT 1", (target,)
    )
    return (rows[0][0], rows[0][1]) if rows else None


def find_entry(store: Store, target: str, txid: bytes) -> JournalEntry | None:
    """Return the accepted entry with this txid, whether it waits or is sealed."""
    rows = store.query(
        f"SELECT {_COLUMNS} FROM entries WHERE target = ? AND txid = ?",  # noqa: S608 - constant
        (target, txid),
    )
    return JournalEntry(*rows[0]) if rows else None


def last_bundle(store: Store, target: str) -> tuple[int, bytes] | None:
    """Return sequence and digest of the latest bundle of ``target``."""
    rows = store.query(
        "SELECT sequence, digest FROM bundles WHERE target = ? ORDER BY sequence DESC LIMIT 1",
        (target,),
    )
    return (rows[0][0], rows[0][1]) if rows else None


def find_bundle(store: Store, target: str, sequence: int) -> bytes | None:
    """Return the bundle file with this sequence."""
    rows = store.query("SELECT data FROM bundles WHERE target = ? AND sequence = ?", (target, sequence))
    return rows[0][0] if rows else None
