"""Snapshots: the whole state after one block, in chunks, so that a new node need not execute what led to it.

Invariants: chunks hold the entries in ascending order of keys, each key once, whole entries, so that one state and one
chunk size have one snapshot; nothing of a snapshot is believed before the root of what it brought is that of a block
which the sequencer signed for this ledger. A manifest's sizes and counts are bounds for who reads, never allocations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.block import MAX_BLOCK_BYTES, SignedBlock, decode_signed_block, verify_block
from bpci_node.consensus.checkpoint import MAX_CHECKPOINT_BYTES, verify_checkpoint
from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.record import save_record

CHUNK_CONTEXT = "bpci 2026 snapshot chunk v1"
MANIFEST_CONTEXT = "bpci 2026 snapshot v1"

CHUNK_BYTES = 1 << 20
"""Keys and values that make a chunk full; the entry that fills it still belongs to it."""
MAX_CHUNK_BYTES = 4 << 20
"""Longest encoded chunk."""
MAX_CHUNKS = 16_384
"""Most chunks of a snapshot: 16 GiB of keys and values."""
MAX_MANIFEST_BYTES = 1 << 20
"""Longest encoded manifest."""

_FORMAT = "format.snapshot"


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a manifest says of one chunk."""

    digest: bytes
    """``derive`` of the encoded chunk, 32 bytes."""
    size_bytes: int
    """Length of the encoded chunk, 1 to :data:`MAX_CHUNK_BYTES`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot is of, and what its chunks are."""

    checkpoint: bytes
    """The sequencer's signed checkpoint of the block, encoded."""
    block: bytes
    """The signed block, encoded, to whose state root the entries lead."""
    entries: int
    """Entries of the state."""
    chunks: tuple[Chunk, ...]
    """In their order."""

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(
            {
                "v": 1,
                "checkpoint": self.checkpoint,
                "block": self.block,
                "entries": self.entries,
                "chunks": [[chunk.digest, chunk.size_bytes] for chunk in self.chunks],
            }
        )

    @property
    def digest(self) -> bytes:
        """The snapshot's id, 32 bytes."""
        return derive(MANIFEST_CONTEXT, self.encode())

    @property
    def size_bytes(self) -> int:
        """Bytes of all chunks together."""
        return sum(chunk.size_bytes for chunk in self.chunks)


def decode_manifest(data: bytes) -> Manifest:
    """Return the manifest that ``data`` encodes; nothing that it says is believed yet.

    Raises:
        FormatError: not a manifest of version 1 (``format.snapshot``, or a code of the codec).
    """
    fields = Fields(
        decode(data, max_bytes=MAX_MANIFEST_BYTES),
        ("v", "checkpoint", "block", "entries", "chunks"),
        what="a snapshot's manifest",
        code=_FORMAT,
    )
    fields.version()
    return Manifest(
        checkpoint=fields.blob_up_to("checkpoint", MAX_CHECKPOINT_BYTES),
        block=fields.blob_up_to("block", MAX_BLOCK_BYTES),
        entries=fields.integer("entries"),
        chunks=tuple(_chunk(item) for item in fields.items("chunks", MAX_CHUNKS)),
    )


def verify_manifest(manifest: Manifest, *, registry_key: bytes, ledger_id: str) -> SignedBlock:
    """Check that the snapshot claims to be of a block of this ledger, and return that block.

    Raises:
        FormatError: its checkpoint or its block is none.
        ProofError: they are not signed by the ledger's sequencer, or belong to another ledger (``proof.signature``,
            ``proof.proposer``, ``proof.ledger``), or the checkpoint is of another block (``proof.checkpoint``).
    """
    checkpoint = verify_checkpoint(manifest.checkpoint, registry_key=registry_key, ledger_id=ledger_id)
    signed = decode_signed_block(manifest.block)
    if signed.block.proposer != registry_key:
        raise ProofError("the block is signed by another key than the sequencer's", code="proof.proposer")
    verify_block(signed)
    if (signed.block.height, signed.block.digest) != (checkpoint.height, checkpoint.block):
        raise ProofError("the checkpoint of the snapshot is of another block", code="proof.checkpoint")
    return signed


def chunks_of(entries: Iterable[tuple[bytes, bytes]], *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the encoded chunks of ``entries``, which come in ascending order of keys; one chunk is held at a time."""
    held: list[list[bytes]] = []
    size = 0
    for key, value in entries:
        held.append([key, value])
        size += len(key) + len(value)
        if size >= chunk_bytes:
            yield save_record({"v": 1, "entries": held})
            held, size = [], 0
    if held:
        yield save_record({"v": 1, "entries": held})


def chunk_digest(data: bytes) -> bytes:
    """Return the digest of an encoded chunk, 32 bytes."""
    return derive(CHUNK_CONTEXT, data)


def read_chunk(data: bytes, chunk: Chunk, *, after: bytes | None) -> list[tuple[bytes, bytes]]:
    """Return the entries of a chunk, if it is the one that the manifest names.

    Args:
        after: the last key of the chunk before it, ``None`` for the first.
    Raises:
        ProofError: another chunk (``proof.snapshot``).
        FormatError: not a chunk, or its keys do not rise (``format.snapshot``, or a code of the codec).
    """
    if len(data) != chunk.size_bytes or chunk_digest(data) != chunk.digest:
        raise ProofError(
            "a chunk is not the one that its snapshot names",
            code="proof.snapshot",
            hint="Fetch it again, or elsewhere.",
        )
    fields = Fields(decode(data, max_bytes=MAX_CHUNK_BYTES), ("v", "entries"), what="a snapshot's chunk", code=_FORMAT)
    fields.version()
    found: list[tuple[bytes, bytes]] = []
    for item in fields.items("entries", MAX_CHUNK_BYTES):
        if type(item) is not list or len(item) != 2 or type(item[0]) is not bytes or type(item[1]) is not bytes:
            raise fields.wrong("needs pairs of a key and a value in 'entries'")
        if after is not None and item[0] <= after:
            raise fields.wrong("needs rising keys in 'entries'")
        after = item[0]
        found.append((item[0], item[1]))
    return found


def _chunk(item: Any) -> Chunk:
    fits = type(item) is list and len(item) == 2 and type(item[0]) is bytes and len(item[0]) == 32
    if not fits or type(item[1]) is not int or not 1 <= item[1] <= MAX_CHUNK_BYTES:
        raise FormatError(
            f"a snapshot's chunk is named by a digest of 32 bytes and its length, at most {MAX_CHUNK_BYTES}",
            code=_FORMAT,
        )
    return Chunk(item[0], item[1])
