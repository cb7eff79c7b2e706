"""Buckets: entries of one region, class and fee bin, in order, under one Merkle root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from bpci_node.errors import FormatError
from bpci_node.mempool.classes import EntryType, GasClass, split_class
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.order import OrderIndex
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.merkle import leaf_hash, root_of

KEY_BYTES = 4


@dataclass(frozen=True, slots=True)
class BucketKey:
    """The parts of a bucket's key, for people."""

    region: int
    """0 (global) to 255."""
    kind: EntryType
    gas: GasClass
    qlock_ms: int
    """10, 20, 50 or 100."""
    fee_bin: int
    """0 to 65,535."""

    @classmethod
    def decode(cls, key: bytes) -> Self:
        """Read ``region ‖ class ‖ fee_bin``.

        Raises:
            FormatError: not 4 bytes (``mempool.bucket``), or of a class that no entry has (``mempool.class``).
        """
        if len(key) != KEY_BYTES:
            raise FormatError(f"a bucket key has {KEY_BYTES} bytes", code="mempool.bucket")
        kind, gas, qlock_ms = split_class(key[1])
        return cls(key[0], kind, gas, qlock_ms, int.from_bytes(key[2:], "big"))


def bucket_id(target_id: str, key: bytes) -> bytes:
    """Return a bucket's name, 32 bytes: keccak256 of ``"BKT|v2|" ‖ length of the target id (1) ‖ target id ‖ key``."""
    name = target_id.encode()
    return keccak256(b"BKT|v2|" + bytes([len(name)]) + name + key)


def mesh_leaf(identifier: bytes, merkle_root: bytes) -> bytes:
    """Return the leaf hash of one bucket in the mesh, from its id and its root, 32 bytes each."""
    return leaf_hash(identifier + merkle_root)


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

    def _hash(self, entry: Entry) -> bytes:
        txid = entry.leaf.txid
        found = self._hashes.get(txid)
        if found is None:
            found = self._hashes[txid] = leaf_hash(entry.leaf.encode())
        return found
