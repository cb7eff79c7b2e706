"""The ledger's state: a map from keys to bytes with one root, and overlays that apply whole or not at all.

The root is that of RFC 6962 over one leaf per entry, in ascending order of keys; a leaf is the canonical encoding of
``[tag, key, value]``. It depends on the entries alone, never on how they came about. It proves that an entry is there;
proving that one is not there needs the sparse tree that takes its place in a later version.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Protocol

from bpci_node.primitives.codec import encode
from bpci_node.primitives.merkle import EMPTY_ROOT, leaf_hash, node_hash

STATE_TAG = "bpci 2026 state v1"
"""First item of every leaf, so that a state entry is never taken for a leaf of another tree."""


class View(Protocol):
    """Something that entries can be read from."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if there is none."""
        ...


def entry_hash(key: bytes, value: bytes) -> bytes:
    """Return the Merkle leaf hash of one state entry, 32 bytes."""
    return leaf_hash(encode([STATE_TAG, key, value]))


class State:
    """All entries after a block. Never changes: :meth:`with_writes` returns another state."""

    __slots__ = ("_keys", "_levels", "_values")

    def __init__(self, values: dict[bytes, bytes], keys: list[bytes], levels: list[list[bytes]]) -> None:
        # levels[0] are the leaves, each next level the parents; all of them are kept, so that a block computes only
        # what it touched.
        self._values, self._keys, self._levels = values, keys, levels

    @classmethod
    def of(cls, entries: Iterable[tuple[bytes, bytes]] = ()) -> State:
        """Return the state with these entries, which may come in any order."""
        values = dict(entries)
        keys = sorted(values)
        levels = [[entry_hash(key, values[key]) for key in keys]]
        _rebuild(levels, 0)
        return cls(values, keys, levels)

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if there is none."""
        return self._values.get(key)

    def entries(self, prefix: bytes = b"", after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries whose keys begin with ``prefix`` and are greater than ``after``, in order of keys."""
        position = bisect_left(self._keys, max(prefix, after))
        while position < len(self._keys) and self._keys[position].startswith(prefix):
            key = self._keys[position]
            if key != after:
                yield key, self._values[key]
            position += 1

    @property
    def root(self) -> bytes:
        """The root over all entries, 32 bytes."""
        return self._levels[-1][0] if self._keys else EMPTY_ROOT

    @property
    def leaf_hashes(self) -> tuple[bytes, ...]:
        """The leaf hashes in order of keys, for proofs."""
        return tuple(self._levels[0])

    def index_of(self, key: bytes) -> int | None:
        """Return the position of ``key`` among the leaves, ``None`` if there is no such entry."""
        position = bisect_left(self._keys, key)
        return position if position < len(self._keys) and self._keys[position] == key else None

    def with_writes(self, writes: Mapping[bytes, bytes | None]) -> State:
        """Return the state after ``writes``, where ``None`` deletes a key. This state stays as it is."""
        values, keys = dict(self._values), list(self._keys)
        levels = [list(level) for level in self._levels]
        moved, touched = len(keys), set[int]()
        for key in sorted(writes):
            value = writes[key]
            position = bisect_left(keys, key)
            present = key in values
            if value is None:
                if present:
                    del values[key], keys[position], levels[0][position]
                    moved = min(moved, position)
                continue
            values[key] = value
            if present:
                levels[0][position] = entry_hash(key, value)
                touched.add(position)
            else:
                keys.insert(position, key)
                levels[0].insert(position, entry_hash(key, value))
                moved = min(moved, position)
        # Keys come in ascending order, so whatever was touched before the first insertion or deletion kept its
        # position, and whatever came after it is rebuilt anyway.
        if moved < max(len(keys), len(self._keys)):
            _rebuild(levels, moved)
        _refresh(levels, {position for position in touched if position < moved})
        return State(values, keys, levels)


class Overlay:
    """Writes on top of a view, which see each other at once and reach the view only through :meth:`flush_into`."""

    __slots__ = ("_base", "writes")

    def __init__(self, base: View) -> None:
        self._base = base
        self.writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if there is none."""
        if key in self.writes:
            return self.writes[key]
        return self._base.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of ``key``."""
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove ``key``; nothing happens if it is not there."""
        self.writes[key] = None

    def flush_into(self, other: Overlay) -> None:
        """Apply every write to ``other``."""
        other.writes.update(self.writes)


def _rebuild(levels: list[list[bytes]], first: int) -> None:
    """Compute every node at or right of leaf ``first`` anew; a last node without a neighbour moves up as it is."""
    depth = 0
    while len(levels[depth]) > 1:
        below = levels[depth]
        depth += 1
        if depth == len(levels):
            levels.append([])
        first >>= 1
        level = levels[depth]
        del level[first:]
        for left in range(2 * first, len(below), 2):
            level.append(node_hash(below[left], below[left + 1]) if left + 1 < len(below) else below[left])
    del levels[depth + 1 :]


def _refresh(levels: list[list[bytes]], positions: set[int]) -> None:
    """Compute the ancestors of the leaves at ``positions`` anew, in a tree whose shape has not changed."""
    for below, level in pairwise(levels):
        positions = {position >> 1 for position in positions}
        for position in positions:
            left = 2 * position
            level[position] = node_hash(below[left], below[left + 1]) if left + 1 < len(below) else below[left]
