"""One inner node: its children, and the values and commitment that they had when a root was last asked for.

A leaf is kept as ``key ‖ digest``. The values are the witness cache: an update commits to their differences, and a
proof reads them instead of hashing every child again.
"""

from __future__ import annotations

from py_arkworks_bls12381 import G1Point

from bpci_node.mempool.verkle.scalars import EMPTY, KEY_BYTES, leaf_scalar, node_scalar
from bpci_node.primitives.kzg import INFINITY, ORDER, commit


class Node:
    """An inner node of the tree. Changes are noted by slot and paid for in :meth:`settle`."""

    __slots__ = ("_changed", "_point", "children", "commitment", "prefix", "values")

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        """What the keys below share, 0 to 3 bytes; empty for the root alone."""
        self.children: dict[int, Node | bytes] = {}
        """By slot: inner nodes, and leaves as key ‖ digest, 36 bytes."""
        self.values: dict[int, int] = {}
        """By slot, the scalars other than 0, as of the last :meth:`settle`."""
        self.commitment = INFINITY
        """Compressed, as of the last :meth:`settle`."""
        self._point = G1Point.identity()
        self._changed = 0  # one bit per slot: smaller than a set, and read in order

    def touch(self, slot: int) -> None:
        """Note that the child in this slot, or something below it, has changed."""
        self._changed |= 1 << slot

    def settle(self) -> None:
        """Bring values and commitments up to date, from the lowest changed node upwards.

        The commitment moves by the difference of the values, or is made anew where fewer values are there than changed.
        """
        differences: dict[int, int] = {}
        while self._changed:
            slot = self._changed.bit_length() - 1
            self._changed ^= 1 << slot
            after = self._scalar(slot)
            difference = (after - self.values.get(slot, EMPTY)) % ORDER
            if difference:
                differences[slot] = difference
            if after == EMPTY:
                self.values.pop(slot, None)
            else:
                self.values[slot] = after
        if not differences:
            return
        if len(differences) < len(self.values):
            self._point += commit(differences)
        else:
            self._point = commit(self.values)
        self.commitment = self._point.to_compressed_bytes()

    def _scalar(self, slot: int) -> int:
        child = self.children.get(slot)
        if child is None:
            return EMPTY
        if isinstance(child, bytes):
            return leaf_scalar(child[:KEY_BYTES], child[KEY_BYTES:])
        child.settle()
        return node_scalar(child.prefix, child.commitment)
