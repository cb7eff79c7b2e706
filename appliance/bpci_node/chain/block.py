"""Blocks: which commands, in which order, at what time, leading to which state. Signed by the sequencer.

A block's digest covers everything but its signature, and is the next block's ``parent``; the first block's parent is
the genesis hash, which binds the chain to its ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, verify_signature
from bpci_node.primitives.merkle import leaf_hash, root_of

BLOCK_CONTEXT = "bpci 2026 block v1"

BLOCK_VERSION = 2
"""Version of the blocks that this program makes; version 1 is read, and executed by its own rules."""
MAX_BLOCK_BYTES = 1024
"""Longest signed block; its commands travel beside it."""

_FIELDS = ("v", "height", "time_ms", "parent", "commands_root", "state_root", "proposer")


@dataclass(frozen=True, slots=True)
class Block:
    """One block, not yet signed."""

    height: int
    """1 for the first."""
    time_ms: int
    """Unix milliseconds, greater than the parent's."""
    parent: bytes
    """Digest of the block before, or the genesis hash: 32 bytes."""
    commands_root: bytes
    """RFC 6962 root over the signed commands, 32 bytes."""
    state_root: bytes
    """Root of the state after the block, 32 bytes."""
    proposer: bytes
    """Ed25519 key of who made the block, 32 bytes."""
    version: int = BLOCK_VERSION
    """1 or 2: which rules it follows, and which root ``state_root`` is."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded and signed."""
        return {
            "v": self.version,
            "height": self.height,
            "time_ms": self.time_ms,
            "parent": self.parent,
            "commands_root": self.commands_root,
            "state_root": self.state_root,
            "proposer": self.proposer,
        }

    @property
    def digest(self) -> bytes:
        """What is signed, and the block's id: 32 bytes."""
        return derive(BLOCK_CONTEXT, encode(self.as_map()))


@dataclass(frozen=True, slots=True)
class SignedBlock:
    """A block with its maker's signature."""

    block: Block
    """What was signed."""
    signature: bytes
    """Ed25519, 64 bytes."""

    def encode(self) -> bytes:
        """Return the canonical encoding, which is what is sent and stored."""
        return encode({"block": self.block.as_map(), "signature": self.signature})


def commands_root(commands: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 root over signed commands in their order, 32 bytes."""
    return root_of([leaf_hash(command) for command in commands])


def sign_block(signer: Signer, block: Block) -> SignedBlock:
    """Return ``block`` with the signature of ``signer``, whose key must be its proposer."""
    return SignedBlock(block, signer.sign(block.digest))


def decode_signed_block(data: bytes) -> SignedBlock:
    """Return the signed block that ``data`` encodes; the signature is not checked.

    Raises:
        FormatError: not a signed block of version 1 or 2 (``format.block``, or a code of the codec).
    """
    outer = Fields(
        decode(data, max_bytes=MAX_BLOCK_BYTES), ("block", "signature"), what="a signed block", code="format.block"
    )
    fields = Fields(outer.raw("block"), _FIELDS, what="a block", code="format.block")
    version = fields.integer("v")
    if not 1 <= version <= BLOCK_VERSION:
        raise fields.wrong(f"has version {version}; this program reads versions 1 to {BLOCK_VERSION}")
    block = Block(
        height=fields.integer("height", low=1),
        time_ms=fields.integer("time_ms"),
        parent=fields.blob("parent", 32),
        commands_root=fields.blob("commands_root", 32),
        state_root=fields.blob("state_root", 32),
        proposer=fields.blob("proposer", 32),
        version=version,
    )
    return SignedBlock(block, outer.blob("signature", 64))


def verify_block(signed: SignedBlock) -> None:
    """Check the signature of a block by its proposer; who may propose is the caller's question.

    Raises:
        ProofError: it does not hold (``proof.signature``).
    """
    verify_signature(signed.block.proposer, signed.block.digest, signed.signature)
