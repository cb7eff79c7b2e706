"""A node's store: the directory's lock, one writing thread, one reading connection."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bpci_node.store.database import FILE_NAME, DirectoryLock, full_error, open_reader, open_writer, translated
from bpci_node.store.writer import Writer


class Store:
    """The open database of one node."""

    def __init__(self, directory: Path) -> None:
        """Open or create the database in ``directory``.

        Raises:
            StorageError: as :func:`bpci_node.store.database.open_writer`, or ``storage.locked``.
        """
        self.path = directory / FILE_NAME
        self._lock = DirectoryLock(directory)
        try:
            connection = open_writer(self.path)
            try:
                self._reader = open_reader(self.path)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._lock.release()
            raise
        self._reader_lock = threading.Lock()
        self.writer = Writer(connection, self.path)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a reading statement, as committed.

        Raises:
            StorageError: the database failed.
        """
        with self._reader_lock, translated(self.path):
            return self._reader.execute(sql, parameters).fetchall()

    def meta(self, key: str) -> bytes | None:
        """Return what was kept under ``key``."""
        rows = self.query("SELECT value FROM meta WHERE key = ?", (key,))
        return None if not rows else bytes(rows[0][0])

    def set_meta(self, key: str, value: bytes) -> None:
        """Keep ``value`` under ``key``; durable on return. Not for the event loop.

        Raises:
            StorageError: the disk or the database failed.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

        self.writer.submit(write).result()

    def require_room(self, least_bytes: int) -> None:
        """Check that the disk has ``least_bytes`` left, so that what matters more can still be written.

        Raises:
            StorageError: it has not (``storage.full``).
        """
        usage = os.statvfs(self.path.parent)
        if usage.f_bavail * usage.f_frsize < least_bytes:
            raise full_error(self.path)

    def close(self) -> None:
        """Commit what waits and close the file; the writer goes last, which folds the log back into it."""
        with self._reader_lock:
            self._reader.close()
        self.writer.close()
        self._lock.release()
