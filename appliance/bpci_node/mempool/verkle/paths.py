"""The part of a tree that lies on the ways of some keys: inner nodes other than the root, and leaves that are met.

Which child stands in which slot follows from the prefixes and the keys, so nothing else is said about the shape; and
what no key needs is refused, so there is one form for one set of keys (:mod:`~bpci_node.mempool.verkle.walk`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from bpci_node.errors import FormatError
from bpci_node.mempool.verkle.scalars import DIGEST_BYTES, KEY_BYTES
from bpci_node.primitives.kzg import INFINITY, POINT_BYTES

MAX_KEYS = 4096
"""Keys of one proof, and so its nodes of one length of prefix, and its leaves."""

_VERSION = 1
_HEAD_BYTES = 9
_PREFIX_LENGTHS = range(1, KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Paths:
    """Nodes and leaves in the order of the encoding. Making one checks its form, but no point.

    Raises:
        FormatError: lengths, counts or order are wrong (``format.verkle``).
    """

    nodes: tuple[tuple[bytes, bytes], ...]
    """Prefix of 1 to 3 bytes and commitment of inner nodes, by length of prefix, then prefix."""
    leaves: tuple[tuple[bytes, bytes], ...]
    """Key and digest of leaves in the place of absent keys, by key."""

    def __post_init__(self) -> None:
        if any(len(prefix) not in _PREFIX_LENGTHS or len(point) != POINT_BYTES for prefix, point in self.nodes):
            raise FormatError("a node is a prefix of 1 to 3 bytes and a point", code="format.verkle")
        if any(len(key) != KEY_BYTES or len(digest) != DIGEST_BYTES for key, digest in self.leaves):
            raise FormatError("a leaf is a key and a digest", code="format.verkle")
        if max(self._counts()) > MAX_KEYS:
            raise FormatError("more nodes or leaves than keys may be opened", code="format.verkle")
        places = [(len(prefix), prefix) for prefix, _ in self.nodes]
        if any(a >= b for a, b in pairwise(places)) or any(a[0] >= b[0] for a, b in pairwise(self.leaves)):
            raise FormatError("nodes or leaves are not in order", code="format.verkle")
        # Two children or more never add up to nothing.
        if any(point == INFINITY for _, point in self.nodes):
            raise FormatError("an inner node is empty", code="format.verkle")

    def encode(self) -> bytes:
        """Return ``1 ‖ n1 ‖ n2 ‖ n3 ‖ m``, counts in 2 bytes, then ``prefix ‖ commitment`` and ``key ‖ digest``."""
        head = bytes([_VERSION]) + b"".join(count.to_bytes(2, "big") for count in self._counts())
        return head + b"".join(a + b for items in (self.nodes, self.leaves) for a, b in items)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what :meth:`encode` wrote, and nothing else.

        Raises:
            FormatError: another version, length or order (``format.verkle``).
        """
        if len(data) < _HEAD_BYTES or data[0] != _VERSION:
            raise FormatError("not a Verkle proof of version 1", code="format.verkle")
        counts = [int.from_bytes(data[i : i + 2], "big") for i in range(1, _HEAD_BYTES, 2)]
        forms = [*((length, POINT_BYTES) for length in _PREFIX_LENGTHS), (KEY_BYTES, DIGEST_BYTES)]
        if len(data) != _HEAD_BYTES + sum(n * (a + b) for n, (a, b) in zip(counts, forms, strict=True)):
            raise FormatError("a Verkle proof has another length than its counts say", code="format.verkle")
        items: list[tuple[bytes, bytes]] = []
        start = _HEAD_BYTES
        for count, (first, second) in zip(counts, forms, strict=True):
            for _ in range(count):
                items.append((data[start : start + first], data[start + first : start + first + second]))
                start += first + second
        edge = len(items) - counts[-1]
        return cls(tuple(items[:edge]), tuple(items[edge:]))

    def _counts(self) -> list[int]:
        """Return how many nodes have a prefix of 1, 2 and 3 bytes, and how many leaves there are."""
        lengths = [len(prefix) for prefix, _ in self.nodes]
        return [*(lengths.count(length) for length in _PREFIX_LENGTHS), len(self.leaves)]
