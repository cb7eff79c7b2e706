"""BLS signatures on BLS12-381 with keys in G1, in the proof-of-possession scheme.

Built from hash-to-curve and the pairing check of the curve library that serves the commitments too. Decoding is strict:
canonical encodings of points of the subgroup, never infinity. Signing here is for clients and tests: nothing is
constant in time.
Source: draft-irtf-cfrg-bls-signature-05, sections 2 and 3.3; hash-to-curve is RFC 9380's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.kzg import ORDER

KEY_BYTES = 48
"""Length of a public key."""
SIGNATURE_BYTES = 96
"""Length of a signature, and of a proof of possession."""

_SIGN_TAG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
_POSSESSION_TAG = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
P = TypeVar("P", G1Point, G2Point)


class BlsSigner:
    """A BLS key in this process's memory; ``repr`` shows nothing of it."""

    __slots__ = ("_scalar", "public_key")

    def __init__(self, secret: int) -> None:
        """Take a key.

        Args:
            secret: 1 <= secret < :data:`ORDER`.
        Raises:
            FormatError: outside that range (``format.bls_key``).
        """
        if not 1 <= secret < ORDER:
            raise FormatError("a BLS secret lies between 1 and the order of the group", code="format.bls_key")
        self._scalar = Scalar.from_be_bytes(secret.to_bytes(32))
        self.public_key = bytes((G1Point() * self._scalar).to_compressed_bytes())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``, 96 bytes, always the same."""
        return self._sign(message, _SIGN_TAG)

    def prove_possession(self) -> bytes:
        """Return the proof that whoever shows this public key has its secret, 96 bytes."""
        return self._sign(self.public_key, _POSSESSION_TAG)

    def _sign(self, message: bytes, tag: bytes) -> bytes:
        return bytes((G2Point.hash_to_curve(message, tag) * self._scalar).to_compressed_bytes())


def verify_bls(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check that ``signature`` (96 bytes) is that of ``message`` by ``public_key`` (48 bytes).

    Raises:
        FormatError: no usable key (``format.bls_key``).
        ProofError: it is not (``proof.bls``).
    """
    _verify(_key(public_key), message, signature, _SIGN_TAG)


def verify_possession(public_key: bytes, proof: bytes) -> None:
    """Check a proof of possession (96 bytes) of ``public_key`` (48 bytes).

    Raises:
        FormatError: no usable key (``format.bls_key``).
        ProofError: it does not hold (``proof.bls``).
    """
    _verify(_key(public_key), public_key, proof, _POSSESSION_TAG)


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """Return the aggregate of signatures, 96 bytes each, at least one.

    Raises:
        ProofError: one is no signature, or there is none (``proof.bls``).
    """
    if not signatures:
        raise ProofError("there is no signature to aggregate", code="proof.bls")
    return bytes(sum((_signature(item) for item in signatures), G2Point.identity()).to_compressed_bytes())


def verify_aggregate(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> None:
    """Check the aggregate signature of one message by all of these keys, each of whose possession was proved.

    Raises:
        FormatError: one is no usable key (``format.bls_key``).
        ProofError: it does not hold, or there is no key (``proof.bls``).
    Source: draft-irtf-cfrg-bls-signature-05, section 3.3.4, FastAggregateVerify.
    """
    if not public_keys:
        raise ProofError("there is no key", code="proof.bls")
    _verify(sum((_key(item) for item in public_keys), G1Point.identity()), message, signature, _SIGN_TAG)


def _verify(key: G1Point, message: bytes, signature: bytes, tag: bytes) -> None:
    point = _signature(signature)
    if key == G1Point.identity() or not GT.pairing_check(
        [-G1Point(), key], [point, G2Point.hash_to_curve(message, tag)]
    ):
        raise ProofError("the BLS signature does not hold", code="proof.bls")


def _key(data: bytes) -> G1Point:
    point = _decode(G1Point, data, KEY_BYTES)
    if point is None:
        raise FormatError("not a usable BLS12-381 public key", code="format.bls_key")
    return point


def _signature(data: bytes) -> G2Point:
    point = _decode(G2Point, data, SIGNATURE_BYTES)
    if point is None:
        raise ProofError("not a BLS signature", code="proof.bls")
    return point


def _decode(group: type[P], data: bytes, size: int) -> P | None:
    """Return the point, ``None`` if the bytes are not the canonical encoding of one of the subgroup, or infinity."""
    try:
        point = group.from_compressed_bytes(data) if len(data) == size else None
    except ValueError:
        return None
    # The library takes infinity with any bits after the flag.
    if point is None or point == group.identity() or bytes(point.to_compressed_bytes()) != data:
        return None
    return point
