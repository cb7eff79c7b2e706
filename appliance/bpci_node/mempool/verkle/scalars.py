"""What a parent commits to for each kind of child: nothing, a leaf, an inner node.

An inner node's scalar covers its whole prefix with the length, so that neither a node nor a leaf can stand anywhere
else than on the way of its keys.
"""

from __future__ import annotations

from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.kzg import scalar_of

KEY_BYTES = 4
DIGEST_BYTES = 32
EMPTY = 0
"""Scalar of a slot without a child; no hash becomes this."""

_LEAF_TAG = b"VKL|v1|"
_NODE_TAG = b"VKN|v1|"


def leaf_scalar(key: bytes, digest: bytes) -> int:
    """Return the scalar of a leaf from its key, 4 bytes, and what it holds, 32 bytes."""
    return scalar_of(sha256(_LEAF_TAG + key + digest))


def node_scalar(prefix: bytes, commitment: bytes) -> int:
    """Return the scalar of an inner node from its prefix, 1 to 3 bytes, and its compressed commitment."""
    return scalar_of(sha256(_NODE_TAG + bytes([len(prefix)]) + prefix + commitment))
