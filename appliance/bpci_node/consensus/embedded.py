"""The embedded sequencer: one machine orders the commands, signs the blocks, and stores them.

Not for several threads at once: whoever owns a sequencer calls it from one place. A block is durable before anyone
learns of it, and is remembered by the sign guard before its signature leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bpci_node.chain.activation_token import issue_token
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.certificate import issue_certificate, require_standing
from bpci_node.chain.challenge import issue_challenge
from bpci_node.chain.deactivation import deactivated_error, find_deactivation
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import BlockResult, Machine
from bpci_node.chain.registry import find_node
from bpci_node.chain.result import Result, events_of
from bpci_node.consensus.checkpoint import Checkpoint, issue_checkpoint
from bpci_node.consensus.opening import open_machine
from bpci_node.consensus.ports import BlockStore, SignGuard
from bpci_node.errors import RefusedError, UsageError
from bpci_node.primitives.keys import Signer, did_of


class Sequencer:
    """Drives the state machine of a ledger whose registry key it holds."""

    __slots__ = ("_guard", "_machine", "_parent", "_signer", "_store")

    def __init__(self, genesis: Genesis, signer: Signer, store: BlockStore, guard: SignGuard | None = None) -> None:
        """Take up the ledger where the store left it.

        Args:
            signer: holds the ledger's registry key.
            guard: ``None`` only where the ledger dies with the process.
        Raises:
            UsageError: the signer holds another key than the ledger's (``usage.registry_key``).
            StorageError: what is stored does not fit together (as :func:`open_machine`), or the guard can't be read.
            RefusedError: the guard remembers a block that the store does not have, or is missing beside a stored
                ledger (``sign.rolled_back``): this data was restored, and must not sign.
        """
        if signer.public_key != genesis.registry_key:
            raise UsageError(
                "the registry key is not the one that this ledger began with",
                code="usage.registry_key",
                hint="Give the key of this ledger's genesis, or join as a node instead.",
            )
        self._signer, self._store, self._guard = signer, store, guard
        self._machine, last = open_machine(genesis, store)
        self._parent = genesis.hash if last is None else last.block.digest
        if guard is not None:
            _require_not_restored(guard, self._machine.height, self._parent)

    @property
    def machine(self) -> Machine:
        """The state machine after the last block."""
        return self._machine

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis."""
        return self._machine.genesis

    def submit(self, commands: Sequence[bytes], time_ms: int) -> list[Result]:
        """Make one block of those commands that would succeed, in their order, and return one result per command.

        A command that would fail is refused, with ``height`` ``None``, and enters no block. When none is left, no
        block is made.

        Args:
            commands: encoded signed commands.
            time_ms: the clock, Unix milliseconds; the block is later than the one before it, whatever the clock says.
        Raises:
            StorageError: the block could not be stored, and nothing has happened (the store's codes); or it is stored
                and the guard could not remember it (``storage.guard``), and it must not be shown to anyone yet.
        """
        time_ms = max(time_ms, self._machine.time_ms + 1)
        computed, passed, results = self._machine.propose(time_ms, commands)
        if passed:
            self._store_block(computed, passed)
        return [result if result.error is None else replace(result, height=None) for result in results]

    def challenge(self, node_key: bytes, *, now_ms: int, nonce16: bytes) -> tuple[bytes, bytes]:
        """Return an encoded challenge for ``node_key`` and its signature (as :func:`issue_challenge`)."""
        return issue_challenge(
            self._signer, ledger_id=self._machine.ledger_id, node_key=node_key, now_ms=now_ms, nonce16=nonce16
        )

    def certificate(self, name: str) -> bytes:
        """Return the registration certificate of the node that ``name`` names: an account id, or a key's name.

        Raises:
            NotFoundError: no such node (``registry.unknown``).
            RefusedError: it has retired (``registry.retired``).
            FormatError: no name (``format.did``).
        """
        return issue_certificate(self._signer, self._machine.ledger_id, find_node(self._machine.state, name))

    def own_token(self, node_key: bytes, *, now_ms: int) -> bytes:
        """Return the activation token of the node that this sequencer runs in: who holds the registry key has its word.

        Raises:
            FormatError: not a key (``format.key``).
        """
        return issue_token(self._signer, ledger_id=self._machine.ledger_id, node_key=node_key, now_ms=now_ms)

    def token(self, node_key: bytes, *, now_ms: int) -> bytes:
        """Return an activation token for a registered node.

        Args:
            now_ms: the clock, Unix milliseconds; the last block's time counts if it is later.
        Raises:
            NotFoundError: no such node (``registry.unknown``).
            RefusedError: it has retired (``registry.retired``), is suspended (``registry.suspended``), or the ledger is
                deactivated (``registry.deactivated``).
        """
        machine = self._machine
        require_standing(find_node(machine.state, did_of(node_key)))
        deactivation = find_deactivation(machine.state, machine.height + 1)
        if deactivation is not None:
            raise deactivated_error(deactivation)
        return self.own_token(node_key, now_ms=max(now_ms, machine.time_ms))

    def checkpoint(self) -> bytes | None:
        """Return the signed checkpoint of the last block, encoded; ``None`` before the first."""
        machine = self._machine
        if not machine.height:
            return None
        return issue_checkpoint(self._signer, Checkpoint(machine.ledger_id, machine.height, self._parent))

    def _store_block(self, computed: BlockResult, commands: list[bytes]) -> None:
        block = Block(
            height=computed.height,
            time_ms=computed.time_ms,
            parent=self._parent,
            commands_root=computed.commands_root,
            state_root=computed.state_root,
            proposer=self._signer.public_key,
            version=computed.version,
        )
        self._store.append_block(
            computed.height,
            sign_block(self._signer, block).encode(),
            commands,
            [result.encode() for result in computed.results],
            computed.writes,
            events=events_of(computed.results),
        )
        self._machine.commit()
        self._parent = block.digest
        if self._guard is not None:
            # After the store, or a crash between the two would look like restored data; before anyone sees the block.
            self._guard.advance(computed.height, block.digest)


def _require_not_restored(guard: SignGuard, height: int, digest: bytes) -> None:
    last = guard.last()
    if last is None and height == 0:
        guard.advance(0, digest)
    elif last is None or last[0] > height:
        known = "there is no memory of what was signed" if last is None else f"block {last[0]} was signed"
        raise RefusedError(
            f"this ledger's data ends at block {height}, and {known}: it was restored from a backup",
            code="sign.rolled_back",
            hint="Fetch the later blocks from a follower, or begin a new ledger; signing now could contradict them.",
            height=height,
        )
    else:
        guard.advance(height, digest)
