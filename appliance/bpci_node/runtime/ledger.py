"""The ledger that a node sequences itself, for callers on the event loop.

Writing and signing happen in a thread of their own; reading happens on the state after the last block, which is never
changed, only replaced.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from bpci_node.chain.account import load_account
from bpci_node.chain.assets import list_assets, list_balances
from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.defaults import default_parameters
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.genesis import Genesis, decode_genesis
from bpci_node.chain.registration import ACTIVE, NodeRecord
from bpci_node.chain.registry import find_node, list_nodes
from bpci_node.chain.result import Result
from bpci_node.chain.state import State
from bpci_node.consensus.embedded import Sequencer
from bpci_node.consensus.guard import FileSignGuard
from bpci_node.errors import BpciError, LimitError, NotFoundError, StorageError, UsageError
from bpci_node.network.file import NetworkFile
from bpci_node.primitives import codec
from bpci_node.primitives.keys import Signer
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

T = TypeVar("T")

MAX_WAITING = 1024
"""Commands that wait for their block, at most."""


class EmbeddedLedger:
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
    ) -> None:
        """Take up the stored ledger, or begin a new one.

        Args:
            name: of the ledger.
            signer: holds the registry key.
            urls: what the network file says of where to find it.
            guard: file of the sign guard.
            clock_ms: Unix milliseconds.
        Raises:
            UsageError: the stored ledger has another name or key (``config.ledger``, ``usage.registry_key``).
            RefusedError: the data was restored (``sign.rolled_back``).
            StorageError: what is stored does not fit together.
        """
        self._blocks = SqliteBlockStore(store)
        genesis = _genesis(store, name, signer, clock_ms())
        self._sequencer = Sequencer(genesis, signer, self._blocks, FileSignGuard(guard))
        self._urls = urls
        self._clock_ms = clock_ms
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[tuple[bytes, asyncio.Future[Result]]] = []
        self._lock = threading.Lock()
        self.failure: StorageError | None = None
        """Why nothing of this ledger is shown until a restart: a block is stored that the guard could not remember."""

    @property
    def network(self) -> NetworkFile:
        """The network file of this ledger."""
        genesis = self._sequencer.genesis
        return NetworkFile(genesis.ledger_id, genesis.hash, genesis.registry_key, self._urls)

    @property
    def height(self) -> int:
        """Height of the last block."""
        return self._sequencer.machine.height

    @property
    def state_root(self) -> bytes:
        """Root of the state after the last block."""
        return self._sequencer.machine.state.root

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
        self._state()
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
            outcomes = list(self._sequencer.submit([signed for signed, _ in taken], self._clock_ms()))
        except BpciError as error:
            if isinstance(error, StorageError) and error.code == "storage.guard":
                self.failure = error
            outcomes = [error] * len(taken)
        for (_, future), outcome in zip(taken, outcomes, strict=True):
            future.get_loop().call_soon_threadsafe(_settle, future, outcome)

    async def find_node(self, name: str) -> tuple[dict[str, Any], bytes | None]:
        """Return a node's record and its certificate.

        Raises:
            NotFoundError: no such node (``registry.unknown``).
            FormatError: no name of a node (``format.did``).
        """
        record = find_node(self._state(), name)
        certificate = await self._run(lambda: self._certificate(record.account)) if record.status == ACTIVE else None
        return _record_map(record), certificate

    def _certificate(self, account: str) -> bytes:
        return self._sequencer.certificate(account)

    async def list_nodes(self, *, node_type: str | None, status: str | None, after: str, limit: int) -> list[Any]:
        """Return records of nodes in order of their accounts."""
        records = list_nodes(self._state(), node_type=node_type, status=status, after=after, limit=limit)
        return [_record_map(record) for record in records]

    async def account(self, account_id: str) -> dict[str, Any]:
        """Return an account.

        Raises:
            NotFoundError: no such account (``chain.account``).
        """
        account = load_account(self._state(), account_id) if account_id.isascii() else None
        if account is None:
            raise NotFoundError("there is no such account", code="chain.account")
        return account.as_map()

    async def balances(self, account_id: str) -> dict[str, int]:
        """Return what an account may spend, asset id to amount; empty for one that has nothing."""
        return list_balances(self._state(), account_id) if ACCOUNT_FORM.fullmatch(account_id) else {}

    async def assets(self) -> list[dict[str, Any]]:
        """Return the table of assets with their supplies, in order of their ids."""
        return [asset.as_map() | {"supply": asset.supply} for asset in list_assets(self._state())]

    async def prove(self, key: bytes) -> tuple[int, bytes | None, bytes]:
        """Return what stands at a state key after the last block, and its proof.

        Returns:
            height of the block whose ``state_root`` the proof leads to, the value or ``None``, the encoded state proof.
        """
        return await self._run(lambda: self._prove(key))

    def _prove(self, key: bytes) -> tuple[int, bytes | None, bytes]:
        state = self._state()
        return self.height, state.get(key), state.prove(key).encode()

    async def events(self, subject: str, *, after: tuple[int, int, int] = (0, 0, 0), limit: int = 100) -> list[Any]:
        """Return the events of a kind or of an account, in the order of the ledger.

        Args:
            after: height, position and number of the last one that is known.
        """
        self._state()
        rows = await asyncio.to_thread(self._blocks.find_events, subject, after=after, limit=limit)
        return [
            {"height": height, "position": position, "number": number} | codec.decode(result)["events"][number]
            for height, position, number, result in rows
        ]

    async def block(self, height: int) -> dict[str, Any]:
        """Return a block with its commands and results.

        Raises:
            NotFoundError: no such block (``chain.block``).
        """
        return await asyncio.to_thread(self._block, height)

    def _block(self, height: int) -> dict[str, Any]:
        self._state()
        data = self._blocks.block(height)
        if data is None:
            raise NotFoundError(f"there is no block {height}", code="chain.block")
        signed = decode_signed_block(data)
        return {
            "block": signed.block.as_map(),
            "digest": signed.block.digest,
            "signed_block": data,
            "commands": self._blocks.commands(height),
            "results": [codec.decode(result) for result in self._blocks.results(height)],
        }

    def _state(self) -> State:
        """Return the state after the last block.

        Raises:
            StorageError: the last block must not be shown (``storage.guard``).
        """
        if self.failure is not None:
            raise self.failure
        return self._sequencer.machine.state

    def close(self) -> None:
        """Finish the block that is being made."""
        self._thread.shutdown(wait=True)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _genesis(store: Store, name: str, signer: Signer, now_ms: int) -> Genesis:
    """Return the stored genesis, or begin a ledger and store its genesis."""
    stored = store.meta("genesis")
    if stored is None:
        genesis = Genesis(name, signer.public_key, now_ms, default_parameters(signer.public_key))
        store.set_meta("genesis", genesis.encode())
        return genesis
    genesis = decode_genesis(stored)
    if genesis.name != name:
        raise UsageError(
            f"the ledger in {store.path.parent} is called {genesis.name}, the configuration says {name}",
            code="config.ledger",
            hint="Set ledger.name to its name, or use another state_dir for another ledger.",
        )
    return genesis


def _record_map(record: NodeRecord) -> dict[str, Any]:
    return record.as_map() | {"did": record.did}


def _settle(future: asyncio.Future[Result], outcome: Result | BpciError) -> None:
    if future.done():
        return
    if isinstance(outcome, BpciError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
