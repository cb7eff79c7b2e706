"""What a validator keeps of auctions: commits, sets, reveals, headers, bundles, what it owes the ledger.

A file of its own beside the node's database, with its own writer: a commit's receipt waits for this file's fsync and
for nothing else. Invariants: a commit is stored before its receipt is given, a set or header before its signature
leaves; everything that subscribers see has a number in one sequence, given in the transaction that stores it.
What a vote must not contradict stands elsewhere (:mod:`bpci_node.store.vote_guard`), where no backup goes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bpci_node.errors import StorageError
from bpci_node.store.database import open_reader, translated
from bpci_node.store.writer import Writer

T = TypeVar("T")

FILE_NAME = "auction.db"
APPLICATION_ID = 0x42504941
"""``BPIA``, in the file's header."""
VERSION = 1
KEPT_EVENTS = 100_000
"""Events of the stream that stay, so that a subscriber may come back to where it was."""
_PRUNE_EVERY = 1_000

_SCHEMA = """
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

OPEN, CERTIFIED, PROPOSED, FINAL, VOID = "open", "certified", "proposed", "final", "void"
"""Stages of a window: commits come in; its set is certified; a header was proposed; it is final; it failed."""
STAGES = (OPEN, CERTIFIED, PROPOSED, FINAL, VOID)

_SELECT_WINDOW = (
    "SELECT target, qlock_ms, number, epoch, stage, commit_set, set_certificate, header, certificate FROM windows"
)

WindowKey = tuple[str, int, int]
"""Target, class in milliseconds, index."""


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """A window as it is stored; what is not there yet is ``None``."""

    key: WindowKey
    epoch: int
    stage: str
    commit_set: bytes | None
    set_certificate: bytes | None
    header: bytes | None
    certificate: bytes | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that subscribers are told."""

    sequence: int
    """Its number; a later event has a greater one."""
    kind: str
    """``window``, ``set``, ``bundle``, ``void`` or ``emergency``."""
    target: str
    data: bytes
    """Canonical CBOR."""


class AuctionJournal:
    """The open file."""

    def __init__(self, directory: Path) -> None:
        """Open or create the file in ``directory``, whose lock the caller holds.

        Raises:
            StorageError: it can't be opened, or belongs to something else (``storage.*``).
        """
        self.path = directory / FILE_NAME
        connection = _open(self.path)
        try:
            self._reader = open_reader(self.path)
        except BaseException:
            connection.close()
            raise
        self._reader_lock = threading.Lock()
        self._writer = Writer(connection, self.path)
        self._since_prune = 0
        self.on_events: Callable[[], None] | None = None
        """Called from the writer's thread after a commit that may have added events."""
        self._writer.after_commit.append(self._tell)

    def close(self) -> None:
        """Commit what waits and close the file."""
        with self._reader_lock:
            self._reader.close()
        self._writer.close()

    @property
    def error(self) -> StorageError | None:
        """Why the last write failed."""
        return self._writer.error

    def _tell(self) -> None:
        if self.on_events is not None:
            self.on_events()

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._reader_lock, translated(self.path):
            return self._reader.execute(sql, parameters).fetchall()

    def _write(self, write: Callable[[sqlite3.Connection], T]) -> Future[T]:
        return self._writer.submit(write)

    # Commits and windows

    def add_commits(self, epoch: int, rows: Iterable[tuple[WindowKey, int, int, bytes]]) -> Future[None]:
        """Store commits; the future is done when they are durable.

        Args:
            rows: window, sequence number, arrival in ledger time, the encoded commit.
        """
        kept = [(*key, seq, arrival, data) for key, seq, arrival, data in rows]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO windows (target, qlock_ms, number, epoch, stage) VALUES (?, ?, ?, ?, ?)",
                [(*key, epoch, OPEN) for key in sorted({row[:3] for row in kept})],
            )
            connection.executemany("INSERT OR IGNORE INTO commits VALUES (?, ?, ?, ?, ?, ?)", kept)

        return self._write(write)

    def put_window(
        self,
        key: WindowKey,
        epoch: int,
        stage: str,
        *,
        commit_set: bytes | None = None,
        set_certificate: bytes | None = None,
        header: bytes | None = None,
        certificate: bytes | None = None,
        carried: Sequence[bytes] | None = None,
        event: tuple[str, bytes] | None = None,
    ) -> Future[int | None]:
        """Bring a window to a stage; what is ``None`` stays as it was. The future holds the event's number.

        What is final stays final, and what is void becomes nothing else but final: a step of the window that is still
        under way when its time is over takes nothing of that back.

        Args:
            carried: entries that found no room, which take the place of those of the target's windows before.
            event: kind and data of what subscribers are told.
        """

        def write(connection: sqlite3.Connection) -> int | None:
            connection.execute(
                "INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " stage = CASE WHEN stage = ? OR stage = ? AND excluded.stage <> ? THEN stage ELSE excluded.stage END,"
                " commit_set = coalesce(excluded.commit_set, commit_set),"
                " set_certificate = coalesce(excluded.set_certificate, set_certificate),"
                " header = coalesce(excluded.header, header),"
                " certificate = coalesce(excluded.certificate, certificate)",
                (*key, epoch, stage, commit_set, set_certificate, header, certificate, FINAL, VOID, FINAL),
            )
            if carried is not None:
                connection.execute("DELETE FROM carried WHERE target = ?", (key[0],))
                rows = [(key[0], position, data) for position, data in enumerate(carried)]
                connection.executemany("INSERT INTO carried VALUES (?, ?, ?)", rows)
            return None if event is None else self._insert_event(connection, event[0], key[0], event[1])

        return self._write(write)

    def windows(self, *stages: str) -> list[StoredWindow]:
        """Return the windows in one of these stages, in order."""
        rows = [row for stage in stages for row in self._query(f"{_SELECT_WINDOW} WHERE stage = ?", (stage,))]
        return [StoredWindow(tuple(row[:3]), *row[3:]) for row in sorted(rows, key=lambda row: row[:3])]

    def window(self, key: WindowKey) -> StoredWindow | None:
        """Return one window."""
        rows = self._query(f"{_SELECT_WINDOW} WHERE target = ? AND qlock_ms = ? AND number = ?", key)
        return StoredWindow(tuple(rows[0][:3]), *rows[0][3:]) if rows else None

    def commits(self, key: WindowKey) -> list[tuple[int, int, bytes]]:
        """Return the commits of a window: sequence number, arrival in ledger time, encoded commit."""
        return self._query(
            "SELECT seq, arrival_us, data FROM commits WHERE target = ? AND qlock_ms = ? AND number = ? ORDER BY seq",
            key,
        )

    def last_commit(self) -> int:
        """Return the greatest sequence number of a commit, 0 before the first."""
        return int(self._query("SELECT coalesce(max(seq), 0) FROM commits")[0][0])

    def carried(self, target: str) -> list[bytes]:
        """Return the entries that found no room in the target's last window, encoded."""
        return [row[0] for row in self._query("SELECT data FROM carried WHERE target = ? ORDER BY position", (target,))]

    # Reveals

    def add_reveals(self, key: WindowKey, rows: Iterable[tuple[bytes, int, bytes, bytes]]) -> Future[None]:
        """Store reveals: commit id, arrival in ledger time, the encoded reveal, the receipt of who took it first."""
        kept = [(*key, *row) for row in rows]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO reveals VALUES (?, ?, ?, ?, ?, ?, ?)", kept)

        return self._write(write)

    def reveals(self, key: WindowKey) -> list[tuple[bytes, int, bytes, bytes]]:
        """Return the reveals of a window: commit id, arrival, encoded reveal, receipt; in order of commit ids."""
        return self._query(
            "SELECT commit_id, arrival_us, data, receipt FROM reveals"
            " WHERE target = ? AND qlock_ms = ? AND number = ? ORDER BY commit_id",
            key,
        )

    # Bundles

    def add_bundle(self, digest: bytes, target: str, sequence: int, data: bytes, event: bytes) -> Future[int | None]:
        """Store a bundle and announce it; one that is there already is neither stored nor announced twice."""

        def write(connection: sqlite3.Connection) -> int | None:
            values = (digest, target, sequence, data)
            if connection.execute("INSERT OR IGNORE INTO bundles VALUES (?, ?, ?, ?)", values).rowcount == 0:
                return None
            return self._insert_event(connection, "bundle", target, event)

        return self._write(write)

    def bundle(self, digest: bytes) -> bytes | None:
        """Return the bundle of a header, by the header's digest."""
        rows = self._query("SELECT data FROM bundles WHERE digest = ?", (digest,))
        return rows[0][0] if rows else None

    def bundles(self, target: str, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Return bundles of a target: sequence, digest, data; those after one sequence number of its chain."""
        return self._query(
            "SELECT sequence, digest, data FROM bundles WHERE target = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            (target, after, limit),
        )

    def last_bundle(self, target: str) -> tuple[int, bytes, bytes] | None:
        """Return the target's last bundle."""
        rows = self._query(
            "SELECT sequence, digest, data FROM bundles WHERE target = ? ORDER BY sequence DESC LIMIT 1", (target,)
        )
        return tuple(rows[0]) if rows else None

    # What is owed

    def owe(self, kind: str, body: bytes) -> Future[int]:
        """Remember a command that must reach the ledger; the future holds its number."""

        def write(connection: sqlite3.Connection) -> int:
            row = connection.execute("INSERT INTO outbox (kind, body) VALUES (?, ?)", (kind, body)).lastrowid
            return int(row or 0)

        return self._write(write)

    def owed(self, limit: int = 100) -> list[tuple[int, str, bytes]]:
        """Return the oldest commands that must reach the ledger: number, kind, encoded body."""
        return self._query("SELECT id, kind, body FROM outbox ORDER BY id LIMIT ?", (limit,))

    def paid(self, number: int) -> Future[None]:
        """Forget a command that the ledger has executed or will never."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM outbox WHERE id = ?", (number,))

        return self._write(write)

    def add_mock_settlement(self, header_digest: bytes, ledger_id: str, data: bytes) -> Future[bool]:
        """Store a settlement that moves no value; the future says whether it is new."""

        def write(connection: sqlite3.Connection) -> bool:
            values = (header_digest, ledger_id, data)
            return connection.execute("INSERT OR IGNORE INTO mock_settlements VALUES (?, ?, ?)", values).rowcount == 1

        return self._write(write)

    def mock_settlements(self, limit: int = 100) -> list[tuple[bytes, str, bytes]]:
        """Return settlements that move no value: header digest, ledger id, encoded settlement."""
        return self._query("SELECT header_digest, ledger_id, data FROM mock_settlements LIMIT ?", (limit,))

    # The stream

    def add_event(self, kind: str, target: str, data: bytes) -> Future[int]:
        """Tell subscribers something; the future holds its number."""
        return self._write(lambda connection: self._insert_event(connection, kind, target, data))

    def events(self, after: int, limit: int) -> list[Event]:
        """Return what subscribers were told after one number."""
        rows = self._query(
            "SELECT sequence, kind, target, data FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, limit),
        )
        return [Event(*row) for row in rows]

    def event_range(self) -> tuple[int, int]:
        """Return the numbers of the first event that is kept and of the last one; 0 and 0 without any."""
        first, last = self._query("SELECT coalesce(min(sequence), 0), coalesce(max(sequence), 0) FROM events")[0]
        return first, last

    def _insert_event(self, connection: sqlite3.Connection, kind: str, target: str, data: bytes) -> int:
        values = (kind, target, data)
        row = connection.execute("INSERT INTO events (kind, target, data) VALUES (?, ?, ?)", values).lastrowid
        self._since_prune += 1
        if self._since_prune >= _PRUNE_EVERY:
            self._since_prune = 0
            connection.execute("DELETE FROM events WHERE sequence <= ?", (int(row or 0) - KEPT_EVENTS,))
        return int(row or 0)

    def prune(self, epoch: int) -> Future[int]:
        """Let go of commits and reveals of finished windows of epochs before ``epoch``; the future says how many."""

        def write(connection: sqlite3.Connection) -> int:
            gone = 0
            for table in ("commits", "reveals"):
                gone += connection.execute(
                    f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM windows w WHERE w.target = {table}.target"  # noqa: S608 - our own names
                    f" AND w.qlock_ms = {table}.qlock_ms AND w.number = {table}.number AND w.epoch < ?"
                    " AND w.stage IN (?, ?))",
                    (epoch, FINAL, VOID),
                ).rowcount
            return gone

        return self._write(write)


def _open(path: Path) -> sqlite3.Connection:
    """Open the file for writing, and make its tables when it is new."""
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
            if version == 0:
                connection.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA.split(";"):
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
