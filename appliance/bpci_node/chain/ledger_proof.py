"""Proofs of a ledger as files: what stands at a key of its state, or that a command is in one of its blocks.

Each carries the signed block that it leads to, so that whoever trusts the ledger's registry key checks it alone. A
block names its ledger through its ancestors only: what the file of a state entry proves is the word of that registry
key, which belongs to one ledger by the rules; a command names its ledger itself, and is checked against it.
Not handled: blocks of version 1, whose root proves no single entry. Layout: ``docs/spec/ledger-proof.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.block import MAX_BLOCK_BYTES, SignedBlock, decode_signed_block, verify_block
from bpci_node.chain.command import MAX_COMMAND_BYTES, SignedCommand, decode_signed_command
from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.merkle import audit_path, leaf_hash, verify_inclusion
from bpci_node.primitives.state_proof import MAX_PROOF_BYTES, decode_state_proof, verify_state

STATE, COMMAND = "state", "command"
MAX_KEY_BYTES = 256
"""Longest state key that is proved."""
MAX_VALUE_BYTES = 1 << 20
"""Longest value that is proved."""
MAX_FILE_BYTES = MAX_VALUE_BYTES + MAX_BLOCK_BYTES + MAX_PROOF_BYTES + MAX_COMMAND_BYTES
"""Longest file that is read."""
_MAX_STEPS = 40
_FORMAT = "format.ledger_proof"


@dataclass(frozen=True, slots=True)
class StateEntryProof:
    """What stands at a key of the state after a block, or that nothing does; not yet checked."""

    signed_block: bytes
    """The block whose state root the proof leads to, encoded."""
    key: bytes
    """The state key, 1 to 256 bytes."""
    value: bytes | None
    """What stands there; ``None``: nothing does."""
    proof: bytes
    """The state proof, encoded."""

    def encode(self) -> bytes:
        """Return the file."""
        return encode(
            {
                "v": 1,
                "what": STATE,
                "signed_block": self.signed_block,
                "key": self.key,
                "value": self.value,
                "proof": self.proof,
            }
        )

    def verify(self, *, registry_key: bytes) -> SignedBlock:
        """Check the entry against a registry's key, and return the block after which it stood so.

        Raises:
            ProofError: another proposer (``proof.proposer``), its signature (``proof.signature``), or the entry
                (``proof.state``).
            FormatError: block or state proof can't be decoded.
        """
        signed = _trusted_block(self.signed_block, registry_key)
        if signed.block.version == 1:
            raise ProofError("the root of a block of version 1 proves no single entry", code="proof.state")
        verify_state(signed.block.state_root, self.key, self.value, decode_state_proof(self.proof))
        return signed


@dataclass(frozen=True, slots=True)
class CommandProof:
    """A command and its place in a block; not yet checked. That it is there does not say that it succeeded."""

    signed_block: bytes
    """The block, encoded."""
    command: bytes
    """The signed command, encoded."""
    position: int
    """Its place in the block, from 0."""
    count: int
    """Commands of the block."""
    path: tuple[bytes, ...]
    """RFC 6962 audit path, 32 bytes each."""

    def encode(self) -> bytes:
        """Return the file."""
        return encode(
            {
                "v": 1,
                "what": COMMAND,
                "signed_block": self.signed_block,
                "command": self.command,
                "position": self.position,
                "count": self.count,
                "path": list(self.path),
            }
        )

    def verify(self, *, registry_key: bytes, ledger_id: str) -> tuple[SignedBlock, SignedCommand]:
        """Check the command's place against a registry's key and a ledger, and return block and command.

        Raises:
            ProofError: another proposer (``proof.proposer``), its signature (``proof.signature``), the place
                (``proof.merkle``), or the command is meant for another ledger (``proof.ledger``).
            FormatError: block or command can't be decoded.
        """
        signed = _trusted_block(self.signed_block, registry_key)
        leaf = leaf_hash(self.command)
        verify_inclusion(leaf, self.position, self.count, self.path, signed.block.commands_root)
        command = decode_signed_command(self.command)
        if command.command.ledger_id != ledger_id:
            raise ProofError("the command is meant for another ledger", code="proof.ledger")
        return signed, command


def prove_command(signed_block: bytes, commands: Sequence[bytes], position: int) -> CommandProof:
    """Return the proof of the command at ``position`` of a block.

    Args:
        commands: all signed commands of the block, in its order.
    """
    path = audit_path([leaf_hash(command) for command in commands], position)
    return CommandProof(signed_block, commands[position], position, len(commands), tuple(path))


def decode_ledger_proof(data: bytes) -> StateEntryProof | CommandProof:
    """Return the proof that a file holds; nothing is checked yet.

    Raises:
        FormatError: not a proof of version 1 (``format.ledger_proof``, or a code of the codec).
    """
    value = decode(data, max_bytes=MAX_FILE_BYTES)
    names = {
        STATE: ("v", "what", "signed_block", "key", "value", "proof"),
        COMMAND: ("v", "what", "signed_block", "command", "position", "count", "path"),
    }
    what: Any = value.get("what") if type(value) is dict else None
    if type(what) is not str or what not in names:
        raise FormatError("the file is no proof of a ledger", code=_FORMAT)
    fields = Fields(value, names[what], what="a proof of a ledger", code=_FORMAT)
    fields.version()
    signed_block = fields.blob_up_to("signed_block", MAX_BLOCK_BYTES)
    if what == STATE:
        key = fields.blob_up_to("key", MAX_KEY_BYTES)
        stored = fields.raw("value")
        if stored is not None and (type(stored) is not bytes or len(stored) > MAX_VALUE_BYTES):
            raise fields.wrong(f"needs at most {MAX_VALUE_BYTES} bytes, or null, in 'value'")
        return StateEntryProof(signed_block, key, stored, fields.blob_up_to("proof", MAX_PROOF_BYTES))
    command = fields.blob_up_to("command", MAX_COMMAND_BYTES)
    count = fields.integer("count", 1, 1 << 32)
    position = fields.integer("position", 0, count - 1)
    path = fields.items("path", _MAX_STEPS)
    if any(type(step) is not bytes or len(step) != 32 for step in path):
        raise fields.wrong("needs hashes of 32 bytes in 'path'")
    return CommandProof(signed_block, command, position, count, tuple(path))


def _trusted_block(data: bytes, registry_key: bytes) -> SignedBlock:
    signed = decode_signed_block(data)
    if signed.block.proposer != registry_key:
        raise ProofError("the block is not one of this network's registry", code="proof.proposer")
    verify_block(signed)
    return signed
