"""The ledger's blocks and state in the database: implements :class:`bpci_node.consensus.ports.BlockStore`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.result import subjects_of
from bpci_node.errors import StorageError
from bpci_node.primitives.record import load_record
from bpci_node.store.store import Store

_PAGE = 10_000
"""Entries of the state that are read at once."""
_STEP_ROWS = 5_000
"""Rows that one job of the writer deletes, so that entries need not wait long."""
_ORIGIN, _RESTORE, _DONE = "ledger_origin", "ledger_restore", "ledger_restore_done"
"""Keys of ``meta``: the genesis hash where block 1 is gone; the manifest and the chunks of a restoration."""
_INSERT_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"


class SqliteBlockStore:
    """Blocks, commands, results and the latest state, each block in one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append_block(
        self,
        height: int,
        block: bytes,
        commands: Sequence[bytes],
        results: Sequence[bytes],
        writes: Mapping[bytes, bytes | None],
        *,
        events: Sequence[tuple[str, int, int]] = (),
    ) -> None:
        """Store one block and what it changes, all of it or nothing, durable on return. Not for the event loop.

        Raises:
            StorageError: the disk or the database failed, or ``height`` does not follow (``storage.height``).
        """

        def write(connection: sqlite3.Connection) -> None:
            last = connection.execute("SELECT coalesce(max(height), 0) FROM blocks").fetchone()[0]
            if height != last + 1:
                raise StorageError(f"block {height} does not follow block {last}", code="storage.height")
            connection.execute("INSERT INTO blocks (height, block) VALUES (?, ?)", (height, block))
            connection.executemany(
                "INSERT INTO commands (height, position, command, result) VALUES (?, ?, ?, ?)",
                [(height, i, *pair) for i, pair in enumerate(zip(commands, results, strict=True))],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)",
                [(key, value) for key, value in writes.items() if value is not None],
            )
            connection.executemany(
                "INSERT INTO event_index (subject, height, position, number) VALUES (?, ?, ?, ?)",
                [(subject, height, position, number) for subject, position, number in events],
            )
            connection.executemany(
                "DELETE FROM state WHERE key = ?", [(key,) for key, value in writes.items() if value is None]
            )

        self._store.writer.submit(write).result()

    def load_state(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key and value of the state after the last block, in order of keys, a page in memory at a time."""
        after = None
        while True:
            where, parameters = ("", ()) if after is None else ("WHERE key > ?", (after,))
            page = self._store.query(
                f"SELECT key, value FROM state {where} ORDER BY key LIMIT {_PAGE}",  # noqa: S608 - our own words
                parameters,
            )
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def last_block(self) -> bytes | None:
        """Return the signed block of greatest height, ``None`` before the first."""
        rows = self._store.query("SELECT block FROM blocks ORDER BY height DESC LIMIT 1")
        return rows[0][0] if rows else None

    def block(self, height: int) -> bytes | None:
        """Return the signed block at ``height``, ``None`` if there is none."""
        rows = self._store.query("SELECT block FROM blocks WHERE height = ?", (height,))
        return rows[0][0] if rows else None

    def first_height(self) -> int:
        """Return the least height of which a block is kept, 0 before the first."""
        return int(self._store.query("SELECT coalesce(min(height), 0) FROM blocks")[0][0])

    def block_range(self, first: int, *, most_blocks: int, most_bytes: int) -> list[tuple[bytes, list[bytes]]]:
        """Return blocks from height ``first`` on, each with its commands.

        Args:
            most_blocks: how many at most.
            most_bytes: after how many bytes no further block follows; the first one comes whatever its size.
        """
        found: list[tuple[bytes, list[bytes]]] = []
        room = most_bytes
        for height in range(first, first + most_blocks):
            rows = self._store.query(
                "SELECT block, command FROM blocks LEFT JOIN commands USING (height)"
                " WHERE height = ? ORDER BY position",
                (height,),
            )
            commands = [row[1] for row in rows if row[1] is not None]
            room -= sum(map(len, commands))
            if not rows or (room < 0 and found):
                break
            found.append((rows[0][0], commands))
        return found

    def origin(self) -> bytes | None:
        """Return the genesis hash that was noted when block 1 was let go or never came."""
        return self._store.meta(_ORIGIN)

    def prune(self, last: int, *, most_blocks: int) -> int:
        """Let go of the oldest blocks, at most ``most_blocks`` of them up to height ``last``; return how many went.

        Their commands, results and events go with them, all of it or nothing. Not for the event loop.

        Raises:
            StorageError: the disk or the database failed.
        """

        def write(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT height, block FROM blocks WHERE height <= ? AND height < (SELECT max(height) FROM blocks)"
                " ORDER BY height LIMIT ?",
                (last, most_blocks),
            ).fetchall()
            for height, block in rows:
                if height == 1:
                    connection.execute(_INSERT_META, (_ORIGIN, decode_signed_block(block).block.parent))
                results = connection.execute("SELECT position, result FROM commands WHERE height = ?", (height,))
                connection.executemany(
                    "DELETE FROM event_index WHERE subject = ? AND height = ? AND position = ? AND number = ?",
                    [
                        (subject, height, position, number)
                        for position, result in results.fetchall()
                        for number, event in enumerate(load_record(result)["events"])
                        for subject in subjects_of(event["kind"], event["fields"])
                    ],
                )
                connection.execute("DELETE FROM commands WHERE height = ?", (height,))
                connection.execute("DELETE FROM blocks WHERE height = ?", (height,))
            return len(rows)

        return self._store.writer.submit(write).result()

    # A ledger from a snapshot

    def restoring(self) -> tuple[bytes, int, bytes | None] | None:
        """Return the manifest of the restoration under way, how many chunks are stored, and their last key."""
        manifest = self._store.meta(_RESTORE)
        if manifest is None:
            return None
        done = int.from_bytes(self._store.meta(_DONE) or b"")
        last = self._store.query("SELECT max(key) FROM state")[0][0]
        return manifest, done, last

    def begin_restoring(self, manifest: bytes) -> None:
        """Remember the manifest of a restoration, and drop every block and the whole state, in steps.

        Raises:
            StorageError: the disk or the database failed.
        """

        def mark(connection: sqlite3.Connection) -> None:
            connection.executemany(_INSERT_META, [(_RESTORE, b""), (_DONE, b"")])

        def clear(connection: sqlite3.Connection) -> int:
            for table, key in (
                ("event_index", "subject, height, position, number"),
                ("commands", "height, position"),
                ("blocks", "height"),
                ("state", "key"),
            ):
                statement = f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT {_STEP_ROWS})"  # noqa: S608 - our own names
                if connection.execute(statement).rowcount:
                    return 1
            connection.execute(_INSERT_META, (_RESTORE, manifest))
            return 0

        self._store.writer.submit(mark).result()
        while self._store.writer.submit(clear).result():
            pass

    def put_chunk(self, number: int, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Store the entries of one chunk, and that it is stored; durable on return.

        Raises:
            StorageError: the disk or the database failed.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT INTO state (key, value) VALUES (?, ?)", entries)
            connection.execute(_INSERT_META, (_DONE, (number + 1).to_bytes(4)))

        self._store.writer.submit(write).result()

    def end_restoring(self, height: int, block: bytes, origin: bytes) -> None:
        """Make what was restored the ledger; durable on return.

        Raises:
            StorageError: the disk or the database failed.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO blocks (height, block) VALUES (?, ?)", (height, block))
            connection.execute(_INSERT_META, (_ORIGIN, origin))
            connection.execute("DELETE FROM meta WHERE key IN (?, ?)", (_RESTORE, _DONE))

        self._store.writer.submit(write).result()

    def commands(self, height: int) -> list[bytes]:
        """Return the signed commands of the block at ``height``, in its order."""
        return [row[0] for row in self._by_height("command", height)]

    def results(self, height: int) -> list[bytes]:
        """Return the encoded results of the block at ``height``, in its order."""
        return [row[0] for row in self._by_height("result", height)]

    def find_events(
        self, subject: str, *, after: tuple[int, int, int] = (0, 0, 0), limit: int = 100
    ) -> list[tuple[int, int, int, bytes]]:
        """Return where a kind of event or an account occurs, in the order of the ledger.

        Args:
            subject: such as ``asset.transferred``, or an account id.
            after: height, position and number of the last one that is known.
        Returns:
            height, position of the command, number of the event, encoded result of the command.
        """
        return self._store.query(
            "SELECT height, position, number, result FROM event_index JOIN commands USING (height, position)"
            " WHERE subject = ? AND (height, position, number) > (?, ?, ?) ORDER BY height, position, number LIMIT ?",
            (subject, *after, limit),
        )

    def _by_height(self, column: str, height: int) -> list[tuple[bytes]]:
        statement = {
            "command": "SELECT command FROM commands WHERE height = ? ORDER BY position",
            "result": "SELECT result FROM commands WHERE height = ? ORDER BY position",
        }[column]
        return self._store.query(statement, (height,))
