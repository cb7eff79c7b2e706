"""What a node answers of its ledger, from its own state: the same whether it sequences the ledger or follows it.

Reading happens on the state after the last block, which is never changed, only replaced.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from bpci_node.chain.account import load_account
from bpci_node.chain.assets import list_assets, list_balances
from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.registration import NodeRecord
from bpci_node.chain.registry import find_node, list_nodes
from bpci_node.chain.state import State
from bpci_node.errors import BpciError, FormatError, NotFoundError
from bpci_node.primitives import codec
from bpci_node.store.blocks import SqliteBlockStore

MAX_BLOCKS = 256
"""Blocks of one page of a follower's."""
PAGE_BYTES = 4 << 20
"""Bytes of commands after which a page ends."""
_AMOUNTS = frozenset({"amount", "fee", "stake"})
"""Fields of events that are amounts, and so decimal strings outside."""


class Lookups(ABC):
    """One node's ledger, as far as it can be asked for by anyone."""

    def __init__(self, blocks: SqliteBlockStore) -> None:
        self._blocks = blocks
        self.heard_ms: int | None = None
        """When a node of the network answered last, Unix milliseconds; ``None``: never, or nobody is asked."""

    @abstractmethod
    def current(self) -> Machine:
        """Return the machine after the last block.

        Raises:
            BpciError: nothing of the ledger may be shown, or nothing is here yet.
        """

    @abstractmethod
    async def checkpoint(self) -> bytes | None:
        """Return the sequencer's checkpoint of the last block that it is known to have made, encoded."""

    @property
    @abstractmethod
    def genesis(self) -> Genesis:
        """The ledger's genesis.

        Raises:
            BpciError: it is not here yet.
        """

    @property
    @abstractmethod
    def stopped(self) -> BpciError | None:
        """Why it takes no block any more until somebody has looked; ``None`` while it does."""

    @property
    @abstractmethod
    def lag(self) -> int | None:
        """Blocks that the sequencer is known to have made and that are not here; ``None`` if that is not known."""

    @property
    def waiting(self) -> int:
        """Commands that wait for their block here; 0 where another node makes the blocks."""
        return 0

    @property
    def height(self) -> int:
        """Height of the last block.

        Raises:
            BpciError: as :meth:`current`.
        """
        return self.current().height

    @property
    def state_root(self) -> bytes:
        """Root of the state after the last block.

        Raises:
            BpciError: as :meth:`current`.
        """
        return self.current().state.root

    def status(self) -> dict[str, Any]:
        """Return height, root, lag, when others were heard of, and the problem at which it stopped."""
        try:
            machine: Machine | None = self.current()
        except BpciError:
            machine = None
        stopped = self.stopped
        return {
            "height": None if machine is None else machine.height,
            "root": None if machine is None else machine.state.root,
            "lag": self.lag,
            "heard_ms": self.heard_ms,
            "stopped": None if stopped is None else stopped.as_problem(),
        }

    async def find_node(self, name: str) -> tuple[dict[str, Any], bytes | None]:
        """Return a node's record and its certificate, which only who holds the registry's key can give.

        Raises:
            NotFoundError: no such node (``registry.unknown``).
            FormatError: no name of a node (``format.did``).
        """
        return record_map(find_node(self._state(), name)), None

    async def list_nodes(self, *, node_type: str | None, status: str | None, after: str, limit: int) -> list[Any]:
        """Return records of nodes in order of their accounts."""
        records = list_nodes(self._state(), node_type=node_type, status=status, after=after, limit=limit)
        return [record_map(record) for record in records]

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
        machine = self.current()
        return machine.height, *(await asyncio.to_thread(_prove, machine.state, key))

    async def state_proof(self, key: bytes) -> dict[str, Any]:
        """Return what stands at a state key, its proof, and the signed block whose root the proof leads to.

        Raises:
            NotFoundError: there is no block of version 2 yet, whose root proves single entries (``chain.block``).
        """
        machine = self.current()
        block = await asyncio.to_thread(self._blocks.block, machine.height)
        if block is None or machine.version == 1:
            raise NotFoundError("there is no block whose root proves single entries", code="chain.block")
        value, proof = await asyncio.to_thread(_prove, machine.state, key)
        checkpoint = await self.checkpoint()
        return {
            "v": 1,
            "height": machine.height,
            "key": key,
            "value": value,
            "proof": proof,
            "signed_block": block,
            "checkpoint": checkpoint,
        }

    async def events(self, subject: str, *, after: tuple[int, int, int] = (0, 0, 0), limit: int = 100) -> list[Any]:
        """Return the events of a kind or of an account, in the order of the ledger.

        Args:
            after: height, position and number of the last one that is known.
        """
        return await asyncio.to_thread(self.find_events, subject, after=after, limit=limit)

    def find_events(self, subject: str, *, after: tuple[int, int, int] = (0, 0, 0), limit: int = 100) -> list[Any]:
        """Return what :meth:`events` does; not for the event loop."""
        self.current()
        rows = self._blocks.find_events(subject, after=after, limit=limit)
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
        self.current()
        data = self._blocks.block(height)
        if data is None:
            raise NotFoundError(
                f"there is no block {height} here",
                code="chain.block",
                hint="It is yet to be made, or was let go of; /v1/ledger/blocks says which are here.",
            )
        signed = decode_signed_block(data)
        return {
            "block": signed.block.as_map(),
            "digest": signed.block.digest,
            "signed_block": data,
            "commands": self._blocks.commands(height),
            "results": [codec.decode(result) for result in self._blocks.results(height)],
        }

    async def blocks(self, first: int, limit: int) -> dict[str, Any]:
        """Return a page of blocks with their commands, from height ``first`` on, and how far the ledger has come.

        Args:
            limit: blocks of the page at most; fewer if they are long.
        """
        self.current()
        checkpoint = await self.checkpoint()
        found, kept = await asyncio.to_thread(self._page, first, min(limit, MAX_BLOCKS))
        return {
            "v": 1,
            "first": kept,
            "checkpoint": checkpoint,
            "blocks": [{"block": block, "commands": commands} for block, commands in found],
        }

    def _page(self, first: int, limit: int) -> tuple[list[tuple[bytes, list[bytes]]], int]:
        kept = self._blocks.first_height()
        return self._blocks.block_range(first, most_blocks=limit, most_bytes=PAGE_BYTES), kept

    def _state(self) -> State:
        return self.current().state


def events_view(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events with their amounts as decimal strings."""
    return [
        event
        | {
            "fields": {
                name: str(value) if name in _AMOUNTS and type(value) is int else value
                for name, value in event["fields"].items()
            }
        }
        for event in events
    ]


def parse_after(text: str) -> tuple[int, int, int]:
    """Return the place in the ledger that ``height.position.number`` names; the empty text is before everything.

    Raises:
        FormatError: it names none (``format.place``).
    """
    if not text:
        return 0, 0, 0
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) <= 18 for part in parts):
        raise FormatError("a place in the ledger is height.position.number", code="format.place")
    height, position, number = map(int, parts)
    return height, position, number


def record_map(record: NodeRecord) -> dict[str, Any]:
    """Return a node's record with its key's name."""
    return record.as_map() | {"did": record.did}


def _prove(state: State, key: bytes) -> tuple[bytes | None, bytes]:
    return state.get(key), state.prove(key).encode()
