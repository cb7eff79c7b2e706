"""A sorted set of order keys in chunks: adding and removing cost two binary searches and one short move.

A single sorted list moves half of itself at every insertion, which shows from some 10,000 entries on; a chunk never
holds more than ``2 * CHUNK`` keys, so the move stays below 16 KiB however large the bucket.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from bpci_node.mempool.entry_leaf import OrderKey

CHUNK = 512
"""Half of the keys that a chunk holds at most."""


class OrderIndex:
    """Order keys, ascending, each once."""

    __slots__ = ("_chunks", "_lasts")

    def __init__(self) -> None:
        self._chunks: list[list[OrderKey]] = []
        self._lasts: list[OrderKey] = []

    def __iter__(self) -> Iterator[OrderKey]:
        for chunk in self._chunks:
            yield from chunk

    def add(self, key: OrderKey) -> None:
        """Add a key that is not there yet."""
        if not self._chunks:
            self._chunks, self._lasts = [[key]], [key]
            return
        at = min(bisect_left(self._lasts, key), len(self._chunks) - 1)
        chunk = self._chunks[at]
        insort(chunk, key)
        if len(chunk) > 2 * CHUNK:
            self._chunks[at : at + 1] = [chunk[:CHUNK], chunk[CHUNK:]]
            self._lasts[at : at + 1] = [chunk[CHUNK - 1], chunk[-1]]
        else:
            self._lasts[at] = chunk[-1]

    def remove(self, key: OrderKey) -> None:
        """Remove a key that is there.

        Raises:
            KeyError: it is not.
        """
        at = bisect_left(self._lasts, key)
        if at == len(self._chunks):
            raise KeyError(key)
        chunk = self._chunks[at]
        position = bisect_left(chunk, key)
        if chunk[position] != key:
            raise KeyError(key)
        del chunk[position]
        if chunk:
            self._lasts[at] = chunk[-1]
        else:
            del self._chunks[at], self._lasts[at]
