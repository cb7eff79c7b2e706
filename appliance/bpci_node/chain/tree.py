"""The state tree in memory: persistent, so that readers keep the tree they have while the next block is made.

What the tree *is* stands in :mod:`bpci_node.primitives.state_proof`; how it is kept does not show in its root. Pages
hold up to :data:`MAX_PAGE` neighbouring leaves, packed; branches part sixteen ways by the next four bits of the path.
An update makes new pages and branches from the leaves that it touches up to the root, and shares all others.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TypeVar

from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.state_proof import EMPTY_ROOT, StateProof, bit_of, path_of, state_leaf, state_node

MAX_PAGE = 32
"""Most leaves of a page; one more, and it becomes a branch."""

Write = tuple[bytes, bytes, bytes | None]
"""A key's path, the key, and its new value; ``None`` removes it."""
W = TypeVar("W", bound=tuple[bytes, bytes, bytes | None])


class _Page:
    """Neighbouring leaves in order of their paths."""

    __slots__ = ("hash", "keys", "leaves", "paths", "values")

    def __init__(
        self, paths: Sequence[bytes], leaves: Sequence[bytes], keys: Sequence[bytes], values: Sequence[bytes]
    ) -> None:
        # Paths and leaf hashes are packed: an object each would double what a key takes in memory.
        self.paths, self.leaves = b"".join(paths), b"".join(leaves)
        self.keys, self.values = tuple(keys), tuple(values)
        self.hash: bytes = _fold([int.from_bytes(path) for path in paths], leaves)


class _Branch:
    """Sixteen subtrees, by the next four bits of the path."""

    __slots__ = ("children", "hash")

    def __init__(self, children: Sequence[_Node | None], depth: int) -> None:
        self.children = tuple(children)
        combined = _combine([None if child is None else child.hash for child in children], 4 * depth)
        self.hash: bytes = EMPTY_ROOT if combined is None else combined


_Node = _Page | _Branch


class Tree:
    """One version of the tree. Never changes: :meth:`update` returns another."""

    __slots__ = ("_root",)

    def __init__(self, root: _Node | None = None) -> None:
        self._root = root

    @classmethod
    def of(cls, entries: list[tuple[bytes, bytes, bytes]]) -> Tree:
        """Return the tree of these paths, keys and values, which come in any order."""
        return cls(_grow(entries, 0))

    @property
    def root(self) -> bytes:
        """The root hash, 32 bytes."""
        return EMPTY_ROOT if self._root is None else self._root.hash

    def get(self, key: bytes) -> bytes | None:
        """Return the value of ``key``, ``None`` if there is none."""
        node, path, depth = self._root, path_of(key), 0
        while isinstance(node, _Branch):
            node = node.children[_nibble(path, depth)]
            depth += 1
        if isinstance(node, _Page) and key in node.keys:
            return node.values[node.keys.index(key)]
        return None

    def update(self, writes: list[Write]) -> Tree:
        """Return the tree after ``writes``, which concern different keys and come in any order."""
        return Tree(_update(self._root, writes, 0)) if writes else self

    def prove(self, key: bytes) -> StateProof:
        """Return the proof of what stands at ``key``, or that nothing does."""
        path = path_of(key)
        wanted, depth = int.from_bytes(path), 0
        steps: list[tuple[int, bytes]] = []
        node = self._root
        while isinstance(node, _Branch):
            node = _walk_branch(node, wanted, depth, steps)
            depth += 1
        if not isinstance(node, _Page):
            return StateProof((), None)
        end = _walk_page(node, wanted, steps)
        found = node.paths[32 * end : 32 * end + 32]
        return StateProof(tuple(steps), None if found == path else (found, sha256(node.values[end])))


def _update(node: _Node | None, writes: list[Write], depth: int) -> _Node | None:
    """Return the subtree ``depth`` branches below the root after ``writes``."""
    if isinstance(node, _Branch):
        children = list(node.children)
        for nibble, part in enumerate(_parts(writes, depth)):
            if part:
                children[nibble] = _update(children[nibble], part, depth + 1)
        return _Branch(children, depth) if any(child is not None for child in children) else None
    if node is None:
        return _grow([(path, key, value) for path, key, value in writes if value is not None], depth)
    entries: dict[bytes, tuple[bytes, bytes, bytes]] = {}
    for position, key in enumerate(node.keys):
        at = 32 * position
        entries[node.paths[at : at + 32]] = (node.leaves[at : at + 32], key, node.values[position])
    for path, key, value in writes:
        if value is None:
            entries.pop(path, None)
        else:
            entries[path] = (state_leaf(path, sha256(value)), key, value)
    if len(entries) > MAX_PAGE:
        return _grow([(path, key, value) for path, (_, key, value) in entries.items()], depth)
    if not entries:
        return None
    paths = sorted(entries)
    ordered = [entries[path] for path in paths]
    return _Page(
        paths, [entry[0] for entry in ordered], [entry[1] for entry in ordered], [entry[2] for entry in ordered]
    )


def _grow(entries: list[tuple[bytes, bytes, bytes]], depth: int) -> _Node | None:
    """Return a new subtree of these paths, keys and values."""
    if not entries:
        return None
    if len(entries) > MAX_PAGE:
        return _Branch([_grow(part, depth + 1) for part in _parts(entries, depth)], depth)
    entries.sort()
    return _Page(
        [path for path, _, _ in entries],
        [state_leaf(path, sha256(value)) for path, _, value in entries],
        [key for _, key, _ in entries],
        [value for _, _, value in entries],
    )


def _parts(writes: list[W], depth: int) -> list[list[W]]:
    """Part ``writes``, whose first items are paths, by the four bits that a branch at ``depth`` looks at."""
    parts: list[list[W]] = [[] for _ in range(16)]
    at, shift = depth >> 1, 0 if depth & 1 else 4
    for write in writes:
        parts[write[0][at] >> shift & 15].append(write)
    return parts


def _nibble(path: bytes, depth: int) -> int:
    return path[depth >> 1] >> (0 if depth & 1 else 4) & 15


def _combine(hashes: list[bytes | None], bit: int) -> bytes | None:
    """Return the hash over neighbouring subtrees, a power of two of them, that first part at ``bit``.

    A node with one child does not exist: its child stands in its place.
    """
    bit += len(hashes).bit_length() - 1
    while len(hashes) > 1:
        bit -= 1
        hashes = [
            right if left is None else left if right is None else state_node(bit, left, right)
            for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]


def _fold(paths: list[int], leaves: Sequence[bytes]) -> bytes:
    """Return the hash over leaves in order of their paths, at least one.

    Neighbours part at the first bit in which their paths differ. A subtree is complete once the next neighbour parts
    from it at an earlier bit than its own node's.
    """
    open_bits: list[int] = []  # bits of the nodes whose right child is still growing, rising
    hashes = [leaves[0]]
    previous = paths[0]
    for position in range(1, len(paths)):
        path = paths[position]
        bit = 256 - (path ^ previous).bit_length()
        while open_bits and open_bits[-1] > bit:
            right = hashes.pop()
            hashes[-1] = state_node(open_bits.pop(), hashes[-1], right)
        open_bits.append(bit)
        hashes.append(leaves[position])
        previous = path
    while open_bits:
        right = hashes.pop()
        hashes[-1] = state_node(open_bits.pop(), hashes[-1], right)
    return hashes[0]


def _walk_branch(branch: _Branch, wanted: int, depth: int, steps: list[tuple[int, bytes]]) -> _Node:
    """Add the steps inside one branch, and return the child to which a look-up leads."""
    hashes = [None if child is None else child.hash for child in branch.children]
    low, size = 0, 16
    for bit in range(4 * depth, 4 * depth + 4):
        size //= 2
        halves = (low, low + size)
        side = bit_of(wanted, bit)
        own, other = (_combine(hashes[start : start + size], bit + 1) for start in (halves[side], halves[1 - side]))
        if own is None:
            side = 1 - side
        elif other is not None:
            steps.append((bit, other))
        low = halves[side]
    child = branch.children[low]
    if child is None:
        raise AssertionError("a branch without children is never kept")
    return child


def _walk_page(page: _Page, wanted: int, steps: list[tuple[int, bytes]]) -> int:
    """Add the steps inside one page, and return the position of the leaf to which a look-up leads."""
    count = len(page.keys)
    paths = [int.from_bytes(page.paths[at : at + 32]) for at in range(0, 32 * count, 32)]
    leaves = [page.leaves[at : at + 32] for at in range(0, 32 * count, 32)]
    low, high = 0, count
    while high - low > 1:
        bit = 256 - (paths[low] ^ paths[high - 1]).bit_length()
        middle = bisect_left(paths, 1, low, high, key=lambda path: bit_of(path, bit))
        if bit_of(wanted, bit):
            steps.append((bit, _fold(paths[low:middle], leaves[low:middle])))
            low = middle
        else:
            steps.append((bit, _fold(paths[middle:high], leaves[middle:high])))
            high = middle
    return low
