"""The file: opening, schema, locking, and the translation of SQLite's errors.

Invariants: one process has the directory open at a time (``flock`` on ``lock``); a file of another application, of a
newer version, or damaged is refused before anything is written to it; what is committed survives power loss
(write-ahead log, ``synchronous=FULL``).

Not here: repairing a damaged file (:mod:`bpci_node.store.repair`), moving data between machines.
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
from bpci_node.store import schema, wal
from bpci_node.store.journal_row import REPAIR

APPLICATION_ID = 0x42504349
"""``BPCI``, in the file's header. Source: SQLite file format, section 1.3.16."""
FILE_NAME = "node.db"

REPAIR_MARK = "repair.json"
"""Beside the database from the moment when a repair begins to change it until it is done."""

_INCREMENTAL = 2
"""Value of ``auto_vacuum`` with which free pages can be given back step by step."""


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
    """Open the database for writing, creating it when it is not there, and bringing an older one up to date.

    Raises:
        StorageError: ``storage.foreign``, ``storage.newer``, ``storage.damaged``, ``storage.repair``,
            ``storage.access``, ``storage.full``.
    """
    if (path.parent / REPAIR_MARK).exists():
        raise StorageError(
            f"a repair of {path} was interrupted",
            code="storage.repair",
            hint="Run 'bpci node repair' again; it begins from the copy that it made.",
        )
    with translated(path):
        _require_whole_log(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path, *, is_alone: bool = False) -> sqlite3.Connection:
    """Open a connection that can only read.

    Args:
        is_alone: nobody else uses the file, and it has no log: no file is made beside it.
    Raises:
        StorageError: as :func:`open_writer`.
    """
    mode = "mode=ro&immutable=1" if is_alone else "mode=ro"
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA cache_size=-4096")
        connection.execute("PRAGMA busy_timeout=2000")
        return connection


def _require_whole_log(path: Path) -> None:
    """Check that SQLite would read all of the log that was committed, before it throws the rest away.

    Raises:
        StorageError: it would not (``storage.damaged``).
    """
    frames = wal.scan(path)
    if not frames.last and not frames.is_header_damaged:
        return
    # Read-only: the last writer to close a database deletes its log, with what it could not read in it.
    reader = open_reader(path)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        readable = wal.frames_in_use(path)
    finally:
        reader.close()
    if frames.lost_behind(readable):
        raise damaged_error(path, f"its write-ahead log can be read up to frame {readable}, and more was committed")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    is_new = application == 0 and version == 0 and tables == 0
    if not is_new and application != APPLICATION_ID:
        raise StorageError(
            f"{path} is a database of another application",
            code="storage.foreign",
            hint="Move it away, or use another state directory.",
        )
    if version > schema.VERSION:
        raise StorageError(
            f"{path} has version {version}, this program reads up to {schema.VERSION}",
            code="storage.newer",
            hint="Run the newer version of bpci that wrote it.",
        )
    if is_new:
        # Before anything is written: it decides how the file is laid out.
        connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
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
    if version < schema.VERSION:
        # One transaction: after a power cut there is either the whole schema or what was there before.
        connection.execute("BEGIN IMMEDIATE")
        if is_new:
            schema.create(connection)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        else:
            schema.migrate(connection, version, time.time_ns() // 1_000_000)
        connection.execute(f"PRAGMA user_version={schema.VERSION}")
        connection.execute("COMMIT")
    if _pragma(connection, "auto_vacuum") != _INCREMENTAL:
        # Files of version 1 can't shrink; one rewriting, itself one transaction, makes them able to.
        connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
        connection.execute("VACUUM")
    path.chmod(0o600)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


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
        return damaged_error(path, str(error))
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


def damaged_error(path: Path, reason: str) -> StorageError:
    """Return the error that says that the file at ``path`` is damaged."""
    return StorageError(f"the database {path} is damaged: {reason}", code="storage.damaged", hint=REPAIR)


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
