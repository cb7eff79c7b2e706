"""The roots of a pool: an outer tree over its buckets, kept up to date by what was touched.

Whoever changes a bucket says so by :meth:`Mesh.touch`; the next roots update the outer tree for those buckets alone.
The roots depend on the buckets and their epochs, not on the order in which they came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bpci_node.mempool.bucket import Bucket, mesh_root
from bpci_node.mempool.bucket_key import mesh_leaf
from bpci_node.mempool.header import combine_roots
from bpci_node.mempool.verkle.opening import Opening
from bpci_node.mempool.verkle.tree import VerkleTree


@dataclass(frozen=True, slots=True)
class Roots:
    """What commits to a whole pool."""

    verkle_root: bytes
    """Commitment of the outer tree over every bucket's leaf, a compressed G1 point, 48 bytes."""
    merkle_mesh_root: bytes
    """RFC 6962 root over every bucket's id and root, in the order of keys, 32 bytes."""
    mx_root: bytes
    """What binds both, 32 bytes."""
    bucket_count: int
    """Non-empty buckets."""


class Mesh:
    """The outer tree of one pool, and which of its buckets have changed since the last roots."""

    __slots__ = ("_leaves", "_touched", "_tree")

    def __init__(self) -> None:
        self._tree = VerkleTree()
        self._leaves: dict[bytes, bytes] = {}
        self._touched: set[bytes] = set()

    def touch(self, key: bytes) -> None:
        """Note that the bucket of this key has other entries or another epoch than at the last roots."""
        self._touched.add(key)

    def roots(self, buckets: Mapping[bytes, Bucket], epochs: Mapping[bytes, int]) -> Roots:
        """Bring the trees up to date and return their roots.

        Args:
            buckets: the non-empty buckets of the pool, by key.
            epochs: ``sealed_epoch`` by key; 0 for a key that is not in it.
        """
        for key in sorted(self._touched):
            bucket = buckets.get(key)
            if bucket is not None:
                self._tree.set(key, bucket.leaf(epochs.get(key, 0)).digest())
                self._leaves[key] = mesh_leaf(bucket.identifier, bucket.merkle_root())
            elif key in self._leaves:
                self._tree.delete(key)
                del self._leaves[key]
        self._touched.clear()
        verkle_root = self._tree.root()
        merkle_mesh_root = mesh_root(leaf for _, leaf in sorted(self._leaves.items()))
        mx_root = combine_roots(verkle_root, merkle_mesh_root)
        return Roots(verkle_root, merkle_mesh_root, mx_root, len(self._leaves))

    def open(self, keys: Sequence[bytes]) -> Opening:
        """Return what proves the leaves, or the absence, of these keys under the last roots."""
        return self._tree.open(keys)
