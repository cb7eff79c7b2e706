"""The node's process: start, say so, look after things, stop gracefully.

The faces (HTTP) are handed in, so that this floor knows nothing of them.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from bpci_node.errors import BpciError
from bpci_node.host.fingerprint import fingerprint
from bpci_node.host.result import CouldNotTellError
from bpci_node.primitives.keys import did_of
from bpci_node.runtime.auction_config import ValidatorSection
from bpci_node.runtime.auction_duties import keep_auction
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.doctor.hardware import reported_fingerprint
from bpci_node.runtime.heartbeats import Heartbeats
from bpci_node.runtime.intake import clock_ms
from bpci_node.runtime.node import Node
from bpci_node.runtime.service import log_error, notify, watchdog_seconds
from bpci_node.runtime.watchdog import Watchdog, slowness
from bpci_node.setup.system import System

log = logging.getLogger("bpci.node")

GRACE_SECONDS = 4.0
"""Time that running requests have to finish when the node stops."""
HOUSEKEEPING_SECONDS = 2.0
REVISION_SECONDS = 12.0
"""How often chains are asked about senders that wait: as often as Ethereum makes a block."""
RETRY_SECONDS = 30.0
"""How soon a registry that could not be asked is asked again."""
REFRESH_SECONDS = 3600.0
"""How often a node that has a certificate asks for a newer one."""

COLLECTION = (50_000, 20, 100)
"""Thresholds of the garbage collector: what waits is millions of objects in no cycles, and looking at them all as
often as Python does by itself takes a fifth of the time in which entries are taken in."""


class Faces(Protocol):
    """What listens."""

    @property
    def addresses(self) -> list[str]:
        """Where, for people."""
        ...

    async def close(self, grace_seconds: float) -> None:
        """Take nothing new, finish what runs within ``grace_seconds``, then drop it."""
        ...


async def run(config: NodeConfig, open_faces: Callable[[Node], Awaitable[Faces]]) -> None:
    """Run a node until it is told to stop by SIGTERM, SIGINT or its owner.

    Raises:
        BpciError: it could not start.
    """
    gc.set_threshold(*COLLECTION)
    pace = slowness()
    node = Node(config)
    try:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, node.stopping.set)
        faces = await open_faces(node)
        where = ", ".join(faces.addresses)
        log.info("node %s is ready at %s", did_of(node.signer.public_key), where)
        period = watchdog_seconds()
        if period is not None:
            notify(WATCHDOG_USEC=int(period * pace * 1_000_000))
        notify(READY=1, STATUS=f"ready at {where}")
        keepers = [_keep_house(node), _keep_membership(node), _keep_pools(node), _look_at_hardware()]
        keepers += [node.upkeep.run(), node.snapshots.run(), Heartbeats(node).run()]
        if node.followed is not None:
            keepers.append(node.followed.run())
        if config.validator is not None:
            keepers.append(_keep_auction(node, config.validator))
        watchdog = None if period is None else Watchdog(period, is_alive=node.is_alive, pace=pace)
        if watchdog is not None:
            keepers.append(watchdog.beat())
        tasks = [asyncio.create_task(keeper) for keeper in keepers]
        try:
            await node.stopping.wait()
        finally:
            if watchdog is not None:
                watchdog.stop()
            notify(STOPPING=1, STATUS="finishing what was accepted")
            log.info("stopping")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await faces.close(GRACE_SECONDS)
    finally:
        await node.close()
    log.info("stopped")


async def _look_at_hardware() -> None:
    """Say once if the machine is another one than its registered hardware report describes."""
    with suppress(BpciError, CouldNotTellError, OSError):
        reported = await asyncio.to_thread(reported_fingerprint, System())
        if reported is not None and reported != await asyncio.to_thread(fingerprint):
            log.warning("the hardware is other than in the hardware report; 'bpci hardware show' says more")


async def _keep_house(node: Node) -> None:
    """See whether a disk that failed takes writes again, and let go of what is not needed."""
    while True:
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
        await asyncio.to_thread(node.intake.recovery.retire_idle)
        with suppress(BpciError):
            await node.probe_store()


async def _keep_pools(node: Node) -> None:
    """Let leave what the target chains have run meanwhile, where they are asked."""
    while True:
        await asyncio.sleep(REVISION_SECONDS)
        await node.funding.revise(clock_ms())


async def _keep_auction(node: Node, section: ValidatorSection) -> None:
    """Serve in the auctions; a validator that can't, because of its keys or its disk, does not run on as if it did."""
    try:
        await keep_auction(node, section)
    except BpciError as error:
        log_error(log, "the validator can't serve in auctions", error)
        node.stopping.set()


async def _keep_membership(node: Node) -> None:
    """Fetch the node's certificate once it is registered (set-up or the owner does that), and keep it current.

    Its activation token is renewed likewise.
    """
    last = ""
    while True:
        try:
            await node.refresh_certificate()
            await node.guard.renew()
            last = ""
        except BpciError as error:
            if error.code != last:
                log_error(log, "the registry can't be asked for this node's certificate", error)
            last = error.code
        if node.certificate is not None:
            await asyncio.sleep(RETRY_SECONDS if node.guard.wants_token else REFRESH_SECONDS)
        else:
            await asyncio.sleep(RETRY_SECONDS if last else HOUSEKEEPING_SECONDS)
