"""Hash functions, each with its place: SHA-256 in Merkle trees, Keccak-256 where the protocol names it, BLAKE3 inside.

BLAKE3 is always used with a derive-key context, so no digest has two meanings. Contexts are listed in
``docs/spec/encoding.md``.
"""

from __future__ import annotations

import hashlib

from blake3 import blake3
from Crypto.Hash import keccak


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 digest."""
    return hashlib.sha256(data).digest()


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 digest (Ethereum's, not FIPS 202's SHA3-256)."""
    return bytes(keccak.new(digest_bits=256, data=data).digest())


def derive(context: str, data: bytes) -> bytes:
    """Return the 32-byte BLAKE3 digest of ``data`` in derive-key mode.

    Args:
        context: a constant string, unique to one meaning, ``"bpci 2026 <noun> v<n>"``.
    Source: BLAKE3 specification, section 2.3.
    """
    return blake3(data, derive_key_context=context).digest()
