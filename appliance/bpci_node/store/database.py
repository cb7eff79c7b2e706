"""The file: opening, schema, locking, and the translation of SQLite's errors.

Invariants: one process has the directory open at a time (``flock`` on ``lock``); a file of another application, of a
newer version, or damaged is refused before anything is written to it; what is committed survives power loss
(write-ahead log, ``synchronous=FULL``).

Not here: repairing a damaged file, moving data between machines.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bpci_node.errors import StorageError

APPLICATION_ID = 0x42504349
"""``BPCI``, in the file's header. Source: SQLite file format, section 1.3.16."""
SCHEMA_VERSION = 1
"""``user_version`` of the file's header; each version that ever shipped opens."""
FILE_NAME = "node.db"

_SCHEMA = """
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
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    arrival_seq INTEGER NOT NULL,
    arrival_ms INTEGER NOT NULL,
    txid BLOB NOT NULL,
    sender BLOB NOT NULL,
    running_hash BLOB NOT NULL,
    raw BLOB NOT NULL,
    bundle INTEGER,
    UNIQUE (target, txid),
    UNIQUE (target, arrival_seq)
) STRICT;
CREATE TABLE sealed_nonces (
    target TEXT NOT NULL,
    sender BLOB NOT NULL,
    nonce TEXT NOT NULL,
    PRIMARY KEY (target, sender)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_pooled ON entries (target, arrival_seq) WHERE bundle IS NULL;
CREATE TABLE bundles (
    target TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (target, sequence)
) STRICT, WITHOUT ROWID;
"""


class DirectoryLock:
    """Keeps a second process out of a state directory for as long as it is held."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            StorageError: another process has it (``storage.locked``), or the directory can't be written
                (``storage.access``).
        """
        path = directory / "lock"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file: IO[str] = path.open("a+", encoding="ascii")
        except OSError as error:
            raise StorageError(
                f"cannot write to the state directory {directory}: {error.strerror}",
                code="storage.access",
                hint="It must belong to the user that runs the node.",
            ) from error
        if not self._take():
            self._file.seek(0)
            owner = self._file.read(32).strip() or "unknown"
            self._file.close()
            raise StorageError(
                f"another node process (pid {owner}) is using {directory}",
                code="storage.locked",
                hint="Stop it first, or use another state directory.",
            )
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def _take(self) -> bool:
        """Try for a moment: who only looks whether a node runs holds a shared lock for an instant."""
        for pause_seconds in (0.02, 0.05, 0.1, 0.0):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(pause_seconds)
            else:
                return True
        return False

    def release(self) -> None:
        """Let others in."""
        self._file.close()


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the database for writing, creating it when it is not there.

    Raises:
        StorageError: ``storage.foreign``, ``storage.newer``, ``storage.damaged``, ``storage.access``, ``storage.full``.
    """
    with translated(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a second connection that can only read.

    Raises:
        StorageError: as :func:`open_writer`.
    """
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA cache_size=-4096")
        connection.execute("PRAGMA busy_timeout=2000")
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    is_new = application == 0 and version == 0 and tables == 0
    if not is_new and application != APPLICATION_ID:
        raise StorageError(
            f"{path} is a database of another application",
            code="storage.foreign",
            hint="Move it away, or use another state directory.",
        )
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"{path} has version {version}, this program reads up to {SCHEMA_VERSION}",
            code="storage.newer",
            hint="Run the newer version of bpci that wrote it.",
        )
    if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
        raise StorageError(
            f"{path} cannot use a write-ahead log here",
            code="storage.access",
            hint="The state directory must be on a local file system.",
        )
    for pragma in (
        "synchronous=FULL",
        "fullfsync=ON",
        "checkpoint_fullfsync=ON",
        "cell_size_check=ON",
        "trusted_schema=OFF",
        "temp_store=MEMORY",
        "cache_size=-16384",
        "wal_autocheckpoint=4000",
        "journal_size_limit=67108864",
        "busy_timeout=2000",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if is_new:
        # One transaction: after a power cut there is either the whole schema or an empty file.
        script = f"{_SCHEMA} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    path.chmod(0o600)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's exceptions about ``path`` into the product's.

    Raises:
        StorageError: ``storage.full``, ``storage.damaged``, ``storage.access``, ``storage.io``.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise storage_error(error, path) from error


def storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    """Return the product's error for SQLite's ``error`` about ``path``."""
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return full_error(path)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageError(
            f"the database {path} is damaged: {error}",
            code="storage.damaged",
            hint="Stop the node, keep a copy of the directory, and restore it from a backup.",
        )
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StorageError(
            f"the database {path} cannot be opened for writing: {error}",
            code="storage.access",
            hint="It must belong to the user that runs the node.",
        )
    return StorageError(
        f"the database {path} failed: {error}",
        code="storage.io",
        hint="Look at the disk's health (smartctl) and the kernel's log.",
        sqlite_code=code,
    )


def full_error(path: Path) -> StorageError:
    """Return the error that says that there is no room left for ``path``."""
    return StorageError(
        f"the disk that holds {path} is full",
        code="storage.full",
        hint="Free some space on it; the node goes on by itself.",
    )


def is_lost(error: StorageError) -> bool:
    """Tell whether nothing may be written any more until a restart: after a failed fsync, or into a damaged file.

    After a failed fsync the kernel may have dropped the pages, and a second, successful one would prove nothing.
    """
    extended = error.details.get("sqlite_code", 0)
    return error.code == "storage.damaged" or extended in (
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
    )
