"""The state tree in memory: persistent, so that readers keep the tree they have while the next block is made.

What the tree *is* stands in :mod:`bpci_node.primitives.state_proof`; how it is kept does not show in its root. Pages
hold up to :data:`MAX_PAGE` neighbouring leaves, packed; branches part sixteen ways by the next four bits of the path.
An update makes new pages and branches from the leaves that it touches up to the root, and shares all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.state_proof import EMPTY_ROOT, StateProof, bit_of, path_of, state_leaf, state_node

MAX_PAGE = 32
"""Most leaves of a page; one more, and it becomes a branch."""

Write = tuple[bytes, bytes, bytes | None]
"""A key's path, the key, and its new value; ``None`` removes it."""
W = TypeVar("W", bound=tuple[bytes, bytes, bytes | None])


class _Page:
    """Neighbouring leaves in order of their paths, packed: an object each would double what a key takes in memory."""

    __slots__ = ("bits", "hash", "keys", "leaves", "paths", "values")

    def __init__(
        self, paths: bytes, bits: bytes, leaves: list[bytes], keys: tuple[bytes, ...], values: tuple[bytes, ...]
    ) -> None:
        """Take the leaves, at least one.

        Args:
            paths: 32 bytes each.
            bits: the first bit in which each path differs from the one before it; one less than there are leaves.
            leaves: their hashes.
        """
        self.paths, self.bits, self.leaves = paths, bits, b"".join(leaves)
        self.keys, self.values = keys, values
        self.hash: bytes = _fold(bits, leaves)


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
        if node is None:
            return None
        try:
            return node.values[node.keys.index(key)]
        except ValueError:
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
    return _with_new_values(node, writes) or _with_new_keys(node, writes, depth)


def _with_new_values(page: _Page, writes: list[Write]) -> _Page | None:
    """Return ``page`` after ``writes`` that concern keys which it has and keeps, ``None`` if there are others."""
    leaves, values = _pieces(page.leaves), list(page.values)
    for path, key, value in writes:
        if value is None or key not in page.keys:
            return None
        position = page.keys.index(key)
        leaves[position], values[position] = state_leaf(path, sha256(value)), value
    return _Page(page.paths, page.bits, leaves, page.keys, tuple(values))


def _with_new_keys(page: _Page, writes: list[Write], depth: int) -> _Node | None:
    """Return what takes the place of ``page`` after ``writes`` that add keys or remove some."""
    leaves = zip(_pieces(page.leaves), page.keys, page.values, strict=True)
    entries = dict(zip(_pieces(page.paths), leaves, strict=True))
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
    return _new_page(paths, [leaf for leaf, _, _ in ordered], [(key, value) for _, key, value in ordered])


def _new_page(paths: list[bytes], leaves: list[bytes], entries: list[tuple[bytes, bytes]]) -> _Page:
    """Return the page of these leaves, whose paths rise."""
    numbers = [int.from_bytes(path) for path in paths]
    bits = bytes([256 - (one ^ other).bit_length() for one, other in pairwise(numbers)])
    keys, values = zip(*entries, strict=True)
    return _Page(b"".join(paths), bits, leaves, keys, values)


def _pieces(packed: bytes) -> list[bytes]:
    return [packed[at : at + 32] for at in range(0, len(packed), 32)]


def _grow(entries: list[tuple[bytes, bytes, bytes]], depth: int) -> _Node | None:
    """Return a new subtree of these paths, keys and values."""
    if not entries:
        return None
    if len(entries) > MAX_PAGE:
        return _Branch([_grow(part, depth + 1) for part in _parts(entries, depth)], depth)
    entries.sort()
    return _new_page(
        [path for path, _, _ in entries],
        [state_leaf(path, sha256(value)) for path, _, value in entries],
        [(key, value) for _, key, value in entries],
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


def _fold(bits: Sequence[int], leaves: Sequence[bytes]) -> bytes:
    """Return the hash over leaves in order of their paths, at least one; ``bits`` say where neighbours part.

    A subtree is complete once the next neighbour parts from it at an earlier bit than its own node's.
    """
    open_bits: list[int] = []  # bits of the nodes whose right child is still growing, rising
    hashes = [leaves[0]]
    for bit, leaf in zip(bits, leaves[1:], strict=True):
        while open_bits and open_bits[-1] > bit:
            right = hashes.pop()
            hashes[-1] = state_node(open_bits.pop(), hashes[-1], right)
        open_bits.append(bit)
        hashes.append(leaf)
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
    leaves, bits = _pieces(page.leaves), page.bits
    low, high = 0, len(leaves)
    while high - low > 1:
        bit = min(bits[low : high - 1])
        middle = bits.index(bit, low, high - 1) + 1  # neighbours part here, and nowhere at an earlier bit
        if bit_of(wanted, bit):
            steps.append((bit, _fold(bits[low : middle - 1], leaves[low:middle])))
            low = middle
        else:
            steps.append((bit, _fold(bits[middle : high - 1], leaves[middle:high])))
            high = middle
    return low
