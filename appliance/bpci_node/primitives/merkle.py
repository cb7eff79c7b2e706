"""Merkle trees of RFC 6962: SHA-256, leaf prefix 0x00, node prefix 0x01, positions fixed, no sorted pairs.

Multiproofs open several leaves at once: the same tree walked from the root, left before right, where a subtree
without an opened leaf contributes its hash and an opened leaf contributes nothing. The layout is in
``docs/spec/bundle.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bpci_node.errors import ProofError
from bpci_node.primitives.hashing import sha256

EMPTY_ROOT = sha256(b"")
"""Root of the tree without leaves. Source: RFC 6962, section 2.1."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one leaf, 32 bytes."""
    return sha256(b"\x00" + leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children, 32 bytes each."""
    return sha256(b"\x01" + left + right)


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over ``leaf_hashes`` (results of :func:`leaf_hash`, in order).

    Works level by level: pairing neighbours and carrying an odd last one up gives the same tree as the recursive
    definition. Source: RFC 6962, section 2.1.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    level = list(leaf_hashes)
    while len(level) > 1:
        paired = [sha256(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


class MerkleList:
    """Leaf hashes in order, with every node above them kept, for a root of many leaves of which few change at a time.

    A replaced leaf costs one hash per level; after an insertion or a deletion all that stands right of it is hashed
    anew, because every position there has moved.
    """

    __slots__ = ("_changed", "_levels", "_moved_from")

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]
        self._changed: set[int] = set()
        self._moved_from = 0

    def __len__(self) -> int:
        return len(self._levels[0])

    def __getitem__(self, index: int) -> bytes:
        return self._levels[0][index]

    def __setitem__(self, index: int, leaf: bytes) -> None:
        """Replace the leaf hash at a position."""
        self._levels[0][index] = leaf
        self._changed.add(index)

    def insert(self, index: int, leaf: bytes) -> None:
        """Insert a leaf hash before the one at ``index``, or at the end."""
        self._levels[0].insert(index, leaf)
        self._moved_from = min(self._moved_from, index)

    def __delitem__(self, index: int) -> None:
        """Take a leaf hash out."""
        del self._levels[0][index]
        self._moved_from = min(self._moved_from, index)

    def root(self) -> bytes:
        """Return the root; hashes only above what has changed since the last one."""
        below, changed, start, height = self._levels[0], self._changed, self._moved_from, 0
        while len(below) > 1:
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            level, start = self._levels[height], start // 2
            changed = {index // 2 for index in changed if index // 2 < start}
            for index in changed:
                level[index] = _parent(below, index)
            level[start:] = [_parent(below, index) for index in range(start, (len(below) + 1) // 2)]
            below = level
        del self._levels[height + 1 :]
        self._changed.clear()
        self._moved_from = len(self)
        return below[0] if below else EMPTY_ROOT


def _parent(level: Sequence[bytes], index: int) -> bytes:
    """Return the node above two neighbours, or the last one of a level of odd length as it is."""
    at = 2 * index
    return sha256(b"\x01" + level[at] + level[at + 1]) if at + 1 < len(level) else level[at]


def audit_path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings of one leaf and of every node above it, from the leaf to the root, 32 bytes each.

    The hashes are those of a multiproof that opens this leaf alone, in the order of RFC 6962.

    Raises:
        ProofError: there is no leaf ``index`` (``proof.merkle``).
    Source: RFC 6962, section 2.1.1.
    """
    _require_indices([index], len(leaf_hashes))
    path: list[bytes] = []
    start, size = 0, len(leaf_hashes)
    while size > 1:
        half = _split(size)
        if index < start + half:
            path.append(root_of(leaf_hashes[start + half : start + size]))
            size = half
        else:
            path.append(root_of(leaf_hashes[start : start + half]))
            start, size = start + half, size - half
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf hash is at position ``index`` of the tree of ``size`` leaves with this ``root``.

    Args:
        leaf: result of :func:`leaf_hash`.
        path: what :func:`audit_path` returned.
    Raises:
        ProofError: as :func:`root_by_path`, or another root (``proof.merkle``).
    """
    if root_by_path(leaf, index, size, path) != root:
        raise ProofError("the audit path leads to another root", code="proof.merkle")


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root to which an audit path leads; arguments are those of :func:`verify_inclusion`.

    Raises:
        ProofError: an impossible position, or a path of another length (``proof.merkle``).
    Source: RFC 9162, section 2.1.3.2.
    """
    _require_indices([index], size)
    computed, place, last = leaf, index, size - 1
    for sibling in path:
        if last == 0 or len(sibling) != 32:
            raise ProofError("the audit path is too long, or not made of 32-byte hashes", code="proof.merkle")
        if place & 1 or place == last:
            computed = node_hash(sibling, computed)
            # Where the last node of a level has no right neighbour, it is carried up until it is one itself.
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofError("the audit path is too short", code="proof.merkle")
    return computed


def prove(leaf_hashes: Sequence[bytes], indices: Sequence[int]) -> list[bytes]:
    """Return the multiproof that opens ``indices``: 32-byte hashes in the order of the walk.

    Args:
        indices: positions, strictly ascending, each 0 <= index < len(leaf_hashes), at least one.
    Raises:
        ProofError: indices are not as required.
    """
    _require_indices(indices, len(leaf_hashes))
    proof: list[bytes] = []

    def walk(start: int, size: int, wanted: Sequence[int]) -> None:
        if not wanted:
            proof.append(root_of(leaf_hashes[start : start + size]))
        elif size > 1:
            half = _split(size)
            middle = start + half
            walk(start, half, [index for index in wanted if index < middle])
            walk(middle, size - half, [index for index in wanted if index >= middle])

    walk(0, len(leaf_hashes), indices)
    return proof


def verify(opened: Sequence[tuple[int, bytes]], size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the tree of ``size`` leaves with this ``root`` has the ``opened`` leaf hashes at their positions.

    Args:
        opened: ``(index, leaf hash)``, indices strictly ascending.
        proof: what :func:`prove` returned, 32 bytes each.
    Raises:
        ProofError: wrong positions, a proof that is too short or too long, or another root (``proof.merkle``).
    """
    _require_indices([index for index, _ in opened], size)
    if any(len(item) != 32 for item in proof):
        raise ProofError("a Merkle proof consists of 32-byte hashes", code="proof.merkle")
    siblings: Iterator[bytes] = iter(proof)

    def walk(start: int, size: int, leaves: Sequence[tuple[int, bytes]]) -> bytes:
        if not leaves:
            sibling = next(siblings, None)
            if sibling is None:
                raise ProofError("the Merkle proof is too short", code="proof.merkle")
            return sibling
        if size == 1:
            return leaves[0][1]
        half = _split(size)
        middle = start + half
        left = walk(start, half, [leaf for leaf in leaves if leaf[0] < middle])
        right = walk(middle, size - half, [leaf for leaf in leaves if leaf[0] >= middle])
        return node_hash(left, right)

    computed = walk(0, size, opened)
    if next(siblings, None) is not None:
        raise ProofError("the Merkle proof is too long", code="proof.merkle")
    if computed != root:
        raise ProofError("the Merkle proof leads to another root", code="proof.merkle")


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (``size`` >= 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def _require_indices(indices: Sequence[int], size: int) -> None:
    if not 0 < size < 1 << 40:
        raise ProofError("an opening needs a tree with leaves", code="proof.merkle")
    if not indices:
        raise ProofError("no position was given to open", code="proof.merkle")
    if any(a >= b for a, b in pairwise(indices)) or indices[0] < 0 or indices[-1] >= size:
        raise ProofError("positions must ascend strictly and lie inside the tree", code="proof.merkle")
