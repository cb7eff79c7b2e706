"""Snapshots of a node's ledger, made as blocks come, and old blocks let go of as far as the configuration says.

A snapshot is written from the state as it stood at one block, which nobody changes, beside the blocks that follow.
Blocks go in small steps, and never those that follow the latest snapshot: with it they lead to the present.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.state import State
from bpci_node.consensus.snapshot import MAX_CHUNKS, Chunk, Manifest, chunk_digest, chunks_of, decode_manifest
from bpci_node.errors import BpciError, LimitError
from bpci_node.runtime.config import LedgerSection
from bpci_node.runtime.service import log_error
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.snapshots import SnapshotFiles

log = logging.getLogger("bpci.ledger")

PAUSE_SECONDS = 2.0
"""Between two looks at how far the ledger has come."""
STEP_BLOCKS = 4
"""Blocks that one job of the writer lets go of."""
REST_SECONDS = 0.03
"""Between two such jobs: what arrives meanwhile has the writer for itself."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What a snapshot is made of."""

    height: int
    """Height of the block."""
    state: State
    """The state after it."""
    block: bytes
    """The signed block, encoded."""
    checkpoint: bytes
    """The sequencer's checkpoint of it, encoded."""


class LedgerUpkeep:
    """The snapshots of one node's ledger, and the pruning of its blocks."""

    def __init__(
        self,
        blocks: SqliteBlockStore,
        files: SnapshotFiles,
        section: LedgerSection,
        capture: Callable[[], Awaitable[Capture | None]],
    ) -> None:
        """Start nothing yet.

        Args:
            capture: returns what a snapshot is made of now, ``None`` where the sequencer's word on it is not known.
        """
        self._blocks, self._section, self._take = blocks, section, capture
        self.files = files
        """The snapshots."""
        self._busy = asyncio.Lock()

    @property
    def last_height(self) -> int:
        """Height of the latest snapshot, 0 before the first."""
        return max(self.files.heights, default=0)

    async def run(self) -> None:
        """Keep the ledger again and again, until cancelled; what fails is tried again after a while."""
        failed = ""
        while True:
            try:
                await self.keep()
                failed = ""
            except BpciError as error:
                if error.code != failed and not error.code.startswith("unreachable."):
                    log_error(log, "the ledger's upkeep failed", error)
                failed = error.code
            await asyncio.sleep(PAUSE_SECONDS)

    async def keep(self) -> None:
        """Make a snapshot if one is due, and let go of what is too old.

        Raises:
            BpciError: the ledger can't be shown, or the disk or the database failed.
        """
        if self._section.snapshot_blocks:
            captured = await self._take()
            if captured is not None and captured.height >= self.last_height + self._section.snapshot_blocks:
                await self._make(captured)
        if self._section.keep_blocks:
            await self._prune()

    async def snapshot(self) -> dict[str, Any]:
        """Make a snapshot of the state as it stands, and return its description; an existing one is not made again.

        Raises:
            BpciError: the ledger can't be shown, or the disk failed.
            LimitError: the sequencer's word on the last block is not here yet (``limit.busy``).
        """
        captured = await self._take()
        if captured is None:
            raise LimitError(
                "there is no block here of which the sequencer's checkpoint is known",
                code="limit.busy",
                hint="Try again when the node has caught up.",
            )
        await self._make(captured)
        return await asyncio.to_thread(self.describe, captured.height)

    def describe(self, height: int) -> dict[str, Any]:
        """Return what a snapshot is of, for people and programs.

        Raises:
            NotFoundError: there is none of this height (``chain.snapshot``).
        """
        manifest = decode_manifest(self.files.manifest(height))
        block = decode_signed_block(manifest.block).block
        return {
            "height": height,
            "digest": manifest.digest,
            "block": block.digest,
            "state_root": block.state_root,
            "entries": manifest.entries,
            "chunks": len(manifest.chunks),
            "bytes": manifest.size_bytes,
        }

    async def _make(self, captured: Capture) -> None:
        async with self._busy:
            if captured.height not in self.files.heights:
                await asyncio.to_thread(self._write, captured)
                log.info("wrote a snapshot of block %d, %d entries", captured.height, len(captured.state))

    def _write(self, captured: Capture) -> None:
        chunks: list[Chunk] = []

        def noted() -> Iterator[bytes]:
            for data in chunks_of(captured.state.entries()):
                if len(chunks) >= MAX_CHUNKS:
                    raise LimitError("the state is too large for a snapshot", code="limit.snapshot")
                chunks.append(Chunk(chunk_digest(data), len(data)))
                yield data

        def manifest() -> bytes:
            return Manifest(captured.checkpoint, captured.block, len(captured.state), tuple(chunks)).encode()

        self.files.write(captured.height, noted(), manifest)

    async def _prune(self) -> None:
        last_block = await asyncio.to_thread(self._blocks.last_block)
        if last_block is None:
            return
        height = decode_signed_block(last_block).block.height
        last = min(height - self._section.keep_blocks, self.last_height)
        for _ in range(0, height, STEP_BLOCKS):
            if not await asyncio.to_thread(self._blocks.prune, last, most_blocks=STEP_BLOCKS):
                break
            await asyncio.sleep(REST_SECONDS)
