"""Challenges: fresh words of the registry, bound to one key and ten minutes, that a report or a request answers.

Verifying one needs the registry's key and a time, no memory of having issued it: every machine that executes a block
comes to the same verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.errors import FormatError, RefusedError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, require_public_key, verify_signature
from bpci_node.primitives.names import LEDGER_ID_FORM

CHALLENGE_CONTEXT = "bpci 2026 challenge v1"

LIFETIME_MS = 600_000
"""How long a challenge may be answered."""
MAX_CHALLENGE_BYTES = 512
"""Longest encoded challenge."""

_FIELDS = ("v", "ledger_id", "node_key", "issued_ms", "expires_ms", "nonce16")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge, not yet signed."""

    ledger_id: str
    """The ledger whose registry issues it."""
    node_key: bytes
    """The only Ed25519 key that may answer it, 32 bytes."""
    issued_ms: int
    """When it was issued, Unix milliseconds by the registry's clock."""
    expires_ms: int
    """Last moment at which it is good, at most :data:`LIFETIME_MS` after ``issued_ms``."""
    nonce16: bytes
    """16 random bytes."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded and signed."""
        return {
            "v": 1,
            "ledger_id": self.ledger_id,
            "node_key": self.node_key,
            "issued_ms": self.issued_ms,
            "expires_ms": self.expires_ms,
            "nonce16": self.nonce16,
        }

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(self.as_map())


def issue_challenge(
    signer: Signer, *, ledger_id: str, node_key: bytes, now_ms: int, nonce16: bytes
) -> tuple[bytes, bytes]:
    """Return an encoded challenge for ``node_key`` and the registry's signature, 64 bytes.

    Args:
        now_ms: the registry's clock, Unix milliseconds.
        nonce16: 16 random bytes.
    Raises:
        FormatError: not a key (``format.key``), or not 16 bytes (``format.challenge``).
    """
    require_public_key(node_key)
    if len(nonce16) != 16:
        raise FormatError("a challenge's nonce has 16 bytes", code="format.challenge")
    data = Challenge(ledger_id, node_key, now_ms, now_ms + LIFETIME_MS, nonce16).encode()
    return data, signer.sign(derive(CHALLENGE_CONTEXT, data))


def decode_challenge(data: bytes) -> Challenge:
    """Return the challenge that ``data`` encodes; nothing but its form is checked.

    Raises:
        FormatError: not a challenge of version 1 (``format.challenge``, or a code of the codec).
    """
    fields = Fields(decode(data, max_bytes=MAX_CHALLENGE_BYTES), _FIELDS, what="a challenge", code="format.challenge")
    fields.version()
    challenge = Challenge(
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        node_key=fields.blob("node_key", 32),
        issued_ms=fields.integer("issued_ms"),
        expires_ms=fields.integer("expires_ms"),
        nonce16=fields.blob("nonce16", 16),
    )
    if not 0 < challenge.expires_ms - challenge.issued_ms <= LIFETIME_MS:
        raise fields.wrong("ends before it begins, or lasts longer than ten minutes")
    return challenge


def verify_challenge(data: bytes, signature: bytes, *, registry_key: bytes, ledger_id: str, time_ms: int) -> Challenge:
    """Check that the registry of ``ledger_id`` issued this challenge and that it is still good, and return it.

    That the answer comes from ``node_key`` of the returned challenge is the caller's check.

    Args:
        data: the encoded challenge.
        time_ms: block time, or the verifier's clock outside the ledger.
    Raises:
        FormatError: not a challenge (as :func:`decode_challenge`).
        RefusedError: of another ledger (``chain.ledger``), or expired (``registry.challenge_expired``).
        ProofError: not signed by the registry (``proof.signature``).
    """
    challenge = decode_challenge(data)
    if challenge.ledger_id != ledger_id:
        raise RefusedError("the challenge is of another ledger", code="chain.ledger")
    verify_signature(registry_key, derive(CHALLENGE_CONTEXT, data), signature)
    if time_ms > challenge.expires_ms:
        raise RefusedError(
            "the challenge has expired", code="registry.challenge_expired", hint="Ask for a new one and sign again."
        )
    return challenge
