"""Checkpoints: the sequencer's word on which ledger a block belongs to, and how far that ledger has come.

A block names its ledger through its ancestors alone. Who does not have them all (a node restored from a snapshot, or
one whose blocks were pruned) needs this one sentence more, and who follows learns from it how far behind it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.errors import ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.keys import Signer, sign_object, verify_object
from bpci_node.primitives.names import LEDGER_ID_FORM

CHECKPOINT_CONTEXT = "bpci 2026 checkpoint v1"

MAX_CHECKPOINT_BYTES = 512
"""Longest encoded checkpoint, signature included."""

_FORMAT = "format.checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One block of one ledger, as its sequencer signed it."""

    ledger_id: str
    """The ledger."""
    height: int
    """Height of the block, at least 1."""
    block: bytes
    """Digest of the block, 32 bytes."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded and signed."""
        return {"v": 1, "ledger_id": self.ledger_id, "height": self.height, "block": self.block}


def issue_checkpoint(signer: Signer, checkpoint: Checkpoint) -> bytes:
    """Return the encoded, signed checkpoint: always the same bytes for the same block."""
    signature = sign_object(signer, CHECKPOINT_CONTEXT, checkpoint.as_map())
    return encode({"checkpoint": checkpoint.as_map(), "signature": signature})


def verify_checkpoint(data: bytes, *, registry_key: bytes, ledger_id: str) -> Checkpoint:
    """Check that the sequencer of ``ledger_id`` signed this checkpoint, and return it.

    Raises:
        FormatError: not a checkpoint of version 1 (``format.checkpoint``, or a code of the codec).
        ProofError: of another ledger (``proof.ledger``), or not signed by its sequencer (``proof.signature``).
    """
    outer = Fields(
        decode(data, max_bytes=MAX_CHECKPOINT_BYTES),
        ("checkpoint", "signature"),
        what="a signed checkpoint",
        code=_FORMAT,
    )
    fields = Fields(outer.raw("checkpoint"), ("v", "ledger_id", "height", "block"), what="a checkpoint", code=_FORMAT)
    fields.version()
    checkpoint = Checkpoint(
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        height=fields.integer("height", low=1),
        block=fields.blob("block", 32),
    )
    if checkpoint.ledger_id != ledger_id:
        raise ProofError("the checkpoint is of another ledger", code="proof.ledger")
    verify_object(registry_key, CHECKPOINT_CONTEXT, checkpoint.as_map(), outer.blob("signature", 64))
    return checkpoint
