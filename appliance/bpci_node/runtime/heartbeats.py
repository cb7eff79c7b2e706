"""The heartbeats that a registered node sends by itself, so that the registry shows who is there.

Whether a node is heard counts in blocks, so a beat is due when half of the ledger's patience has passed, a little
earlier for one node than for another. On a ledger where nothing happens none is sent: every beat makes a block, and
beats that follow from blocks of beats alone would never end. No node sends more than one beat per period of time,
whatever the ledger's height does. Nothing is sent while the ledger is deactivated, by a node that is not active in the
registry, or by a machine that observes because another instance of its identity is registered.
"""

from __future__ import annotations

import asyncio
import logging

from bpci_node.chain.catalog import KINDS
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.deactivation import find_deactivation
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.heartbeat import Beat, BeatRecord, load_beat
from bpci_node.chain.machine import Machine
from bpci_node.chain.registration import ACTIVE, NodeRecord, load_node
from bpci_node.chain.state import View
from bpci_node.errors import BpciError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import Signer
from bpci_node.runtime.membership import EXPIRES_BLOCKS, OwnRegistry, Registry, RemoteRegistry
from bpci_node.runtime.node import Node
from bpci_node.runtime.service import log_error

log = logging.getLogger("bpci.heartbeat")

LOOK_SECONDS = 2.0
"""How often the ledger is looked at, which costs three look-ups in memory."""
MOST_PAUSE_SECONDS = 3600.0
"""Longest wait after beats that were refused; it doubles from the period."""


class Heartbeats:
    """Sends one node's heartbeats."""

    def __init__(self, node: Node) -> None:
        self._node, self._period = node, float(node.config.ledger.heartbeat_seconds)
        self._registry: Registry
        self._registry = RemoteRegistry(node.network) if node.ledger is None else OwnRegistry(node.ledger)
        self.last_error: BpciError | None = None
        """Why the last beat was refused or could not be sent; ``None`` after one that was taken."""

    async def run(self) -> None:
        """Send heartbeats as they fall due, until cancelled; for a node whose period is 0, none."""
        if not self._period:
            return
        # Nodes that a power cut started together do not speak together.
        await asyncio.sleep(self._period * jitter_of(self._node.account) / 2)
        pause = self._period
        while True:
            if not self._is_due():
                await asyncio.sleep(min(LOOK_SECONDS, self._period))
                continue
            try:
                await self.send()
                self.last_error, pause = None, self._period
            except BpciError as error:
                if self.last_error is None or self.last_error.code != error.code:
                    log_error(log, "the ledger does not take this node's heartbeat", error)
                self.last_error, pause = error, min(2 * pause, MOST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    def _is_due(self) -> bool:
        try:
            machine = self._node.lookups.current()
        except BpciError:
            return False  # the ledger is not here yet, or must not be shown
        return self._node.lookups.stopped is None and is_due(
            machine, account=self._node.account, instance=self._node.config.node.instance
        )

    async def send(self) -> None:
        """Send one heartbeat now.

        Raises:
            BpciError: the ledger's reason for refusing it, or it could not be reached.
        """
        node = self._node
        health = sha256(encode(node.status()))
        body = Beat(health=health, instance=node.config.node.instance)
        fee = 0 if KINDS[_KIND].is_free else load_parameter(node.lookups.current().state, "fee_min")
        await send_heartbeat(
            self._registry, node.signer, ledger_id=node.network.ledger_id, account=node.account, body=body, fee=fee
        )


_KIND = "registry.heartbeat"


async def send_heartbeat(
    registry: Registry, signer: Signer, *, ledger_id: str, account: str, body: Beat, fee: int
) -> None:
    """Sign a heartbeat and have it executed.

    Raises:
        BpciError: the ledger's reason for refusing it, or it could not be reached.
    """
    command = Command(
        ledger_id=ledger_id,
        sender=account,
        nonce=await registry.nonce(account),
        expires_height=await registry.height() + EXPIRES_BLOCKS,
        kind=_KIND,
        body={"health": body.health, "instance": body.instance},
        fee=fee,
    )
    await registry.submit(sign_command(signer, command).encode())


def is_due(machine: Machine, *, account: str, instance: int) -> bool:
    """Tell whether a node should send a heartbeat after the last block of ``machine``.

    Args:
        account: the node's.
        instance: of this machine.
    """
    state, record = machine.state, load_node(machine.state, account)
    if record is None or record.status != ACTIVE or record.instance != instance:
        return False
    if find_deactivation(state, machine.height + 1) is not None:
        return False
    return machine.height >= due_height(state, record, load_beat(state, account))


def due_height(state: View, record: NodeRecord, last: BeatRecord | None) -> int:
    """Return the height from which on a registered node's next heartbeat is due.

    It is after half of the patience, less up to an eighth of it by the node's account, and never before the ledger
    takes it.
    """
    if last is None:
        return 0
    interval, patience = load_parameter(state, "heartbeat_interval"), load_parameter(state, "heartbeat_patience")
    # The beat is in the block after the one that is the last one now.
    least = last.height + interval - 1
    if last.height < record.registered_height:
        return least  # it registered again, and has yet to show itself
    return max(least, last.height + patience // 2 - int(patience / 8 * jitter_of(record.account)))


def jitter_of(account: str) -> float:
    """Return a number from 0 up to 1 that is always the same for one account."""
    return int.from_bytes(sha256(account.encode())[:4]) / 2**32
