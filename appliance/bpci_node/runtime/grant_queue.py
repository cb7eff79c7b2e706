"""Grants on their way into blocks: those that wait together are sent together, under the operator's next nonces.

A grant that was refused because another command of the operator's came first is sent again. Who waits for a grant may
go away; the grant is sent nevertheless.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.command import Command, sign_command
from bpci_node.errors import BpciError, LimitError
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.membership import OwnRegistry, Registry

log = logging.getLogger("bpci.faucet")

MAX_WAITING = 256
"""Grants that wait for their block, at most."""
MAX_BATCH = 64
"""Grants that are sent together."""
EXPIRES_BLOCKS = 1_000
TRIES = 3
"""How often one grant is sent."""


@dataclass(slots=True)
class _Waiting:
    sender: str
    body: dict[str, Any]
    future: asyncio.Future[bytes]
    tries: int = 0


class GrantQueue:
    """Sends the grants of one operator."""

    def __init__(self, registry: Registry, signer: Signer, ledger_id: str) -> None:
        self._registry, self._signer, self._ledger_id = registry, signer, ledger_id
        self._queue: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Grants that wait for their block."""
        return len(self._queue)

    @property
    def promised(self) -> int:
        """What they are together, smallest unit of BPI."""
        return sum(int(item.body["amount"]) for item in self._queue)

    async def give(self, sender: str, body: dict[str, Any]) -> bytes:
        """Wait until a grant stands in the ledger, and return its command's id.

        Args:
            sender: the operator's account.
            body: of ``faucet.grant``.
        Raises:
            LimitError: too many wait (``faucet.busy``).
            BpciError: the ledger's reason for refusing it, or it could not be reached.
        """
        if len(self._queue) >= MAX_WAITING:
            raise LimitError("too many grants wait", code="faucet.busy", hint="Try again in a minute.")
        item = _Waiting(sender, body, asyncio.get_running_loop().create_future())
        self._queue.append(item)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await asyncio.shield(item.future)

    async def _drain(self) -> None:
        while self._queue:
            batch = self._queue[:MAX_BATCH]
            try:
                outcomes = await self._submit(batch)
            except BpciError as error:
                outcomes = [error] * len(batch)
            except Exception:
                log.exception("grants could not be sent")
                outcomes = [BpciError("the faucet failed to send the grant")] * len(batch)
            again = [item for item, outcome in zip(batch, outcomes, strict=True) if not _settle(item, outcome)]
            self._queue = again + self._queue[len(batch) :]

    async def _submit(self, batch: list[_Waiting]) -> list[bytes | BpciError]:
        """Return each command's id, or why it was refused."""
        sender = batch[0].sender
        first, height = await self._registry.nonce(sender), await self._registry.height()
        signed = [
            sign_command(
                self._signer,
                Command(
                    ledger_id=self._ledger_id,
                    sender=sender,
                    nonce=first + number,
                    expires_height=height + EXPIRES_BLOCKS,
                    kind="faucet.grant",
                    body=item.body,
                ),
            )
            for number, item in enumerate(batch)
        ]
        sending = [_outcome(self._registry.submit(item.encode()), item.digest) for item in signed]
        if isinstance(self._registry, OwnRegistry):
            return list(await asyncio.gather(*sending))  # in one block
        return [await item for item in sending]  # each must arrive before the next


async def _outcome(sending: Coroutine[Any, Any, None], command_id: bytes) -> bytes | BpciError:
    try:
        await sending
    except BpciError as error:
        return error
    return command_id


def _settle(item: _Waiting, outcome: bytes | BpciError) -> bool:
    """Say to who waits what became of a grant; tell whether that is final."""
    item.tries += 1
    if isinstance(outcome, BpciError) and outcome.code == "chain.nonce" and item.tries < TRIES:
        return False
    if not item.future.done():
        if isinstance(outcome, bytes):
            item.future.set_result(outcome)
        else:
            item.future.set_exception(outcome)
    return True
