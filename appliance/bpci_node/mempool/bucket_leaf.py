"""What the outer tree commits to about one bucket. A bucket without entries has no leaf: it is absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.record import save_record

LEAF_VERSION = 1
TOP_K = 16
"""Entries that ``topk_digest`` covers at most."""

_LEAF_TAG = b"BKL|v1|"
_TOPK_TAG = b"BKK|v1|"


@dataclass(frozen=True, slots=True)
class BucketLeaf:
    """Statistics and root of one bucket."""

    bucket_id: bytes
    """Name of the bucket, which binds the target and the key, 32 bytes."""
    count: int
    """Entries in it, from 1."""
    gas_sum: int
    """Gas limits of all entries, added; 2**63 - 1 if it is more."""
    min_fee: int
    """Least ``fee_per_w`` in it, wei per gas."""
    max_fee: int
    """Greatest ``fee_per_w`` in it, wei per gas."""
    topk_digest: bytes
    """What :func:`topk_digest` says of its first entries, 32 bytes."""
    merkle_root: bytes
    """RFC 6962 root over the entries' leaves in order, 32 bytes."""
    sealed_epoch: int
    """Sequence of the target's last bundle that took an entry of this bucket, 0 if none did on the terms in force."""

    def encode(self) -> bytes:
        """Return the leaf's bytes: a canonical CBOR list in the order of the specification."""
        return save_record(
            [
                LEAF_VERSION,
                self.bucket_id,
                self.count,
                self.gas_sum,
                self.min_fee,
                self.max_fee,
                self.topk_digest,
                self.merkle_root,
                self.sealed_epoch,
            ]
        )

    def digest(self) -> bytes:
        """Return the value of the bucket in the outer tree, 32 bytes."""
        return sha256(_LEAF_TAG + self.encode())


def topk_digest(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the digest of the first ``TOP_K`` of these leaf hashes (32 bytes each, in the order of the bucket)."""
    return sha256(_TOPK_TAG + b"".join(leaf_hashes[:TOP_K]))
