"""Signing keys: Ed25519, their ``did:key`` names, and signatures over domain-separated canonical objects.

A signature is always over ``derive(CONTEXT, canonical CBOR)``, so one made for one meaning says nothing under another.
Keys of small order and non-canonical encodings of keys are refused: with the former any message verifies, with the
latter one key would have two names. From phrases to seeds: :mod:`bpci_node.primitives.derivation`.
"""

from __future__ import annotations

from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives import base58
from bpci_node.primitives.codec import encode
from bpci_node.primitives.derivation import NodeKeys, derive_keys, new_phrase, normalise_phrase, seed_of
from bpci_node.primitives.hashing import derive

__all__ = [
    "LocalSigner",
    "NodeKeys",
    "Signer",
    "account_address",
    "derive_keys",
    "did_of",
    "new_phrase",
    "normalise_phrase",
    "public_key_of",
    "require_public_key",
    "seed_of",
    "sign_object",
    "verify_object",
    "verify_signature",
]

ACCOUNT_CONTEXT = "bpci 2026 account v1"

_DID_PREFIX = "did:key:z"
_ED25519_CODE = b"\xed\x01"  # multicodec ed25519-pub (0xed) as an unsigned varint
_FIELD = 2**255 - 19
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD - 1, _ORDER_8_Y, _FIELD - _ORDER_8_Y})
"""The y coordinates of the eight points of small order on edwards25519 (two points share a y, but for 1 and -1)."""


class Signer(Protocol):
    """Something that signs with one Ed25519 key, wherever that key lives."""

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``, 64 bytes."""
        ...


class LocalSigner:
    """A signer whose key is in this process's memory. ``repr`` shows the public name only."""

    __slots__ = ("_key", "_public_key")

    def __init__(self, seed: bytes) -> None:
        """Take a key.

        Args:
            seed: the Ed25519 private key of RFC 8032, 32 bytes.
        Raises:
            FormatError: another length (``format.key``).
        """
        if len(seed) != 32:
            raise FormatError(f"an Ed25519 seed has 32 bytes, not {len(seed)}", code="format.key")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public_key = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"LocalSigner({did_of(self._public_key)})"

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``, 64 bytes."""
        return self._key.sign(message)


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check that ``signature`` (64 bytes) is that of ``message`` by ``public_key`` (32 bytes).

    Raises:
        ProofError: it is not, or the key is no key (``proof.signature``).
    Source: RFC 8032, section 5.1.7.
    """
    try:
        require_public_key(public_key)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError, FormatError) as error:
        raise ProofError("the signature does not hold", code="proof.signature") from error


def sign_object(signer: Signer, context: str, obj: Any) -> bytes:
    """Return ``signer``'s signature of the canonical encoding of ``obj`` under ``context``, 64 bytes.

    Raises:
        FormatError: ``obj`` is outside the subset of :mod:`bpci_node.primitives.codec`.
    """
    return signer.sign(derive(context, encode(obj)))


def verify_object(public_key: bytes, context: str, obj: Any, signature: bytes) -> None:
    """Check a signature that :func:`sign_object` made.

    Raises:
        ProofError: it does not hold (``proof.signature``).
        FormatError: ``obj`` is outside the subset of :mod:`bpci_node.primitives.codec`.
    """
    verify_signature(public_key, derive(context, encode(obj)), signature)


def require_public_key(public_key: bytes) -> None:
    """Check that ``public_key`` is the canonical encoding of a usable Ed25519 key.

    That its y belongs to a point at all shows only when a signature is verified.

    Raises:
        FormatError: not 32 bytes, not canonical, or of small order (``format.key``).
    """
    if len(public_key) != 32:
        raise FormatError(f"an Ed25519 public key has 32 bytes, not {len(public_key)}", code="format.key")
    y = int.from_bytes(public_key, "little") & ((1 << 255) - 1)
    if y >= _FIELD or y in _SMALL_ORDER_Y:
        raise FormatError("not a usable Ed25519 public key", code="format.key")


def account_address(public_key: bytes) -> bytes:
    """Return the 20 bytes that name the account whose first key is ``public_key`` (32 bytes)."""
    return derive(ACCOUNT_CONTEXT, public_key)[:20]


def did_of(public_key: bytes) -> str:
    """Return the ``did:key`` name of an Ed25519 public key (32 bytes).

    Raises:
        FormatError: not a key (``format.key``).
    Source: The did:key Method v0.7, and the multicodec table.
    """
    require_public_key(public_key)
    return _DID_PREFIX + base58.encode(_ED25519_CODE + public_key)


def public_key_of(did: str) -> bytes:
    """Return the Ed25519 public key, 32 bytes, that ``did`` names.

    Raises:
        FormatError: not the ``did:key`` name of an Ed25519 key (``format.did``).
    """
    try:
        raw = base58.decode(did.removeprefix(_DID_PREFIX)) if did.startswith(_DID_PREFIX) else b""
        require_public_key(raw[2:])
    except FormatError as error:
        raise _not_a_did() from error
    if raw[:2] != _ED25519_CODE:
        raise _not_a_did()
    return raw[2:]


def _not_a_did() -> FormatError:
    return FormatError(
        "not the did:key name of an Ed25519 key", code="format.did", hint="Such a name begins with did:key:z6Mk."
    )
