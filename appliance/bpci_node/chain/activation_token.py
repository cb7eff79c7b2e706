"""Activation tokens: the registry's word, good for a time, that a node may seal and order on its ledger.

A token names ledger, key and end, and is signed: it is no bearer secret, anyone may see and check it, and it serves
nobody but the holder of that key. Nothing in it can be extended; a node asks for a new one before the old one ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.errors import ProofError, RefusedError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.keys import Signer, require_public_key, sign_object, verify_object
from bpci_node.primitives.names import LEDGER_ID_FORM

ACTIVATION_CONTEXT = "bpci 2026 activation token v1"

LIFETIME_MS = 3 * 86_400_000
"""How long a token is good: a registry may be out of reach for so long, and its nodes go on."""
TOLERANCE_MS = 600_000
"""How much later than that it may end by the checking node's clock."""
MAX_TOKEN_BYTES = 512
"""Longest encoded token, signature included."""

_FORMAT = "format.activation_token"
_FIELDS = ("v", "ledger_id", "node_key", "expires_ms")


@dataclass(frozen=True, slots=True)
class ActivationToken:
    """What the registry says of one key."""

    ledger_id: str
    """The ledger whose registry issues it."""
    node_key: bytes
    """The node's Ed25519 key, 32 bytes."""
    expires_ms: int
    """Last moment at which it is good, Unix milliseconds."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded and signed."""
        return {"v": 1, "ledger_id": self.ledger_id, "node_key": self.node_key, "expires_ms": self.expires_ms}

    def require_good(self, time_ms: int) -> None:
        """Check that it is good now.

        Args:
            time_ms: the verifier's clock, or the time of its last block if that is later; Unix milliseconds.
        Raises:
            RefusedError: it has expired (``registry.token_expired``), or ends later than any token may, so that the
                verifier's clock is behind (``registry.token_clock``).
        """
        if time_ms > self.expires_ms:
            raise RefusedError(
                "the activation token has expired",
                code="registry.token_expired",
                hint="Ask the registry for a new one.",
                expires_ms=self.expires_ms,
            )
        if self.expires_ms > time_ms + LIFETIME_MS + TOLERANCE_MS:
            raise RefusedError(
                "the activation token ends later than any may: this clock is behind the registry's",
                code="registry.token_clock",
                hint="Set this machine's clock.",
                expires_ms=self.expires_ms,
            )


def issue_token(signer: Signer, *, ledger_id: str, node_key: bytes, now_ms: int) -> bytes:
    """Return an encoded, signed token for ``node_key``, good for :data:`LIFETIME_MS` from ``now_ms`` on.

    Raises:
        FormatError: not a key (``format.key``).
    """
    require_public_key(node_key)
    token = ActivationToken(ledger_id, node_key, now_ms + LIFETIME_MS)
    return encode({"token": token.as_map(), "signature": sign_object(signer, ACTIVATION_CONTEXT, token.as_map())})


def read_token(data: bytes, *, registry_key: bytes, ledger_id: str, node_key: bytes) -> ActivationToken:
    """Check that the registry of ``ledger_id`` issued this token to ``node_key``, and return it, good or not any more.

    Raises:
        FormatError: not a token of version 1 (``format.activation_token``, or a code of the codec).
        ProofError: of another ledger (``proof.ledger``), or not signed by the registry (``proof.signature``).
        RefusedError: another node's (``registry.token``).
    """
    outer = Fields(
        decode(data, max_bytes=MAX_TOKEN_BYTES), ("token", "signature"), what="a signed activation token", code=_FORMAT
    )
    fields = Fields(outer.raw("token"), _FIELDS, what="an activation token", code=_FORMAT)
    fields.version()
    token = ActivationToken(
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        node_key=fields.blob("node_key", 32),
        expires_ms=fields.integer("expires_ms"),
    )
    if token.ledger_id != ledger_id:
        raise ProofError("the activation token is of another ledger", code="proof.ledger")
    verify_object(registry_key, ACTIVATION_CONTEXT, token.as_map(), outer.blob("signature", 64))
    if token.node_key != node_key:
        raise RefusedError("the activation token is another node's", code="registry.token")
    return token
