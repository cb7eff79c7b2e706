"""Commands that this node sends for its own account, one after the other, each with the account's next nonce."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bpci_node.chain.catalog import KINDS
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.guardians import load_parameter
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.lookups import Lookups
from bpci_node.runtime.membership import Registry

EXPIRES_BLOCKS = 1000
"""For how many blocks a command may wait."""


class LedgerDoor:
    """The way of one account's commands to who makes the blocks."""

    def __init__(self, registry: Registry, lookups: Lookups, signer: Signer, ledger_id: str) -> None:
        self._registry, self._lookups, self._signer, self._ledger_id = registry, lookups, signer, ledger_id
        self._one = asyncio.Lock()

    async def submit(self, account: str, kind: str, body: Mapping[str, Any]) -> None:
        """Send a command and return when its block is durable.

        Raises:
            BpciError: the ledger's reason for refusing it, or nobody could be reached.
        """
        async with self._one:
            machine = self._lookups.current()
            fee = 0 if KINDS[kind].is_free else load_parameter(machine.state, "fee_min")
            command = Command(
                ledger_id=self._ledger_id,
                sender=account,
                nonce=await self._registry.nonce(account),
                expires_height=max(machine.height, await self._registry.height()) + EXPIRES_BLOCKS,
                kind=kind,
                body=dict(body),
                fee=fee,
            )
            await self._registry.submit(sign_command(self._signer, command).encode())
