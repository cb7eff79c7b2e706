"""The file in which a validator keeps its auctions: tables, versions, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bpci_node.errors import StorageError
from bpci_node.store.database import translated

APPLICATION_ID = 0x42504941
"""``BPIA``, in the file's header."""
VERSION = 2

_FIRST = """
CREATE TABLE windows (
    target TEXT NOT NULL,
    qlock_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    stage TEXT NOT NULL,
    commit_set BLOB,
    set_certificate BLOB,
    header BLOB,
    certificate BLOB,
    PRIMARY KEY (target, qlock_ms, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE commits (
    target TEXT NOT NULL,
    qlock_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    arrival_us INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (target, qlock_ms, number, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE reveals (
    target TEXT NOT NULL,
    qlock_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    commit_id BLOB NOT NULL,
    arrival_us INTEGER NOT NULL,
    data BLOB NOT NULL,
    receipt BLOB NOT NULL,
    PRIMARY KEY (target, qlock_ms, number, commit_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE carried (
    target TEXT NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (target, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE bundles (
    digest BLOB PRIMARY KEY,
    target TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (target, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE mock_settlements (
    header_digest BLOB PRIMARY KEY,
    ledger_id TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX window_stage ON windows (stage);
"""
_SECOND = """
CREATE TABLE proposals (
    target TEXT NOT NULL,
    qlock_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (target, qlock_ms, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX window_epoch ON windows (epoch);
"""
"""What version 2 has beside the tables of version 1."""


def open_auctions(path: Path) -> sqlite3.Connection:
    """Open the file for writing; make its tables when it is new, and those that it lacks when it is older.

    Raises:
        StorageError: it can't be opened, or belongs to something else (``storage.*``).
    """
    with translated(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            version = _require_ours(connection, path)
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "fullfsync=ON",
                "trusted_schema=OFF",
                "temp_store=MEMORY",
                "busy_timeout=2000",
            ):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            if version < VERSION:
                connection.execute("BEGIN IMMEDIATE")
                for tables in (_FIRST, _SECOND)[version:]:
                    for statement in tables.split(";"):
                        connection.execute(statement)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={VERSION}")
                connection.execute("COMMIT")
            path.chmod(0o600)
        except BaseException:
            connection.close()
            raise
        return connection


def _require_ours(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the file's tables, 0 for a new one."""
    version, application = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("user_version", "application_id")
    )
    if application not in (0, APPLICATION_ID):
        raise StorageError(f"{path} is a database of another application", code="storage.foreign")
    if version > VERSION:
        raise StorageError(
            f"{path} has version {version}, this program reads up to {VERSION}",
            code="storage.newer",
            hint="Run the newer version of bpci that wrote it.",
        )
    return version
