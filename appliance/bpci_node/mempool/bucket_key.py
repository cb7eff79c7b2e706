"""Where an entry waits: the key and the name of a bucket, and what the mesh commits to about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bpci_node.errors import FormatError
from bpci_node.mempool.classes import EntryType, GasClass, split_class
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.merkle import leaf_hash

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
