"""Entries in their order, with the hashes of their leaves, in chunks.

Adding and removing cost two binary searches and a short move, however many entries there are: a chunk never holds more
than ``2 * CHUNK``. A leaf is hashed once, when the hashes are first asked for, and its hash moves along with its entry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_leaf import OrderKey
from bpci_node.primitives.merkle import leaf_hash

CHUNK = 512
"""Half of the entries that a chunk holds at most."""


class _Chunk:
    """Neighbours in the order: three lists of one length."""

    __slots__ = ("entries", "hashes", "is_hashed", "keys")

    def __init__(self, keys: list[OrderKey], entries: list[Entry], hashes: list[bytes | None]) -> None:
        self.keys, self.entries, self.hashes = keys, entries, hashes
        self.is_hashed = False
        """Whether no hash is missing."""

    def split(self) -> _Chunk:
        """Give the second half away."""
        second = _Chunk(self.keys[CHUNK:], self.entries[CHUNK:], self.hashes[CHUNK:])
        del self.keys[CHUNK:], self.entries[CHUNK:], self.hashes[CHUNK:]
        return second

    def leaf_hashes(self) -> list[bytes]:
        """Return the leaf hashes, all of them computed."""
        if not self.is_hashed:
            self.hashes = [
                found or leaf_hash(entry.leaf.encode()) for found, entry in zip(self.hashes, self.entries, strict=True)
            ]
            self.is_hashed = True
        return self.hashes  # type: ignore[return-value]  # none is missing now


class EntryList:
    """Entries by fee rate (descending), arrival, txid, each once."""

    __slots__ = ("_chunks", "_count", "_lasts")

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []
        self._lasts: list[OrderKey] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order."""
        for chunk in self._chunks:
            yield from chunk.entries

    def __reversed__(self) -> Iterator[Entry]:
        """Yield the entries from the last one."""
        for chunk in reversed(self._chunks):
            yield from reversed(chunk.entries)

    @property
    def first(self) -> Entry:
        """The entry that is served first; there must be one."""
        return self._chunks[0].entries[0]

    @property
    def last(self) -> Entry:
        """The entry that is served last; there must be one."""
        return self._chunks[-1].entries[-1]

    def add(self, entry: Entry) -> None:
        """Add an entry that is not there yet."""
        key = entry.leaf.order_key
        self._count += 1
        if not self._chunks:
            self._chunks, self._lasts = [_Chunk([key], [entry], [None])], [key]
            return
        at = min(bisect_left(self._lasts, key), len(self._chunks) - 1)
        chunk = self._chunks[at]
        position = bisect_left(chunk.keys, key)
        chunk.keys.insert(position, key)
        chunk.entries.insert(position, entry)
        chunk.hashes.insert(position, None)
        chunk.is_hashed = False
        if len(chunk.keys) > 2 * CHUNK:
            second = chunk.split()
            self._chunks.insert(at + 1, second)
            self._lasts.insert(at + 1, second.keys[-1])
        self._lasts[at] = chunk.keys[-1]

    def remove(self, entry: Entry) -> None:
        """Remove an entry that is there.

        Raises:
            KeyError: it is not.
        """
        at, position = self._find(entry)
        chunk = self._chunks[at]
        del chunk.keys[position], chunk.entries[position], chunk.hashes[position]
        self._count -= 1
        if chunk.keys:
            self._lasts[at] = chunk.keys[-1]
        else:
            del self._chunks[at], self._lasts[at]

    def position(self, entry: Entry) -> int:
        """Return how many entries come before this one, which is there.

        Raises:
            KeyError: it is not.
        """
        at, position = self._find(entry)
        return sum(len(chunk.keys) for chunk in self._chunks[:at]) + position

    def leaf_hashes(self) -> list[bytes]:
        """Return the leaf hashes in order, as a new list."""
        return [found for chunk in self._chunks for found in chunk.leaf_hashes()]

    def first_hashes(self, most: int) -> list[bytes]:
        """Return the leaf hashes of the first entries, as many as there are up to ``most``."""
        found: list[bytes] = []
        for chunk in self._chunks:
            if len(found) >= most:
                break
            found += chunk.leaf_hashes()
        return found[:most]

    def _find(self, entry: Entry) -> tuple[int, int]:
        """Return the chunk of an entry and its place there."""
        key = entry.leaf.order_key
        at = bisect_left(self._lasts, key)
        if at < len(self._chunks):
            keys = self._chunks[at].keys
            position = bisect_left(keys, key)
            if keys[position] == key:
                return at, position
        raise KeyError(entry.leaf.txid)
