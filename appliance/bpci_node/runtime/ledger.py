"""The ledger that a node sequences itself, for callers on the event loop.

Writing and signing happen in a thread of their own; what anyone may ask is in :mod:`bpci_node.runtime.lookups`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from bpci_node.chain.defaults import default_parameters
from bpci_node.chain.genesis import MAX_GENESIS_BYTES, Genesis, decode_genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.registration import ACTIVE
from bpci_node.chain.registry import find_node
from bpci_node.chain.result import Result
from bpci_node.consensus.embedded import Sequencer
from bpci_node.consensus.guard import FileSignGuard
from bpci_node.errors import BpciError, LimitError, StorageError, UsageError
from bpci_node.network.file import NetworkFile
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.ledger_upkeep import Capture
from bpci_node.runtime.lookups import Lookups, record_map
from bpci_node.runtime.registry_guard import RegistryGuard
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

T = TypeVar("T")

MAX_WAITING = 1024
"""Commands that wait for their block, at most."""


class EmbeddedLedger(Lookups):
    """The ledger that this node sequences."""

    def __init__(
        self,
        store: Store,
        *,
        name: str,
        signer: Signer,
        urls: tuple[str, ...],
        guard: Path,
        clock_ms: Callable[[], int],
        genesis_file: Path | None = None,
    ) -> None:
        """Take up the stored ledger, or begin a new one.

        Args:
            name: of the ledger.
            signer: holds the registry key.
            urls: what the network file says of where to find it.
            guard: file of the sign guard.
            clock_ms: Unix milliseconds.
            genesis_file: what a new ledger begins with; a stored one must have begun with it.
        Raises:
            UsageError: the ledger has another name or key than the configuration says, or began with another genesis
                (``config.ledger``, ``usage.registry_key``); the file can't be read (``usage.file``).
            FormatError: the file is no genesis (``format.genesis``).
            RefusedError: the data was restored (``sign.rolled_back``).
            StorageError: what is stored does not fit together.
        """
        super().__init__(SqliteBlockStore(store))
        genesis = _genesis(store, name, signer, clock_ms(), genesis_file)
        self._sequencer = Sequencer(genesis, signer, self._blocks, FileSignGuard(guard))
        self._urls = urls
        self._clock_ms = clock_ms
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[tuple[bytes, asyncio.Future[Result]]] = []
        self._lock = threading.Lock()
        self._signed: tuple[int, bytes | None] = (0, None)
        self.guard: RegistryGuard | None = None
        """Lets blocks be made; ``None`` only before the node that owns this ledger has set it."""
        self.failure: StorageError | None = None
        """Why nothing of this ledger is shown until a restart: a block is stored that the guard could not remember."""

    @property
    def network(self) -> NetworkFile:
        """The network file of this ledger."""
        genesis = self._sequencer.genesis
        return NetworkFile(genesis.ledger_id, genesis.hash, genesis.registry_key, self._urls)

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis."""
        return self._sequencer.genesis

    @property
    def stopped(self) -> BpciError | None:
        """Why nothing of this ledger is shown until a restart."""
        return self.failure

    @property
    def lag(self) -> int | None:
        """0: nobody is ahead of who makes the blocks."""
        return 0

    @property
    def waiting(self) -> int:
        """Commands that wait for their block."""
        return len(self._waiting)

    async def challenge(self, node_key: bytes) -> tuple[bytes, bytes]:
        """Return a challenge for ``node_key`` and its signature."""
        now_ms, nonce = self._clock_ms(), os.urandom(16)
        return await self._run(lambda: self._sequencer.challenge(node_key, now_ms=now_ms, nonce16=nonce))

    async def submit(self, signed: bytes) -> Result:
        """Execute a command; those that wait together share a block.

        Raises:
            BpciError: the ledger's reason for refusing it.
            LimitError: too many wait (``limit.commands``).
        """
        if len(self._waiting) >= MAX_WAITING:
            raise LimitError("too many commands wait", code="limit.commands", hint="Try again in a second.")
        self.current()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append((signed, future))
        await self._run(self._make_block)
        result = await future
        if result.error is not None:
            raise result.error
        return result

    def _make_block(self) -> None:
        """Take all that wait into one block; a later call of the same burst then finds nothing to do."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        if not taken:
            return
        outcomes: list[Result | BpciError]
        try:
            self._require_token()
            outcomes = list(self._sequencer.submit([signed for signed, _ in taken], self._clock_ms()))
        except BpciError as error:
            if isinstance(error, StorageError) and error.code == "storage.guard":
                self.failure = error
            outcomes = [error] * len(taken)
        for (_, future), outcome in zip(taken, outcomes, strict=True):
            future.get_loop().call_soon_threadsafe(_settle, future, outcome)

    def _require_token(self) -> None:
        """Check that this node may make a block. It holds the registry key, so it gives itself what it lacks."""
        guard = self.guard
        if guard is None:
            return
        if guard.wants_token:
            guard.take(self._own_token(guard.node_key))
        guard.require_token()

    async def own_token(self, node_key: bytes) -> bytes:
        """Return an activation token for the node that keeps this ledger."""
        return await self._run(lambda: self._own_token(node_key))

    def _own_token(self, node_key: bytes) -> bytes:
        return self._sequencer.own_token(node_key, now_ms=max(self._clock_ms(), self._sequencer.machine.time_ms))

    async def token(self, node_key: bytes) -> bytes:
        """Return an activation token for a registered node.

        Raises:
            BpciError: nothing of this ledger is shown, or as :meth:`Sequencer.token`.
        """
        self.current()
        return await self._run(lambda: self._sequencer.token(node_key, now_ms=self._clock_ms()))

    async def find_node(self, name: str) -> tuple[dict[str, Any], bytes | None]:
        """Return a node's record and its certificate.

        Raises:
            NotFoundError: no such node (``registry.unknown``).
            FormatError: no name of a node (``format.did``).
        """
        record = find_node(self.current().state, name)
        certificate = await self._run(lambda: self._certificate(record.account)) if record.status == ACTIVE else None
        return record_map(record), certificate

    def _certificate(self, account: str) -> bytes:
        return self._sequencer.certificate(account)

    def current(self) -> Machine:
        """Return the machine after the last block.

        Raises:
            StorageError: the last block must not be shown (``storage.guard``).
        """
        if self.failure is not None:
            raise self.failure
        return self._sequencer.machine

    async def checkpoint(self) -> bytes | None:
        """Return the signed checkpoint of the last block, encoded; ``None`` before the first."""
        return await self._run(self._sign_checkpoint)

    def _sign_checkpoint(self) -> bytes | None:
        self.current()
        height = self._sequencer.machine.height
        if self._signed[0] != height:
            self._signed = height, self._sequencer.checkpoint()
        return self._signed[1]

    async def capture(self) -> Capture | None:
        """Return what a snapshot of the state after the last block is made of; ``None`` before the first."""
        return await self._run(self._capture)

    def _capture(self) -> Capture | None:
        checkpoint, machine = self._sign_checkpoint(), self.current()
        block = self._blocks.block(machine.height)
        return (
            None if checkpoint is None or block is None else Capture(machine.height, machine.state, block, checkpoint)
        )

    def close(self) -> None:
        """Finish the block that is being made."""
        self._thread.shutdown(wait=True)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _genesis(store: Store, name: str, signer: Signer, now_ms: int, file: Path | None) -> Genesis:
    """Return the stored genesis, or begin a ledger and store its genesis."""
    stored = store.meta("genesis")
    given = None if file is None else read_genesis(file)
    if stored is None:
        genesis = given or Genesis(name, signer.public_key, now_ms, default_parameters(signer.public_key))
    else:
        genesis = decode_genesis(stored)
    if genesis.name != name:
        raise UsageError(
            f"the ledger in {store.path.parent} is called {genesis.name}, the configuration says {name}",
            code="config.ledger",
            hint="Set ledger.name to its name, or use another state_dir for another ledger.",
        )
    if given is not None and given != genesis:
        raise UsageError(
            f"the ledger in {store.path.parent} began with another genesis than {file}",
            code="config.ledger",
            hint="Give the genesis that it began with, or use another state_dir for another ledger.",
        )
    if stored is None and genesis.registry_key == signer.public_key:
        store.set_meta("genesis", genesis.encode())
    return genesis


def read_genesis(path: Path) -> Genesis:
    """Read a genesis from its file.

    Raises:
        UsageError: it can't be read (``usage.file``).
        FormatError: it is no genesis (``format.genesis``, or a code of the codec).
    """
    try:
        with path.open("rb") as file:
            return decode_genesis(file.read(MAX_GENESIS_BYTES + 1))
    except OSError as error:
        raise UsageError(f"cannot read the genesis {path}: {error.strerror}", code="usage.file") from error


def _settle(future: asyncio.Future[Result], outcome: Result | BpciError) -> None:
    if future.done():
        return
    if isinstance(outcome, BpciError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
