"""What a node answered, held against the network file."""

from __future__ import annotations

from typing import Any

from bpci_node.chain.certificate import verify_certificate
from bpci_node.chain.challenge import Challenge, verify_challenge
from bpci_node.errors import FormatError, ProofError, RefusedError
from bpci_node.network.file import NetworkFile
from bpci_node.network.wire import bytes_of


def check_challenge(where: str, network: NetworkFile, challenge: bytes, signature: bytes) -> Challenge:
    """Return the challenge that the node at ``where`` sent, if the network's registry signed it.

    Raises:
        ProofError: it did not (``proof.signature``), or for another ledger (``proof.ledger``).
        FormatError: not a challenge.
    """
    try:
        # Whether it is still good is for the one who accepts the answer, by his clock; 0 is before every end.
        return verify_challenge(
            challenge, signature, registry_key=network.registry_key, ledger_id=network.ledger_id, time_ms=0
        )
    except RefusedError as error:
        raise other_ledger(where) from error


def check_certificate(where: str, network: NetworkFile, found: dict[str, Any], name: str) -> None:
    """Check that the registry certifies the node that was answered for ``name``; a retired node has no certificate.

    Raises:
        ProofError: it does not (``proof.certificate``, ``proof.signature``, ``proof.ledger``).
        FormatError: not the answer of this version.
    """
    node = found["node"]
    if not isinstance(node, dict):
        raise malformed(where)
    if found["certificate"] is None and node.get("status") != "active":
        return
    certificate = verify_certificate(
        bytes_of(found["certificate"], what="certificate"),
        registry_key=network.registry_key,
        ledger_id=network.ledger_id,
    )
    said = (node.get("account"), node.get("node_key"), node.get("instance"))
    if said != (certificate.node_id, "0x" + certificate.node_key.hex(), certificate.instance):
        raise ProofError(f"{where} answered something else than it certifies", code="proof.certificate")
    if name.startswith("bpa1") and name != certificate.node_id:
        raise ProofError(f"{where} answered for another node", code="proof.certificate")


def malformed(where: str) -> FormatError:
    """Return the error for a reply that is not of this version."""
    return FormatError(
        f"{where} answered in a form that is not of this version",
        code="format.reply",
        hint="Compare 'bpci --version' with the node's version.",
    )


def other_ledger(where: str) -> ProofError:
    """Return the error for a node that belongs to another network."""
    return ProofError(
        f"{where} belongs to another network than the network file",
        code="proof.ledger",
        hint="Check the URL, or use that network's own file if you trust it.",
    )
