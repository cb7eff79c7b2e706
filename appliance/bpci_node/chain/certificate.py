"""Registration certificates: the registry's word that a key is a registered node's, checkable with no network.

A bundle carries its signer's certificate, so that whoever holds the network file can verify it offline. A certificate
says what held at its height; whether a node has since retired or raised its instance, only the ledger knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.registration import ACTIVE, SUSPENDED, NodeRecord
from bpci_node.errors import ProofError, RefusedError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.derivation import MAX_INSTANCE
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.keys import Signer, sign_object, verify_object
from bpci_node.primitives.names import LEDGER_ID_FORM

CERTIFICATE_CONTEXT = "bpci 2026 registration v1"

MAX_CERTIFICATE_BYTES = 1024
"""Longest encoded certificate, signature included."""

_FIELDS = ("v", "ledger_id", "node_id", "node_key", "height", "instance")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the registry says of one node."""

    ledger_id: str
    """The ledger that holds the registration."""
    node_id: str
    """The node's account."""
    node_key: bytes
    """The node's Ed25519 key, 32 bytes."""
    height: int
    """Height of the block that changed the registration last."""
    instance: int
    """Registered instance of the identity."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded and signed."""
        return {
            "v": 1,
            "ledger_id": self.ledger_id,
            "node_id": self.node_id,
            "node_key": self.node_key,
            "height": self.height,
            "instance": self.instance,
        }


def issue_certificate(signer: Signer, ledger_id: str, record: NodeRecord) -> bytes:
    """Return the encoded, signed certificate of ``record``: always the same bytes for the same record.

    Raises:
        RefusedError: the node has retired (``registry.retired``), or is suspended (``registry.suspended``).
    """
    require_standing(record)
    certificate = Certificate(ledger_id, record.account, record.node_key, record.updated_height, record.instance)
    signature = sign_object(signer, CERTIFICATE_CONTEXT, certificate.as_map())
    return encode({"certificate": certificate.as_map(), "signature": signature})


def require_standing(record: NodeRecord) -> None:
    """Check that the registry speaks for a node.

    Raises:
        RefusedError: the node has retired (``registry.retired``), or is suspended (``registry.suspended``).
    """
    if record.status == SUSPENDED:
        raise RefusedError("this node is suspended", code="registry.suspended")
    if record.status != ACTIVE:
        raise RefusedError("this node has retired", code="registry.retired")


def verify_certificate(data: bytes, *, registry_key: bytes, ledger_id: str) -> Certificate:
    """Check that the registry of ``ledger_id`` signed this certificate, and return it.

    Raises:
        FormatError: not a certificate of version 1 (``format.certificate``, or a code of the codec).
        ProofError: of another ledger (``proof.ledger``), or not signed by the registry (``proof.signature``).
    """
    outer = Fields(
        decode(data, max_bytes=MAX_CERTIFICATE_BYTES),
        ("certificate", "signature"),
        what="a signed certificate",
        code="format.certificate",
    )
    fields = Fields(outer.raw("certificate"), _FIELDS, what="a certificate", code="format.certificate")
    fields.version()
    certificate = Certificate(
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        node_id=fields.text("node_id", ACCOUNT_FORM, "an account id"),
        node_key=fields.blob("node_key", 32),
        height=fields.integer("height", low=1),
        instance=fields.integer("instance", high=MAX_INSTANCE),
    )
    if certificate.ledger_id != ledger_id:
        raise ProofError("the certificate is of another ledger", code="proof.ledger")
    verify_object(registry_key, CERTIFICATE_CONTEXT, certificate.as_map(), outer.blob("signature", 64))
    return certificate
