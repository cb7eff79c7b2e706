"""A mempool proof: entries that waited, buckets as they stood, buckets that were empty, under one signed header.

Here are its parts and its strict encoding; :mod:`bpci_node.mempool.verify` says whether it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from bpci_node.mempool.bucket_key import KEY_BYTES, BucketKey, bucket_id
from bpci_node.mempool.bucket_leaf import BucketLeaf
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.header import MxHeader
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields

VERSION = 1
MAX_BUCKETS = 500
"""Buckets that one proof speaks of, present and absent together."""
MAX_ENTRIES = 500
"""Entries that one proof opens."""
MAX_BYTES = 1 << 20
"""Longest proof that is read."""

_CODE = "proof.format"
_MEMBERS = ("v", "header", "buckets", "absent", "verkle")
_BUCKET_MEMBERS = (
    "key",
    "count",
    "gas_sum",
    "min_fee",
    "max_fee",
    "topk_digest",
    "merkle_root",
    "sealed_epoch",
    "positions",
    "entries",
    "path",
)


@dataclass(frozen=True, slots=True)
class BucketOpening:
    """One bucket that is not empty, and some of its entries, or none."""

    key: bytes
    """4 bytes."""
    leaf: BucketLeaf
    """What the outer tree commits to."""
    positions: tuple[int, ...]
    """Places of the opened entries in the bucket, ascending, from 0."""
    entries: tuple[EntryLeaf, ...]
    """The entries at these places."""
    path: tuple[bytes, ...]
    """Merkle multiproof of these entries, 32 bytes each; empty when no entry is opened."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded. The bucket's id is not in it: it follows from target and key."""
        leaf = self.leaf
        return {
            "key": self.key,
            "count": leaf.count,
            "gas_sum": leaf.gas_sum,
            "min_fee": leaf.min_fee,
            "max_fee": leaf.max_fee,
            "topk_digest": leaf.topk_digest,
            "merkle_root": leaf.merkle_root,
            "sealed_epoch": leaf.sealed_epoch,
            "positions": list(self.positions),
            "entries": [entry.as_list() for entry in self.entries],
            "path": b"".join(self.path),
        }

    @classmethod
    def from_map(cls, value: Any, target: str) -> Self:
        """Check a decoded map; ``target`` is that of the header.

        Raises:
            FormatError: ``proof.format``, ``entry.format``, or of a class that no entry has (``mempool.class``).
        """
        fields = Fields(value, _BUCKET_MEMBERS, what="a bucket of a mempool proof", code=_CODE)
        key = fields.blob("key", KEY_BYTES)
        BucketKey.decode(key)
        leaf = BucketLeaf(
            bucket_id=bucket_id(target, key),
            count=fields.integer("count", 1),
            gas_sum=fields.integer("gas_sum"),
            min_fee=fields.integer("min_fee"),
            max_fee=fields.integer("max_fee"),
            topk_digest=fields.blob("topk_digest", 32),
            merkle_root=fields.blob("merkle_root", 32),
            sealed_epoch=fields.integer("sealed_epoch"),
        )
        positions = fields.items("positions", MAX_ENTRIES)
        if any(type(position) is not int or not 0 <= position < leaf.count for position in positions):
            raise fields.wrong("opens a place that it does not have")
        return cls(
            key=key,
            leaf=leaf,
            positions=tuple(positions),
            entries=tuple(EntryLeaf.from_list(item) for item in fields.items("entries", MAX_ENTRIES)),
            path=_hashes(fields.raw("path"), fields),
        )


@dataclass(frozen=True, slots=True)
class MempoolProof:
    """A mempool proof. Its parts are in form; whether it holds is for the verifier to say."""

    header: MxHeader
    buckets: tuple[BucketOpening, ...]
    """Buckets that are not empty, keys strictly ascending."""
    absent: tuple[bytes, ...]
    """Keys of buckets that are empty, 4 bytes each, strictly ascending."""
    verkle: VerkleProof
    """Opens every bucket, present and absent, in the outer tree."""

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(
            {
                "v": VERSION,
                "header": self.header.as_map(),
                "buckets": [bucket.as_map() for bucket in self.buckets],
                "absent": list(self.absent),
                "verkle": self.verkle.encode(),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical encoding; nothing is verified.

        Raises:
            FormatError: not a mempool proof of this version (``proof.format``, or the code of the part that is wrong).
        """
        fields = Fields(decode(data, max_bytes=MAX_BYTES), _MEMBERS, what="a mempool proof", code=_CODE)
        fields.version(VERSION)
        header = MxHeader.from_map(fields.raw("header"))
        absent = fields.items("absent", MAX_BUCKETS)
        if any(type(key) is not bytes or len(key) != KEY_BYTES for key in absent):
            raise fields.wrong(f"needs keys of {KEY_BYTES} bytes in 'absent'")
        verkle = fields.raw("verkle")
        if type(verkle) is not bytes:
            raise fields.wrong("needs bytes in 'verkle'")
        return cls(
            header=header,
            buckets=tuple(BucketOpening.from_map(item, header.target) for item in fields.items("buckets", MAX_BUCKETS)),
            absent=tuple(absent),
            verkle=VerkleProof.decode(verkle),
        )


def _hashes(value: Any, fields: Fields) -> tuple[bytes, ...]:
    """Cut joined hashes apart."""
    if type(value) is not bytes or len(value) % 32:
        raise fields.wrong("needs whole hashes of 32 bytes in 'path'")
    return tuple(value[at : at + 32] for at in range(0, len(value), 32))
