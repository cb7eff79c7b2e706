"""Reading blocks, commands, events and bundles a page at a time, newest first, each at a bounded cost."""

from __future__ import annotations

from bpci_node.store.journal import Reader
from bpci_node.store.journal_row import split_id

SEARCHED_ROWS = 20_000
"""Newest blocks, and newest commands, among which a digest is looked for."""
SEARCHED_BUNDLES = 2_000
"""Newest bundles, likewise."""


class BlockReads:
    """What people look at, of one node's database."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def blocks(self, *, before: int, limit: int) -> list[tuple[int, bytes, int]]:
        """Return height, signed block and number of commands of the blocks below ``before``, newest first."""
        rows = self._reader.query(
            "SELECT height, block, (SELECT count(*) FROM commands WHERE commands.height = blocks.height)"
            " FROM blocks WHERE height < ? ORDER BY height DESC LIMIT ?",
            (before, limit),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def block(self, height: int) -> tuple[bytes, int] | None:
        """Return the signed block at ``height`` and the number of its commands; ``None`` if it is not here."""
        found = self.blocks(before=height + 1, limit=1)
        return (found[0][1], found[0][2]) if found and found[0][0] == height else None

    def commands(self, height: int, *, first: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Return position, signed command and encoded result of a block's commands from position ``first`` on."""
        return self._reader.query(
            "SELECT position, command, result FROM commands WHERE height = ? AND position >= ?"
            " ORDER BY position LIMIT ?",
            (height, first, limit),
        )

    def events(self, subject: str, *, before: tuple[int, int, int], limit: int) -> list[tuple[int, int, int, bytes]]:
        """Return height, position, number and result of a subject's events before a place, newest first."""
        return self._reader.query(
            "SELECT height, position, number, result FROM event_index JOIN commands USING (height, position)"
            " WHERE subject = ? AND (height, position, number) < (?, ?, ?)"
            " ORDER BY height DESC, position DESC, number DESC LIMIT ?",
            (subject, *before, limit),
        )

    def bundles(self, target: str, *, before: int, limit: int) -> list[tuple[int, bytes, int]]:
        """Return sequence, digest and length of a target's bundles below ``before``, newest first."""
        rows = self._reader.query(
            "SELECT bundles.id, digest, length(data) FROM targets"
            " JOIN bundles ON bundles.id BETWEEN number << 48 AND (number << 48) + ? - 1"
            " WHERE name = ? ORDER BY bundles.id DESC LIMIT ?",
            (before, target, limit),
        )
        return [(split_id(identifier)[1], digest, size) for identifier, digest, size in rows]

    def find_command(self, command_id: bytes) -> tuple[int, int] | None:
        """Return height and position of the command with this digest, if it is among the newest."""
        rows = self._reader.query(
            "SELECT height, position FROM (SELECT height, position, result FROM commands"
            " ORDER BY height DESC, position DESC LIMIT ?) WHERE instr(result, ?) LIMIT 1",
            (SEARCHED_ROWS, command_id),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def find_child(self, digest: bytes) -> int | None:
        """Return the height of the block that names this digest as its parent's, if it is among the newest."""
        rows = self._reader.query(
            "SELECT height FROM (SELECT height, block FROM blocks ORDER BY height DESC LIMIT ?)"
            " WHERE instr(block, ?) LIMIT 1",
            (SEARCHED_ROWS, digest),
        )
        return rows[0][0] if rows else None

    def find_bundle(self, digest: bytes, target: str) -> int | None:
        """Return the sequence of a target's bundle with this digest, if it is among the newest."""
        rows = self._reader.query(
            "SELECT id FROM (SELECT bundles.id AS id, digest FROM targets"
            " JOIN bundles ON bundles.id BETWEEN number << 48 AND (number + 1 << 48) - 1"
            " WHERE name = ? ORDER BY bundles.id DESC LIMIT ?) WHERE digest = ?",
            (target, SEARCHED_BUNDLES, digest),
        )
        return split_id(rows[0][0])[1] if rows else None
