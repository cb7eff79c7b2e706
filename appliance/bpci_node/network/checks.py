"""What a node answered, held against the network file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bpci_node.chain.block import decode_signed_block, verify_block
from bpci_node.chain.certificate import verify_certificate
from bpci_node.chain.challenge import Challenge, verify_challenge
from bpci_node.chain.registration import node_entry
from bpci_node.consensus.checkpoint import verify_checkpoint
from bpci_node.errors import FormatError, ProofError, RefusedError
from bpci_node.network.file import NetworkFile
from bpci_node.network.wire import bytes_of, json_view
from bpci_node.primitives import codec
from bpci_node.primitives.state_proof import decode_state_proof, verify_state


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


def check_node(
    where: str, network: NetworkFile, found: dict[str, Any], name: str, state: Callable[[bytes], dict[str, Any]]
) -> None:
    """Check what was answered for the node ``name``: by the registry's certificate, or else by a proof of its record.

    A retired node has no certificate, and who follows the ledger can't give one.

    Args:
        state: asks the node at ``where`` what stands at a state key, and for the proof.
    Raises:
        ProofError: it does not hold (``proof.certificate``, ``proof.signature``, ``proof.ledger``, or as
            :func:`check_state`).
        FormatError: not the answer of this version.
    """
    node = found["node"]
    if not isinstance(node, dict) or not isinstance(node.get("account"), str):
        raise malformed(where)
    if found["certificate"] is None:
        key = node_entry(node["account"])
        value = check_state(where, network, key, state(key))
        proved = None if value is None else json_view(codec.decode(value))
        if proved != {member: item for member, item in node.items() if member != "did"}:
            raise ProofError(f"{where} answered something else than it proves", code="proof.state")
        if name.startswith("bpa1") and name != node["account"]:
            raise ProofError(f"{where} answered for another node", code="proof.state")
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


def check_state(where: str, network: NetworkFile, key: bytes, found: dict[str, Any]) -> bytes | None:
    """Return what stands at a state key, if the network's sequencer signed a state in which it does.

    Args:
        found: what the node at ``where`` answered of its state, bytes as they are.
    Raises:
        ProofError: it did not (``proof.checkpoint``, ``proof.proposer``, ``proof.signature``, ``proof.ledger``,
            ``proof.state``).
        FormatError: not an answer of this version.
    """
    value, parts = found["value"], [found[name] for name in ("proof", "signed_block", "checkpoint")]
    if found["checkpoint"] is None:
        raise ProofError(f"{where} does not say to which ledger its state belongs", code="proof.checkpoint")
    if not all(type(part) is bytes for part in parts) or not (value is None or type(value) is bytes):
        raise malformed(where)
    proof, block, checkpoint = parts
    said = verify_checkpoint(checkpoint, registry_key=network.registry_key, ledger_id=network.ledger_id)
    signed = decode_signed_block(block)
    if signed.block.proposer != network.registry_key:
        raise ProofError("the block is signed by another key than the sequencer's", code="proof.proposer")
    verify_block(signed)
    if signed.block.digest != said.block:
        raise ProofError(
            f"the checkpoint that {where} gave is of another block than its state",
            code="proof.checkpoint",
            hint="It is catching up: ask again.",
        )
    verify_state(signed.block.state_root, key, value, decode_state_proof(proof))
    return value


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
