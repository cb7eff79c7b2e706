"""Buckets: entries of one region, class and fee bin, in order, under one Merkle root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bpci_node.mempool.bucket_key import bucket_id
from bpci_node.mempool.bucket_leaf import BucketLeaf, topk_digest
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.order import OrderIndex
from bpci_node.primitives.fields import MAX_INT
from bpci_node.primitives.merkle import leaf_hash, root_of


def mesh_root(leaves: Iterable[bytes]) -> bytes:
    """Return ``merkle_mesh_root`` over :func:`mesh_leaf` of every non-empty bucket, in the order of their keys."""
    return root_of(list(leaves))


class Bucket:
    """Entries in the order of fee rate (descending), arrival, txid. Hashes are computed when a root is asked for."""

    __slots__ = ("_entries", "_hashes", "_order", "_root", "gas_sum", "identifier", "key")

    def __init__(self, target_id: str, key: bytes) -> None:
        self.key = key
        """4 bytes."""
        self.identifier = bucket_id(target_id, key)
        """32 bytes."""
        self.gas_sum = 0
        """Gas limits of all entries, added."""
        self._order = OrderIndex()
        self._entries: dict[bytes, Entry] = {}
        self._hashes: dict[bytes, bytes] = {}
        self._root: bytes | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order."""
        return (self._entries[txid] for _, _, txid in self._order)

    def add(self, entry: Entry) -> None:
        """Add an entry that is not there yet."""
        self._order.add(entry.leaf.order_key)
        self._entries[entry.leaf.txid] = entry
        self.gas_sum += entry.leaf.gas
        self._root = None

    def remove(self, entry: Entry) -> None:
        """Remove an entry that is there."""
        self._order.remove(entry.leaf.order_key)
        del self._entries[entry.leaf.txid]
        self._hashes.pop(entry.leaf.txid, None)
        self.gas_sum -= entry.leaf.gas
        self._root = None

    def leaf_hashes(self) -> list[bytes]:
        """Return the leaf hashes in order."""
        return [self._hash(entry) for entry in self]

    def merkle_root(self) -> bytes:
        """Return the RFC 6962 root over the entries' leaves in order."""
        if self._root is None:
            self._root = root_of(self.leaf_hashes())
        return self._root

    def leaf(self, sealed_epoch: int) -> BucketLeaf:
        """Return what the outer tree commits to about this bucket, which is not empty.

        Args:
            sealed_epoch: sequence of the last bundle that took an entry of this bucket, 0 if none did.
        """
        hashes = self.leaf_hashes()
        *_, last = self._order
        first = next(iter(self._order))
        return BucketLeaf(
            bucket_id=self.identifier,
            count=len(self),
            gas_sum=min(self.gas_sum, MAX_INT),
            min_fee=-last[0],
            max_fee=-first[0],
            topk_digest=topk_digest(hashes),
            merkle_root=self.merkle_root(),
            sealed_epoch=sealed_epoch,
        )

    def _hash(self, entry: Entry) -> bytes:
        txid = entry.leaf.txid
        found = self._hashes.get(txid)
        if found is None:
            found = self._hashes[txid] = leaf_hash(entry.leaf.encode())
        return found
