"""A follower of an embedded sequencer: executes every block again, and stops at the first difference.

Where blocks come from is not its business; it trusts the genesis and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from bpci_node.chain.block import commands_root, decode_signed_block, verify_block
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.result import Result, events_of
from bpci_node.consensus.checkpoint import Checkpoint, verify_checkpoint
from bpci_node.consensus.opening import open_machine
from bpci_node.consensus.ports import BlockStore
from bpci_node.errors import ProofError, RefusedError


class Follower:
    """Takes blocks of one ledger in order, from anyone."""

    __slots__ = ("_checkpoint", "_evidence", "_machine", "_parent", "_stopped", "_store")

    def __init__(self, genesis: Genesis, store: BlockStore) -> None:
        """Take up the ledger where the store left it.

        Raises:
            StorageError: what is stored does not fit together (as :func:`open_machine`).
        """
        self._store = store
        self._machine, last = open_machine(genesis, store)
        self._parent = genesis.hash if last is None else last.block.digest
        self._stopped: ProofError | None = None
        self._evidence = b""
        self._checkpoint: tuple[Checkpoint, bytes] | None = None

    @property
    def machine(self) -> Machine:
        """The state machine after the last block taken."""
        return self._machine

    @property
    def stopped(self) -> ProofError | None:
        """The difference at which it stopped, ``None`` while it follows."""
        return self._stopped

    @property
    def evidence(self) -> bytes:
        """What the sequencer signed and does not hold, as it was received; empty while it follows."""
        return self._evidence

    @property
    def checkpoint(self) -> tuple[Checkpoint, bytes] | None:
        """The sequencer's latest word on how far the ledger has come, and its encoding; ``None`` before the first."""
        return self._checkpoint

    def note_checkpoint(self, data: bytes) -> Checkpoint:
        """Take the sequencer's word on how far the ledger has come, and compare it with what is here.

        Raises:
            FormatError: not a checkpoint (``format.checkpoint``, or a code of the codec).
            ProofError: not signed by the ledger's sequencer (``proof.signature``, ``proof.ledger``); or it is of
                another block than ours at its height (``proof.fork``), and the follower has stopped.
        """
        if self._stopped is not None:
            raise self._stopped
        genesis = self._machine.genesis
        found = verify_checkpoint(data, registry_key=genesis.registry_key, ledger_id=genesis.ledger_id)
        if found.height <= self._machine.height:
            self._compare_with_stored(found.height, found.block, data)
        if self._checkpoint is None or found.height > self._checkpoint[0].height:
            self._checkpoint = (found, data)
        return found

    def take(self, data: bytes, commands: Sequence[bytes]) -> tuple[Result, ...]:
        """Execute the next block and store it, if it leads where its sequencer says; return its results.

        What the sequencer did not sign is refused, and the follower goes on: anyone can send that. What it signed and
        does not hold is a difference, and the follower takes no block any more.

        Args:
            data: the signed block.
            commands: its signed commands.
        Raises:
            FormatError: not a block (``format.block``, or a code of the codec).
            ProofError: not signed by the ledger's sequencer (``proof.signature``, ``proof.proposer``), not the commands
                of this block (``proof.commands``); or a difference, now or before: another history (``proof.fork``),
                another state (``proof.state_root``), a time that does not rise (``proof.time``), a version that falls
                (``proof.version``).
            RefusedError: not the next height (``chain.height``).
            StorageError: it could not be stored; then nothing has happened.
        """
        if self._stopped is not None:
            raise self._stopped
        signed = decode_signed_block(data)
        block = signed.block
        if block.proposer != self._machine.genesis.registry_key:
            raise ProofError("the block is signed by another key than the sequencer's", code="proof.proposer")
        verify_block(signed)
        height = self._machine.height + 1
        if block.height < height:
            self._compare_with_stored(block.height, block.digest, data)
        if block.height != height:
            raise RefusedError(
                f"the next block has height {height}, not {block.height}", code="chain.height", expected=height
            )
        if block.parent != self._parent:
            raise self._stop(f"block {height} follows another block {height - 1} than ours", "proof.fork", height, data)
        if block.time_ms <= self._machine.time_ms:
            raise self._stop(f"block {height} is not later than block {height - 1}", "proof.time", height, data)
        if block.version < self._machine.version:
            raise self._stop(f"block {height} goes back to version {block.version}", "proof.version", height, data)
        # Before anything is executed: whoever brings the block could add what keeps us busy.
        if commands_root(commands) != block.commands_root:
            raise ProofError("these are not the commands of the block", code="proof.commands")
        computed = self._machine.finalize(height, block.time_ms, commands, version=block.version)
        if computed.state_root != block.state_root:
            raise self._stop(
                f"executing block {height} leads to state {computed.state_root.hex()}, "
                f"its sequencer says {block.state_root.hex()}",
                "proof.state_root",
                height,
                data,
            )
        results = [result.encode() for result in computed.results]
        self._store.append_block(height, data, commands, results, computed.writes, events=events_of(computed.results))
        self._machine.commit()
        self._parent = block.digest
        return computed.results

    def _compare_with_stored(self, height: int, digest: bytes, data: bytes) -> None:
        stored = self._store.block(height)
        if stored is not None and decode_signed_block(stored).block.digest != digest:
            raise self._stop(
                f"the sequencer signed two different blocks of height {height}", "proof.fork", height, data
            )

    def _stop(self, message: str, code: str, height: int, data: bytes) -> ProofError:
        self._evidence = data
        self._stopped = ProofError(
            message,
            code=code,
            hint="Keep both versions and compare with other followers: either this program or the sequencer is wrong.",
            height=height,
        )
        return self._stopped
