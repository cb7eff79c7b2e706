"""The ledger's blocks and state in the database: implements :class:`bpci_node.consensus.ports.BlockStore`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from bpci_node.errors import StorageError
from bpci_node.store.store import Store


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
        """Yield every key and value of the state after the last block."""
        yield from self._store.query("SELECT key, value FROM state")

    def last_block(self) -> bytes | None:
        """Return the signed block of greatest height, ``None`` before the first."""
        rows = self._store.query("SELECT block FROM blocks ORDER BY height DESC LIMIT 1")
        return rows[0][0] if rows else None

    def block(self, height: int) -> bytes | None:
        """Return the signed block at ``height``, ``None`` if there is none."""
        rows = self._store.query("SELECT block FROM blocks WHERE height = ?", (height,))
        return rows[0][0] if rows else None

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
