"""Trust in a network made trust in a key: the registry's certificate in a mempool proof says whose its signer is.

It stands apart from the verifier, which needs nothing of a ledger.
"""

from __future__ import annotations

from bpci_node.chain.certificate import Certificate, verify_certificate
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.mempool.proof import MempoolProof


def certified_signer(data: bytes, *, ledger_id: str, registry_key: bytes) -> Certificate:
    """Return what the registry of a trusted network says of the signer that an encoded proof names.

    The proof itself is not verified: verify it against the ``node_key`` and the ledger id of the certificate.

    Args:
        registry_key: Ed25519 key of the network's registry, 32 bytes.
    Raises:
        ProofError: not a mempool proof (``proof.format``), or its certificate is missing or does not hold for its
            signer (``proof.untrusted``).
    """
    try:
        header = MempoolProof.decode(data).header
    except FormatError as error:
        raise ProofError(f"not a mempool proof: {error.message}", code="proof.format") from error
    if header.certificate is None:
        raise ProofError(
            "the proof carries no certificate of the network's registry",
            code="proof.untrusted",
            hint="If you know the signer, verify against its name.",
        )
    try:
        certificate = verify_certificate(header.certificate, registry_key=registry_key, ledger_id=ledger_id)
    except BpciError as error:
        raise ProofError(f"the signer's certificate does not hold: {error.message}", code="proof.untrusted") from error
    if certificate.node_key != header.signer:
        raise ProofError("the certificate is that of another key than the proof's signer", code="proof.untrusted")
    return certificate
