"""A SQLite file read page by page, whatever state it is in: only to save what a damaged one still holds.

Pages come from the write-ahead log where it has a later image that holds, else from the file. Whatever can't be read is
left out and noted; nothing here writes, and nothing here trusts a number that it reads.

Source: SQLite file format, sections 1 and 2.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from bpci_node.store import wal

Value: TypeAlias = int | bytes | str | None
"""What a column holds; the schema here has no floats."""

INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE = 0x02, 0x05, 0x0A, 0x0D
"""First byte of a page of a B-tree."""

_HEAD_BYTES = 100
_FALLBACK_BYTES = 4096
_MAX_DEPTH = 20
_BLOCK_BYTES = 4096
_MAX_PAYLOAD = 1 << 30


class _UnreadableError(Exception):
    """A cell or a page makes no sense."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in a cell."""

    rowid: int | None
    """``None`` in a table without rowids, and in an index."""
    values: tuple[Value, ...]


@dataclass(slots=True)
class Found:
    """What a walk over a B-tree has come across."""

    pages: set[int] = field(default_factory=set)
    """Pages that were read, overflow pages included."""
    unreadable: set[int] = field(default_factory=set)
    """Pages that were pointed to and make no sense."""
    bad_cells: int = 0
    """Cells that make no sense, in pages that do."""


class PageFile:
    """The pages of one database."""

    def __init__(self, descriptor: int, log: bytes) -> None:
        """Read from an open file, and from the bytes of its log."""
        self._descriptor, self._log = descriptor, log
        self._size = os.fstat(descriptor).st_size
        stated = int.from_bytes(read_block(descriptor, 16, 2), "big")
        stated = 65536 if stated == 1 else stated
        fits = stated >= 512 and not stated & (stated - 1)
        self.wal = wal.read_pages(log, stated if fits else _FALLBACK_BYTES)
        self.page_bytes = self.wal.page_bytes or (stated if fits else _FALLBACK_BYTES)
        """Length of a page."""
        self.count = max(self._size // self.page_bytes, self.wal.page_count)
        """Pages of the file, those in the log included."""

    def page(self, number: int) -> bytes:
        """Return a page; zeros where nothing can be read. Pages are numbered from 1."""
        offset = self.wal.offsets.get(number)
        if offset is not None:
            return self._log[offset : offset + self.page_bytes]
        return read_block(self._descriptor, (number - 1) * self.page_bytes, self.page_bytes)

    def is_missing(self, number: int) -> bool:
        """Tell whether the file ends before this page, and the log does not have it."""
        return number not in self.wal.offsets and number * self.page_bytes > self._size

    def kind(self, number: int) -> int:
        """Return the first byte of a page's B-tree header."""
        return self.page(number)[_HEAD_BYTES if number == 1 else 0]

    def walk(self, root: int, found: Found) -> Iterator[Row]:
        """Yield the rows of the B-tree with this root, in their order as far as the tree leads to them."""
        yield from self._walk(root, found, 0)

    def _walk(self, number: int, found: Found, depth: int) -> Iterator[Row]:
        if number in found.pages or depth > _MAX_DEPTH or not 1 <= number <= self.count:
            found.unreadable.add(number)
            return
        found.pages.add(number)
        try:
            kind, cells, right = self._header(number)
        except _UnreadableError:
            found.unreadable.add(number)
            return
        if kind in (LEAF_TABLE, LEAF_INDEX):
            yield from self.rows(number, found)
            return
        page = self.page(number)
        for at in cells:
            yield from self._walk(int.from_bytes(page[at : at + 4], "big"), found, depth + 1)
            if kind == INTERIOR_INDEX:
                yield from self._cell(number, at + 4, found, has_rowid=False)
        yield from self._walk(right, found, depth + 1)

    def rows(self, number: int, found: Found) -> Iterator[Row]:
        """Yield the rows of one leaf."""
        try:
            kind, cells, _ = self._header(number)
        except _UnreadableError:
            found.unreadable.add(number)
            return
        for at in cells:
            yield from self._cell(number, at, found, has_rowid=kind == LEAF_TABLE)

    def free_pages(self) -> set[int] | None:
        """Return the pages that are in no tree, ``None`` if the file can't say."""
        page = self.page(1)
        trunk, stated = int.from_bytes(page[32:36], "big"), int.from_bytes(page[36:40], "big")
        free: set[int] = set()
        while trunk:
            if trunk in free or not 1 < trunk <= self.count:
                return None
            page = self.page(trunk)
            leaves = int.from_bytes(page[4:8], "big")
            if leaves > self.page_bytes // 4 - 2:
                return None
            free.add(trunk)
            free.update(int.from_bytes(page[at : at + 4], "big") for at in range(8, 8 + 4 * leaves, 4))
            trunk = int.from_bytes(page[:4], "big")
        return free if len(free) == stated else None

    def map_pages(self) -> Iterator[int]:
        """Yield the pages that say which page points to which. Source: section 1.8."""
        step = self.page_bytes // 5 + 1
        yield from range(2, self.count + 1, step)

    def _header(self, number: int) -> tuple[int, list[int], int]:
        """Return kind, offsets of cells and right-most child."""
        page = self.page(number)
        start = _HEAD_BYTES if number == 1 else 0
        kind = page[start]
        if kind not in (INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE):
            raise _UnreadableError
        is_leaf = kind in (LEAF_TABLE, LEAF_INDEX)
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        first = start + (8 if is_leaf else 12)
        if first + 2 * count > self.page_bytes:
            raise _UnreadableError
        cells = [int.from_bytes(page[at : at + 2], "big") for at in range(first, first + 2 * count, 2)]
        if any(not first + 2 * count <= at < self.page_bytes for at in cells):
            raise _UnreadableError
        return kind, cells, 0 if is_leaf else int.from_bytes(page[start + 8 : start + 12], "big")

    def _cell(self, number: int, at: int, found: Found, *, has_rowid: bool) -> Iterator[Row]:
        try:
            page = self.page(number)
            size, at = _varint(page, at)
            rowid = None
            if has_rowid:
                rowid, at = _varint(page, at)
                rowid -= (rowid >> 63) << 64
            row = Row(rowid, _record(self._payload(page, at, size, found, is_table=has_rowid)))
        except (_UnreadableError, IndexError, ValueError):
            found.bad_cells += 1
        else:
            yield row

    def _payload(self, page: bytes, at: int, size: int, found: Found, *, is_table: bool) -> bytes:
        """Return a payload, its overflow pages included. Source: section 1.6."""
        usable = self.page_bytes
        most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
        if size <= most:
            if at + size > usable:
                raise _UnreadableError
            return page[at : at + size]
        if size > min(_MAX_PAYLOAD, self.count * usable):
            raise _UnreadableError
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= most else least
        parts, have = [page[at : at + local]], local
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while have < size:
            if not 1 < following <= self.count or self.is_missing(following):
                raise _UnreadableError
            found.pages.add(following)
            overflow = self.page(following)
            parts.append(overflow[4 : 4 + size - have])
            have += len(parts[-1])
            following = int.from_bytes(overflow[:4], "big")
        return b"".join(parts)


@contextmanager
def open_pages(path: Path) -> Iterator[PageFile]:
    """Open the database at ``path`` for reading, its log included."""
    log_path = wal.log_of(path)
    log = b"".join(blocks_of(log_path)) if log_path.exists() else b""
    with path.open("rb") as file:
        yield PageFile(file.fileno(), log)


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes; zeros where the disk gives none."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for start in range(0, size, _BLOCK_BYTES):
            yield read_block(file.fileno(), start, min(_BLOCK_BYTES, size - start))


def read_block(descriptor: int, start: int, size: int) -> bytes:
    """Return ``size`` bytes of a file; zeros behind its end, and where the disk gives none."""
    try:
        return os.pread(descriptor, size, start).ljust(size, b"\0")
    except OSError:
        return bytes(size)


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the position behind it. Source: section 1.6."""
    value = 0
    for position in range(at, at + 8):
        byte = page[position]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position + 1
    return value << 8 | page[at + 8], at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    """Return the values of a record. Source: section 2.1."""
    end, at = _varint(payload, 0)
    if end > len(payload):
        raise _UnreadableError
    values: list[Value] = []
    body = end
    while at < end:
        kind, at = _varint(payload, at)
        length = _INTEGER_BYTES[kind] if kind < 10 else (kind - 12) // 2
        if length < 0 or body + length > len(payload):
            raise _UnreadableError
        data = payload[body : body + length]
        body += length
        if kind == 0:
            values.append(None)
        elif kind in (8, 9):
            values.append(kind - 8)
        elif kind < 10:
            values.append(int.from_bytes(data, "big", signed=True))
        else:
            values.append(data.decode() if kind & 1 else data)
    if body != len(payload):
        raise _UnreadableError
    return tuple(values)


_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8, -1, 0, 0)
"""Length of a value by its serial type; -1 is a float, which no column here holds."""
