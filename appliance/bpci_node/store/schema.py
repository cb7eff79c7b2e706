"""The tables, their version, and the way from one version to the next.

Invariants: a version that ever shipped opens; a migration is one transaction, so that a process killed in it has done
nothing; the statements that make a new database leave their root pages in one fixed order, by which a repair finds the
tables of a file whose first page is destroyed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

from bpci_node.chain.result import subjects_of
from bpci_node.mempool.receipt import START, next_running_hash
from bpci_node.primitives.codec import decode
from bpci_node.store.journal_row import damaged_row, gone_row, nonce_check, row_id, terms_check, waiting_row

VERSION = 2
"""``user_version`` of the file's header; each version that ever shipped opens."""

_KEPT = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (
    height INTEGER PRIMARY KEY,
    block BLOB NOT NULL
) STRICT;
CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE commands (
    height INTEGER NOT NULL,
    position INTEGER NOT NULL,
    command BLOB NOT NULL,
    result BLOB NOT NULL,
    PRIMARY KEY (height, position)
) STRICT, WITHOUT ROWID;
"""
"""Unchanged since version 1."""

_NEW_IN_2 = """
CREATE TABLE targets (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    terms BLOB NOT NULL,
    base_fee INTEGER NOT NULL,
    terms_check INTEGER NOT NULL,
    arrival_seq INTEGER NOT NULL,
    running_hash BLOB NOT NULL,
    waiting INTEGER NOT NULL,
    forgotten_seq INTEGER NOT NULL,
    forgotten_bundle INTEGER NOT NULL,
    guarded INTEGER NOT NULL
) STRICT;
CREATE TABLE waiting (
    id INTEGER PRIMARY KEY,
    arrival_ms INTEGER NOT NULL,
    txid BLOB NOT NULL UNIQUE,
    sender BLOB NOT NULL,
    previous BLOB NOT NULL,
    is_bound INTEGER NOT NULL,
    facts BLOB NOT NULL,
    row_check INTEGER NOT NULL,
    raw_check INTEGER NOT NULL,
    raw BLOB NOT NULL
) STRICT;
CREATE TABLE gone (
    id INTEGER PRIMARY KEY,
    arrival_ms INTEGER NOT NULL,
    txid BLOB NOT NULL,
    sender BLOB NOT NULL,
    previous BLOB NOT NULL,
    bundle INTEGER NOT NULL,
    left_ms INTEGER NOT NULL,
    row_check INTEGER NOT NULL
) STRICT;
CREATE TABLE cancellations (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE bundles (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    data_check INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE sealed_nonces (
    target INTEGER NOT NULL,
    sender BLOB NOT NULL,
    nonce TEXT NOT NULL,
    row_check INTEGER NOT NULL,
    PRIMARY KEY (target, sender)
) STRICT, WITHOUT ROWID;
CREATE TABLE epochs (
    target INTEGER NOT NULL,
    key BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    row_check INTEGER NOT NULL,
    PRIMARY KEY (target, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE losses (
    id INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    found_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE lost_bundles (
    id INTEGER PRIMARY KEY,
    found_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE event_index (
    subject TEXT NOT NULL,
    height INTEGER NOT NULL,
    position INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (subject, height, position, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX gone_txid ON gone (substr(txid, 1, 8));
CREATE INDEX gone_left ON gone (left_ms);
"""
"""New, or of another form, in version 2. Indexes last: where a file is rewritten, SQLite makes them last, too."""

SCHEMA = _KEPT + _NEW_IN_2

_BATCH = 2_000
"""Rows that a migration holds in memory."""


def create(connection: sqlite3.Connection) -> None:
    """Make the tables; inside the caller's transaction."""
    _run(connection, SCHEMA)


def migrate(connection: sqlite3.Connection, version: int, now_ms: int) -> None:
    """Bring the tables of an older version to this one; inside the caller's transaction.

    Args:
        now_ms: Unix milliseconds; an entry of which it is not known when it left counts as having left now.
    Raises:
        StorageError: a row is damaged, and names itself (``storage.damaged``).
    """
    steps: dict[int, Callable[[sqlite3.Connection, int], None]] = {1: _from_1}
    for number in range(version, VERSION):
        steps[number](connection, now_ms)


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript, which commits first.
    for statement in script.split(";"):
        connection.execute(statement)


def _from_1(connection: sqlite3.Connection, now_ms: int) -> None:
    """Version 1 kept one table of entries, with ids of targets as text, and no index of the ledger's events."""
    for table in ("entries", "bundles", "sealed_nonces"):
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    _run(connection, _NEW_IN_2)
    _index_events(connection)
    names = connection.execute(
        "SELECT target FROM old_entries UNION SELECT target FROM old_bundles ORDER BY target"
    ).fetchall()
    for number, (name,) in enumerate(names, start=1):
        after, count, arrival_seq = START, 0, 0
        waiting: list[Any] = []
        gone: list[Any] = []

        def write(waiting: list[Any] = waiting, gone: list[Any] = gone) -> None:
            connection.executemany("INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", waiting)
            connection.executemany("INSERT INTO gone VALUES (?, ?, ?, ?, ?, ?, ?, ?)", gone)
            waiting.clear()
            gone.clear()

        for arrival_seq, arrival_ms, txid, sender, running_hash, raw, bundle in _old_entries(connection, name):
            previous, after = after, next_running_hash(after, name, txid, arrival_seq, arrival_ms)
            if after != running_hash:
                raise damaged_row("entries", name, arrival_seq)
            identifier = row_id(number, arrival_seq)
            row = waiting_row(identifier, arrival_ms, txid, sender, raw, previous=previous, after=after)
            if bundle is None:
                waiting.append(row)
                count += 1
            else:
                gone.append(gone_row(row, bundle, now_ms))
            if len(waiting) + len(gone) >= _BATCH:
                write()
        write()
        # Terms of nobody: at the next start those of the configuration are in force.
        connection.execute(
            "INSERT INTO targets VALUES (?, ?, x'', 0, ?, ?, ?, ?, 0, 0, 0)",
            (number, name, terms_check(number, name, b"", 0), arrival_seq, after, count),
        )
        bundles = connection.execute("SELECT sequence, digest, data FROM old_bundles WHERE target = ?", (name,))
        connection.executemany(
            "INSERT INTO bundles VALUES (?, ?, ?, ?)",
            ((row_id(number, sequence), digest, crc32(data), data) for sequence, digest, data in bundles),
        )
        nonces = connection.execute("SELECT sender, nonce FROM old_sealed_nonces WHERE target = ?", (name,))
        connection.executemany(
            "INSERT INTO sealed_nonces VALUES (?, ?, ?, ?)",
            ((number, sender, nonce, nonce_check(number, sender, nonce)) for sender, nonce in nonces),
        )
    for table in ("entries", "bundles", "sealed_nonces"):
        connection.execute(f"DROP TABLE old_{table}")


def _index_events(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT height, position, result FROM commands")
    connection.executemany(
        "INSERT INTO event_index VALUES (?, ?, ?, ?)",
        (
            (subject, height, position, number)
            for height, position, result in rows
            for number, event in enumerate(decode(result)["events"])
            for subject in subjects_of(event["kind"], event["fields"])
        ),
    )


def _old_entries(connection: sqlite3.Connection, name: str) -> Iterator[Any]:
    return connection.execute(
        "SELECT arrival_seq, arrival_ms, txid, sender, running_hash, raw, bundle FROM old_entries"
        " WHERE target = ? ORDER BY arrival_seq",
        (name,),
    )
