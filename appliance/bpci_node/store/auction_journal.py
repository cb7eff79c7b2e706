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
from bpci_node.store.auction_schema import open_auctions
from bpci_node.store.database import open_reader, translated
from bpci_node.store.writer import Writer

T = TypeVar("T")

FILE_NAME = "auction.db"
KEPT_EVENTS = 100_000
"""Events of the stream that stay, so that a subscriber may come back to where it was."""
_PRUNE_EVERY = 1_000
KEPT_EPOCHS = 32
"""Epochs whose windows stay: as many as the ledger keeps committees of."""
KEPT_MATERIAL = 4
"""Epochs whose commits and reveals stay: settlement and refunds are over after that."""
KEPT_BUNDLES = 100_000
"""Bundles of one target that stay, at most."""
KEPT_BUNDLE_BYTES = 16 << 30
"""Bytes of a target's bundles that stay, at most; the last one always does."""

OPEN, CERTIFIED, PROPOSED, FINAL, VOID = "open", "certified", "proposed", "final", "void"
"""Stages of a window: commits come in; its set is certified; a header was proposed; it is final; it failed."""
STAGES = (OPEN, CERTIFIED, PROPOSED, FINAL, VOID)

_SELECT_WINDOW = (
    "SELECT target, qlock_ms, number, epoch, stage, commit_set, set_certificate, header, certificate FROM windows"
)

_DELETE_PROPOSAL = "DELETE FROM proposals WHERE target = ? AND qlock_ms = ? AND number = ?"

_IS_COMPLETE = "(target, qlock_ms, number) NOT IN (SELECT target, qlock_ms, number FROM proposals)"

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
        connection = open_auctions(self.path)
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
        proposal: bytes | None = None,
        event: tuple[str, bytes] | None = None,
    ) -> Future[int | None]:
        """Bring a window to a stage; what is ``None`` stays as it was. The future holds the event's number.

        What is final stays final, and what is void becomes nothing else but final: a step of the window that is still
        under way when its time is over takes nothing of that back.

        Args:
            carried: entries that found no room, which take the place of those of the target's windows before.
            proposal: what its header was made of; it stays until :meth:`complete`.
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
            if proposal is not None:
                connection.execute("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?, ?)", (*key, proposal))
            if stage == VOID:
                connection.execute(_DELETE_PROPOSAL, key)
            if carried is not None:
                connection.execute("DELETE FROM carried WHERE target = ?", (key[0],))
                rows = [(key[0], position, data) for position, data in enumerate(carried)]
                connection.executemany("INSERT INTO carried VALUES (?, ?, ?)", rows)
            return None if event is None else self._insert_event(connection, event[0], key[0], event[1])

        return self._write(write)

    def windows(self, *stages: str) -> list[StoredWindow]:
        """Return the windows in one of these stages, in order."""
        rows = [row for stage in stages for row in self._query(f"{_SELECT_WINDOW} WHERE stage = ?", (stage,))]
        return _stored(rows)

    def windows_of(self, epoch: int) -> list[StoredWindow]:
        """Return the windows of an epoch, in order."""
        return _stored(self._query(f"{_SELECT_WINDOW} WHERE epoch = ?", (epoch,)))

    def latest_final(self) -> list[StoredWindow]:
        """Return the windows with a final header of each target's last epoch that has any, in order."""
        last = "SELECT target, max(epoch) FROM windows WHERE stage = ? GROUP BY target"
        return _stored(self._query(f"{_SELECT_WINDOW} WHERE (target, epoch) IN ({last}) AND stage = ?", (FINAL, FINAL)))

    def proposal(self, key: WindowKey) -> bytes | None:
        """Return what a window's header was made of, until the window is complete."""
        rows = self._query("SELECT data FROM proposals WHERE target = ? AND qlock_ms = ? AND number = ?", key)
        return rows[0][0] if rows else None

    def incomplete(self) -> list[StoredWindow]:
        """Return the windows whose header is final and whose bundle is not stored yet, in order."""
        sql = f"{_SELECT_WINDOW} NATURAL JOIN proposals WHERE stage = ?"
        return _stored(self._query(sql, (FINAL,)))

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
        row = (digest, target, sequence, data)
        return self._write(lambda connection: self._insert_bundle(connection, row, event))

    def _insert_bundle(
        self, connection: sqlite3.Connection, row: tuple[bytes, str, int, bytes], event: bytes
    ) -> int | None:
        if connection.execute("INSERT OR IGNORE INTO bundles VALUES (?, ?, ?, ?)", row).rowcount == 0:
            return None
        return self._insert_event(connection, "bundle", row[1], event)

    def bundle(self, digest: bytes) -> bytes | None:
        """Return the bundle of a header, by the header's digest."""
        rows = self._query("SELECT data FROM bundles WHERE digest = ?", (digest,))
        return rows[0][0] if rows else None

    def complete(
        self,
        key: WindowKey,
        digest: bytes,
        sequence: int,
        data: bytes,
        event: bytes,
        *,
        owed: Sequence[tuple[str, bytes]] = (),
        mock: tuple[str, bytes] | None = None,
    ) -> Future[int | None]:
        """Store a final window's bundle, announce it, and remember how it is settled: all of it, or nothing.

        Args:
            owed: kinds and encoded bodies of commands that must reach the ledger.
            mock: ledger id and record of a settlement that moves no value.
        """

        def write(connection: sqlite3.Connection) -> int | None:
            if connection.execute(_DELETE_PROPOSAL, key).rowcount == 0:
                return None
            connection.executemany("INSERT INTO outbox (kind, body) VALUES (?, ?)", owed)
            if mock is not None:
                connection.execute("INSERT OR IGNORE INTO mock_settlements VALUES (?, ?, ?)", (digest, *mock))
            return self._insert_bundle(connection, (digest, key[0], sequence, data), event)

        return self._write(write)

    def bundles(self, target: str, after: int, limit: int) -> list[tuple[int, bytes, int]]:
        """Return which bundles of a target there are after a number of its chain: sequence, digest, bytes."""
        return self._query(
            "SELECT sequence, digest, length(data) FROM bundles WHERE target = ? AND sequence > ?"
            " ORDER BY sequence LIMIT ?",
            (target, after, limit),
        )

    def bundle_sequences(self, target: str, after: int) -> set[int]:
        """Return which numbers of a target's chain after one of them have their bundle here."""
        rows = self._query("SELECT sequence FROM bundles WHERE target = ? AND sequence > ?", (target, after))
        return {row[0] for row in rows}

    # What is owed

    def owed(self, limit: int = 100) -> list[tuple[int, str, bytes]]:
        """Return the oldest commands that must reach the ledger: number, kind, encoded body."""
        return self._query("SELECT id, kind, body FROM outbox ORDER BY id LIMIT ?", (limit,))

    def paid(self, number: int) -> Future[None]:
        """Forget a command that the ledger has executed or will never."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM outbox WHERE id = ?", (number,))

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
        """Let go of what nobody needs in ``epoch`` any more; the future says of how many rows.

        Commits and reveals stay for :data:`KEPT_MATERIAL` epochs, windows for :data:`KEPT_EPOCHS`, and windows whose
        bundle is not stored yet with everything. The guard of votes is another file, and remembers for itself.
        """

        def write(connection: sqlite3.Connection) -> int:
            gone = 0
            for table in ("commits", "reveals"):
                gone += connection.execute(
                    f"DELETE FROM {table} WHERE (target, qlock_ms, number) IN"  # noqa: S608 - our own names
                    f" (SELECT target, qlock_ms, number FROM windows WHERE epoch < ? AND {_IS_COMPLETE})",
                    (epoch - KEPT_MATERIAL,),
                ).rowcount
            sql = f"DELETE FROM windows WHERE epoch < ? AND {_IS_COMPLETE}"  # noqa: S608 - our own names
            gone += connection.execute(sql, (epoch - KEPT_EPOCHS,)).rowcount
            for (target,) in connection.execute("SELECT DISTINCT target FROM bundles").fetchall():
                gone += _prune_bundles(connection, target)
            sql = "DELETE FROM mock_settlements WHERE header_digest NOT IN (SELECT digest FROM bundles)"
            return gone + connection.execute(sql).rowcount

        return self._write(write)


def _stored(rows: Iterable[Any]) -> list[StoredWindow]:
    return [StoredWindow(tuple(row[:3]), *row[3:]) for row in sorted(rows, key=lambda row: row[:3])]


def _prune_bundles(connection: sqlite3.Connection, target: str) -> int:
    left = KEPT_BUNDLE_BYTES
    rows = connection.execute(
        "SELECT sequence, length(data) FROM bundles WHERE target = ? ORDER BY sequence DESC", (target,)
    ).fetchall()
    for position, (sequence, size) in enumerate(rows):
        left -= size
        if position and (left < 0 or position >= KEPT_BUNDLES):
            sql = "DELETE FROM bundles WHERE target = ? AND sequence <= ?"
            return connection.execute(sql, (target, sequence)).rowcount
    return 0
