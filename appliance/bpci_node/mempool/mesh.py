"""The roots of a pool: an outer tree over its buckets, kept up to date by what was touched.

Whoever changes a bucket says so by :meth:`Mesh.touch`; the next roots update the outer tree for those buckets alone.
The roots depend on the buckets and their epochs, not on the order in which they came about.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.bucket_key import mesh_leaf
from bpci_node.mempool.header import combine_roots
from bpci_node.mempool.verkle.opening import Opening
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.primitives.merkle import MerkleList


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
    """Both trees over the buckets of one pool, and which buckets have changed since the last roots."""

    __slots__ = ("_keys", "_merkle", "_touched", "_verkle")

    def __init__(self) -> None:
        self._verkle = VerkleTree()
        self._merkle = MerkleList()
        self._keys: list[bytes] = []
        self._touched: set[bytes] = set()

    def touch(self, key: bytes) -> None:
        """Note that the bucket of this key has other entries or another epoch than at the last roots."""
        self._touched.add(key)

    @property
    def behind(self) -> int:
        """Buckets that were touched since they were last looked at."""
        return len(self._touched)

    def advance(self, buckets: Mapping[bytes, Bucket], epochs: Mapping[bytes, int], most: int) -> None:
        """Bring the trees up to date for ``most`` of the touched buckets, so that the next roots have less to do.

        Args:
            buckets: see :meth:`roots`; so are ``epochs``.
        """
        self._update(nsmallest(most, self._touched), buckets, epochs)
        self._verkle.root()

    def roots(self, buckets: Mapping[bytes, Bucket], epochs: Mapping[bytes, int]) -> Roots:
        """Bring the trees up to date and return their roots.

        Args:
            buckets: the non-empty buckets of the pool, by key.
            epochs: ``sealed_epoch`` by key; 0 for a key that is not in it.
        """
        self._update(sorted(self._touched), buckets, epochs)
        verkle_root, merkle_mesh_root = self._verkle.root(), self._merkle.root()
        mx_root = combine_roots(verkle_root, merkle_mesh_root)
        return Roots(verkle_root, merkle_mesh_root, mx_root, len(self._keys))

    def open(self, keys: Sequence[bytes]) -> Opening:
        """Return what proves the leaves, or the absence, of these keys under the last roots."""
        return self._verkle.open(keys)

    def _update(self, keys: Iterable[bytes], buckets: Mapping[bytes, Bucket], epochs: Mapping[bytes, int]) -> None:
        for key in keys:
            bucket = buckets.get(key)
            if bucket is None:
                self._drop(key)
            else:
                self._put(key, bucket, epochs.get(key, 0))
            self._touched.discard(key)

    def _put(self, key: bytes, bucket: Bucket, epoch: int) -> None:
        self._verkle.set(key, bucket.leaf(epoch).digest())
        leaf = mesh_leaf(bucket.identifier, bucket.merkle_root())
        at = bisect_left(self._keys, key)
        if self._holds(at, key):
            if self._merkle[at] != leaf:
                self._merkle[at] = leaf
        else:
            self._keys.insert(at, key)
            self._merkle.insert(at, leaf)

    def _drop(self, key: bytes) -> None:
        at = bisect_left(self._keys, key)
        if self._holds(at, key):
            self._verkle.delete(key)
            del self._keys[at], self._merkle[at]

    def _holds(self, at: int, key: bytes) -> bool:
        return at < len(self._keys) and self._keys[at] == key
