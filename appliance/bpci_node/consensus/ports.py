"""What the drivers of the state machine need from storage. ``bpci_node.store`` implements it on a disk.

The store is the one authority on what the ledger holds: a block exists once :meth:`BlockStore.append_block` has
returned, and then with everything that belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol


class BlockStore(Protocol):
    """Blocks with their commands and results, and the state after the last of them."""

    def append_block(
        self,
        height: int,
        block: bytes,
        commands: Sequence[bytes],
        results: Sequence[bytes],
        writes: Mapping[bytes, bytes | None],
        *,
        events: Sequence[tuple[str, int, int]] = (),
    ) -> None:
        """Store one block and what it changes, all of it or nothing, durable against power loss on return.

        Args:
            height: one above the last block's, 1 for the first.
            block: the signed block as it is sent (:mod:`bpci_node.chain.block`).
            commands: signed commands, in the block's order.
            results: one encoded result per command.
            writes: state key to its new value; ``None`` deletes the key.
            events: under what its events are found: a kind or an account, position of the command, number of the event.
        Raises:
            StorageError: the disk or the database failed, or ``height`` does not follow; nothing was stored.
        """
        ...

    def load_state(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key and value of the state after the last block, in any order."""
        ...

    def last_block(self) -> bytes | None:
        """Return the signed block of greatest height, ``None`` before the first."""
        ...

    def block(self, height: int) -> bytes | None:
        """Return the signed block at ``height``, ``None`` if there is none."""
        ...

    def origin(self) -> bytes | None:
        """Return the genesis hash that was noted when the first block was let go or never came; else ``None``."""
        ...

    def commands(self, height: int) -> list[bytes]:
        """Return the signed commands of the block at ``height``, in its order; empty if there is none."""
        ...

    def results(self, height: int) -> list[bytes]:
        """Return the encoded results of the block at ``height``, in its order; empty if there is none."""
        ...


class RestorableStore(BlockStore, Protocol):
    """A block store whose ledger can be taken from a snapshot."""

    def restoring(self) -> tuple[bytes, int, bytes | None] | None:
        """Return what is under way: the manifest, how many chunks are stored, and the last key of them.

        ``None``: nothing, the store holds a ledger as :meth:`append_block` left it.
        """
        ...

    def begin_restoring(self, manifest: bytes) -> None:
        """Remember that the snapshot of this manifest is being restored, and drop every block and the whole state.

        Durable in steps: a crash in between leaves a restoration that has no manifest, and begins anew. An empty
        ``manifest`` leaves just that.

        Raises:
            StorageError: the disk or the database failed.
        """
        ...

    def put_chunk(self, number: int, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Store the entries of one chunk, and that it is stored; durable on return.

        Raises:
            StorageError: the disk or the database failed.
        """
        ...

    def end_restoring(self, height: int, block: bytes, origin: bytes) -> None:
        """Make what was restored the ledger: its last block, and the genesis hash; durable on return.

        Raises:
            StorageError: the disk or the database failed.
        """
        ...


class SignGuard(Protocol):
    """The memory of what was signed last, kept where no backup reaches, so that restored data is recognised."""

    def last(self) -> tuple[int, bytes] | None:
        """Return height and digest of the last block whose signature left this process, ``None`` if there is none.

        Raises:
            StorageError: the memory is there and can't be read.
        """
        ...

    def advance(self, height: int, digest: bytes) -> None:
        """Remember a block, durable against power loss on return.

        Raises:
            RefusedError: another block of this height, or a later one, was remembered (``sign.conflict``).
            StorageError: the disk failed.
        """
        ...
