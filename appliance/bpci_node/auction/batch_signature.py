"""One signature for many statements: over the RFC 6962 root of a batch, with each statement's audit path.

Signing costs more than everything else that a receipt takes, so a batch is signed once. Each statement still stands
alone: with its position and path it leads to the root that is signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from cbor2 import dumps

from bpci_node.errors import FormatError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, verify_signature
from bpci_node.primitives.merkle import leaf_hash, node_hash, root_by_path

MAX_STATEMENTS = 1_024
"""Statements under one signature, at most."""

_PATH_BYTES = 32 * 10
_NAMES = ("index", "size", "path", "signature")


@dataclass(frozen=True, slots=True)
class BatchSignature:
    """The signature of one statement of a batch."""

    index: int
    """Position in the batch."""
    size: int
    """Statements of the batch, 1 to ``MAX_STATEMENTS``."""
    path: bytes
    """Audit path from the statement to the root, 32-byte hashes."""
    signature: bytes
    """Ed25519 over the batch's size and root, 64 bytes."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {"index": self.index, "size": self.size, "path": self.path, "signature": self.signature}

    def encode(self) -> bytes:
        """Return the canonical encoding of :meth:`as_map`."""
        parts = (dumps(self.path), b"\x64size", dumps(self.size), b"\x65index", dumps(self.index))
        return b"".join((b"\xa4\x64path", *parts, b"\x69signature\x58\x40", self.signature))

    @classmethod
    def from_map(cls, value: Any, *, code: str) -> Self:
        """Check a decoded map.

        Raises:
            FormatError: not the signature of a statement (``code``).
        """
        fields = Fields(value, _NAMES, what="the signature of a batch", code=code)
        size = fields.integer("size", 1, MAX_STATEMENTS)
        path = fields.raw("path")
        if type(path) is not bytes or len(path) > _PATH_BYTES or len(path) % 32:
            raise FormatError("an audit path is at most ten 32-byte hashes in one byte string", code=code)
        return cls(fields.integer("index", 0, size - 1), size, path, fields.blob("signature", 64))


def sign_batch(signer: Signer, context: str, statements: Sequence[bytes]) -> list[BatchSignature]:
    """Return one signature for each statement, in order; the key is used once.

    Args:
        context: domain of the signature; unique to one kind of statement.
        statements: 1 to ``MAX_STATEMENTS``.
    """
    levels = [[leaf_hash(statement) for statement in statements]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        levels.append(above + below[len(above) * 2 :])
    size = len(statements)
    signature = signer.sign(_message(context, size, levels[-1][0]))
    signed = []
    for index in range(size):
        path, at = [], index
        for level in levels[:-1]:
            if at ^ 1 < len(level):
                path.append(level[at ^ 1])
            at >>= 1
        signed.append(BatchSignature(index, size, b"".join(path), signature))
    return signed


def verify_batched(public_key: bytes, context: str, statement: bytes, signed: BatchSignature) -> None:
    """Check the signature of one statement.

    Raises:
        ProofError: it does not hold (``proof.merkle``, ``proof.signature``).
    """
    path = [signed.path[at : at + 32] for at in range(0, len(signed.path), 32)]
    root = root_by_path(leaf_hash(statement), signed.index, signed.size, path)
    verify_signature(public_key, _message(context, signed.size, root), signed.signature)


def _message(context: str, size: int, root: bytes) -> bytes:
    return derive(context, codec.encode([size, root]))
