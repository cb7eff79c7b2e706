"""Buckets: entries of one region, class and fee bin, in order, under one Merkle root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bpci_node.mempool.bucket_key import bucket_id
from bpci_node.mempool.bucket_leaf import TOP_K, BucketLeaf, topk_digest
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_list import EntryList
from bpci_node.primitives.fields import MAX_INT
from bpci_node.primitives.merkle import root_of


def mesh_root(leaves: Iterable[bytes]) -> bytes:
    """Return ``merkle_mesh_root`` over :func:`mesh_leaf` of every non-empty bucket, in the order of their keys."""
    return root_of(list(leaves))


class Bucket:
    """Entries in the order of fee rate (descending), arrival, txid. Hashes are computed when a root is asked for.

    The root is computed anew from the cached hashes of the leaves: a change in the middle of a tree of positions moves
    everything to its right, so that what is left of the old tree is seldom worth keeping.
    """

    __slots__ = ("_entries", "_root", "gas_sum", "identifier", "key")

    def __init__(self, target_id: str, key: bytes) -> None:
        self.key = key
        """4 bytes."""
        self.identifier = bucket_id(target_id, key)
        """32 bytes."""
        self.gas_sum = 0
        """Gas limits of all entries, added."""
        self._entries = EntryList()
        self._root: bytes | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order."""
        return iter(self._entries)

    def __reversed__(self) -> Iterator[Entry]:
        """Yield the entries from the last one."""
        return reversed(self._entries)

    def add(self, entry: Entry) -> None:
        """Add an entry that is not there yet."""
        self._entries.add(entry)
        self.gas_sum += entry.leaf.gas
        self._root = None

    def remove(self, entry: Entry) -> None:
        """Remove an entry that is there."""
        self._entries.remove(entry)
        self.gas_sum -= entry.leaf.gas
        self._root = None

    def position(self, entry: Entry) -> int:
        """Return the position of an entry that is there, from 0."""
        return self._entries.position(entry)

    def leaf_hashes(self) -> list[bytes]:
        """Return the leaf hashes in order, as a new list."""
        return self._entries.leaf_hashes()

    def merkle_root(self) -> bytes:
        """Return the RFC 6962 root over the entries' leaves in order."""
        if self._root is None:
            self._root = root_of(self._entries.leaf_hashes())
        return self._root

    def leaf(self, sealed_epoch: int) -> BucketLeaf:
        """Return what the outer tree commits to about this bucket, which is not empty.

        Args:
            sealed_epoch: sequence of the last bundle that took an entry of this bucket, 0 if none did.
        """
        return BucketLeaf(
            bucket_id=self.identifier,
            count=len(self),
            gas_sum=min(self.gas_sum, MAX_INT),
            min_fee=self._entries.last.leaf.fee_per_w,
            max_fee=self._entries.first.leaf.fee_per_w,
            topk_digest=topk_digest(self._entries.first_hashes(TOP_K)),
            merkle_root=self.merkle_root(),
            sealed_epoch=sealed_epoch,
        )
