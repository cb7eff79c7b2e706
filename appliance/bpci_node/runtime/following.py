"""The ledger of a network that others sequence: followed block by block, executed again, answered from one's own state.

Any node of the network may be asked: what the sequencer signed is the same wherever it comes from. What a node answers
otherwise costs nothing but a try. At the first difference from what the sequencer signed the following stops, for good
and over restarts, until the owner has looked (``bpci network resume``).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from bpci_node.chain.block import decode_signed_block
from bpci_node.chain.genesis import Genesis, decode_genesis
from bpci_node.chain.machine import Machine
from bpci_node.consensus.follower import Follower
from bpci_node.consensus.restoring import restore
from bpci_node.consensus.snapshot import Manifest, decode_manifest, verify_manifest
from bpci_node.errors import BpciError, LimitError, ProofError, StorageError, UnreachableError
from bpci_node.network.client import NodeClient
from bpci_node.network.file import NetworkFile
from bpci_node.network.ledger_client import BlocksPage, LedgerClient
from bpci_node.primitives.codec import decode, encode
from bpci_node.runtime.ledger_upkeep import Capture
from bpci_node.runtime.lookups import MAX_BLOCKS, Lookups
from bpci_node.runtime.service import log_error
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

log = logging.getLogger("bpci.ledger")

POLL_SECONDS = 1.0
"""How often a node of the network is asked for what follows."""
MOST_PAUSE_SECONDS = 60.0
"""Longest wait after tries that failed; it doubles from ``POLL_SECONDS``."""
ANSWER_SECONDS = 8.0
"""Time that one answer may take."""
RESTORE_BLOCKS = 5_000
"""A node that has nothing begins with a snapshot if it would have to execute at least as many blocks otherwise."""
CHUNK_TRIES = 30
"""How often a chunk is asked for again that was refused because of a limit."""
STOP = "ledger_stop"
"""Key of ``meta`` under which a stop is kept; empty after the owner let the following go on."""


class FollowedLedger(Lookups):
    """The ledger of this node's network, as this node has executed it."""

    def __init__(
        self, store: Store, network: NetworkFile, *, own_urls: Iterable[str], clock_ms: Callable[[], int]
    ) -> None:
        """Take up what is stored; nobody is asked yet.

        Args:
            own_urls: under which this node itself is reached, and which it therefore does not ask.
            clock_ms: Unix milliseconds.
        Raises:
            StorageError: what is stored does not fit together, or is another ledger's (``storage.identity``).
        """
        super().__init__(SqliteBlockStore(store))
        self._store, self._network, self._clock_ms = store, network, clock_ms
        own = {url.rstrip("/") for url in own_urls}
        self._urls = [url for url in network.urls if url.rstrip("/") not in own]
        self._next = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._closing = threading.Event()
        self._stopped = _kept_stop(store)
        self._follower: Follower | None = None
        self._genesis: Genesis | None = None
        stored = store.meta("genesis")
        if stored is not None:
            self._genesis = decode_genesis(stored)
            if self._genesis.hash != network.genesis_hash:
                raise StorageError(
                    "the stored ledger began with another genesis",
                    code="storage.identity",
                    hint="Use another state_dir for another identity or network.",
                )
            if self._blocks.restoring() is None:
                self._follower = Follower(self._genesis, self._blocks)

    @property
    def genesis(self) -> Genesis:
        """The ledger's genesis.

        Raises:
            UnreachableError: no node of the network has given it yet (``unreachable.ledger``).
        """
        if self._genesis is None:
            raise _not_here()
        return self._genesis

    @property
    def stopped(self) -> BpciError | None:
        """The difference at which it stopped."""
        return self._stopped

    @property
    def lag(self) -> int | None:
        """Blocks that the sequencer is known to have made and that are not here."""
        follower = self._follower
        if follower is None or follower.checkpoint is None:
            return None
        return max(0, follower.checkpoint[0].height - follower.machine.height)

    def current(self) -> Machine:
        """Return the machine after the last block taken.

        Raises:
            UnreachableError: nothing was heard of the ledger yet, or it is being restored (``unreachable.ledger``).
        """
        follower = self._follower
        if follower is None or (not follower.machine.height and self.heard_ms is None):
            raise _not_here()
        return follower.machine

    async def checkpoint(self) -> bytes | None:
        """Return the sequencer's latest checkpoint that was heard of, encoded."""
        follower = self._follower
        return None if follower is None or follower.checkpoint is None else follower.checkpoint[1]

    async def capture(self) -> Capture | None:
        """Return what a snapshot is made of, if the sequencer's word on the last block is known."""
        machine, follower = self.current(), self._follower
        found = None if follower is None else follower.checkpoint
        if found is None or found[0].height != machine.height:
            return None
        block = await asyncio.to_thread(self._blocks.block, machine.height)
        if block is None or decode_signed_block(block).block.digest != found[0].block:
            return None
        return Capture(machine.height, machine.state, block, found[1])

    async def run(self) -> None:
        """Follow until cancelled, or until a difference stops it."""
        pause, last = POLL_SECONDS, ""
        while self._stopped is None:
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self.follow)
                pause, last = POLL_SECONDS, ""
            except BpciError as error:
                if error.code != last:
                    log_error(log, "the ledger can't be followed", error)
                pause, last = min(2 * pause, MOST_PAUSE_SECONDS), error.code
            await asyncio.sleep(pause)
        log_error(log, "the ledger is not followed any more", self._stopped)

    def catch_up(self) -> None:
        """Follow now, without waiting for the next turn. Not for the event loop; a failure is left to the next turn."""
        with suppress(BpciError):
            self._thread.submit(self.follow).result()

    def follow(self) -> None:
        """Take from the network's nodes what follows, until one of them has no more. For one thread at a time.

        Raises:
            UnreachableError: none gave anything that could be used (``unreachable.network_ledger``).
            ProofError: a difference, now or before; the following has stopped.
            StorageError: the disk or the database failed.
        """
        pruned: list[str] = []
        reasons = ["the network file names no other node"]
        for may_restore in (False, True):
            for url in list(pruned) if may_restore else self._in_turn():
                try:
                    with NodeClient(url, network=self._network, timeout_seconds=ANSWER_SECONDS) as client:
                        is_whole = self._follow(client.ledger, may_restore=may_restore)
                except StorageError:
                    raise
                except BpciError as error:
                    self._note_stop()
                    if self._stopped is not None:
                        raise
                    reasons.append(f"{url}: {error.message}")
                else:
                    if is_whole:
                        return
                    pruned.append(url)
                    reasons.append(f"{url} does not have the blocks that follow any more")
        raise UnreachableError(
            f"no node of the network gives what follows: {reasons[-1]}",
            code="unreachable.network_ledger",
            hint="Check this machine's network, and ask the network's operator.",
        )

    def _in_turn(self) -> list[str]:
        """Return every URL, another one first each time, so that none that is behind is asked alone."""
        self._next = (self._next + 1) % max(1, len(self._urls))
        return self._urls[self._next :] + self._urls[: self._next]

    def _follow(self, client: LedgerClient, *, may_restore: bool) -> bool:
        """Take all that one node has; tell whether it had what follows."""
        if self._genesis is None:
            self._genesis = self._fetch_genesis(client)
        if self._follower is None and self._blocks.restoring() is None:
            self._follower = Follower(self._genesis, self._blocks)
        while not self._closing.is_set():
            follower = self._follower
            height = 0 if follower is None else follower.machine.height
            page = client.blocks(height + 1, MAX_BLOCKS)
            self.heard_ms = self._clock_ms()
            if page.checkpoint is not None and follower is not None:
                follower.note_checkpoint(page.checkpoint)
            if follower is None or _is_far(page, follower, height):
                is_gap = page.first > height + 1
                if is_gap and follower is not None and not may_restore:
                    return False
                if self._restore(client, self._genesis, height):
                    continue
                if follower is None or is_gap:
                    return False
            if not page.blocks:
                return True
            for block, commands in page.blocks:
                if self._closing.is_set():
                    return True
                follower.take(block, commands)
        return True

    def _fetch_genesis(self, client: LedgerClient) -> Genesis:
        genesis = decode_genesis(client.genesis())
        if genesis.hash != self._network.genesis_hash or genesis.registry_key != self._network.registry_key:
            raise ProofError("the node gave the genesis of another ledger", code="proof.ledger")
        self._store.set_meta("genesis", genesis.encode())
        return genesis

    def _restore(self, client: LedgerClient, genesis: Genesis, height: int) -> bool:
        """Restore from the latest snapshot of one node; tell whether it has one that helps."""
        found = self._choose(client, height)
        if found is None:
            return False
        at, manifest = found
        verify_manifest(manifest, registry_key=genesis.registry_key, ledger_id=genesis.ledger_id)
        # Twice: in the log of the database, and in the database.
        self._store.require_room(2 * manifest.size_bytes)
        log.info("restoring the ledger from a snapshot of block %d, %d bytes", at, manifest.size_bytes)
        self._follower = follower = None
        try:
            restore(
                genesis,
                self._blocks,
                manifest,
                lambda number: self._fetch_chunk(client, at, number, manifest.chunks[number].size_bytes),
                least_height=height,
            )
        finally:
            if self._blocks.restoring() is None:
                self._follower = follower = Follower(genesis, self._blocks)
        if follower is not None:
            follower.note_checkpoint(manifest.checkpoint)
        log.info("restored the ledger at block %d", at)
        return True

    def _choose(self, client: LedgerClient, height: int) -> tuple[int, Manifest] | None:
        """Return the snapshot whose restoration was interrupted, if the node has it, else its latest."""
        heights = [int(item["height"]) for item in client.snapshots() if item["height"] > height]
        progress = self._blocks.restoring()
        if progress is not None and progress[0]:
            begun = decode_manifest(progress[0])
            at = decode_signed_block(begun.block).block.height
            if at in heights and client.manifest(at) == progress[0]:
                return at, begun
        return (max(heights), decode_manifest(client.manifest(max(heights)))) if heights else None

    def _fetch_chunk(self, client: LedgerClient, height: int, number: int, size_bytes: int) -> bytes:
        for _ in range(CHUNK_TRIES):
            if self._closing.is_set():
                break
            try:
                return client.chunk(height, number, size_bytes)
            except LimitError as error:
                wait = error.details.get("retry_after_seconds")
                self._closing.wait(min(float(wait), 10.0) if type(wait) is int else 1.0)
        raise UnreachableError("a chunk of the snapshot was not to be had", code="unreachable.ledger")

    def _note_stop(self) -> None:
        """Keep a difference with what shows it, so that a restart does not forget it."""
        follower = self._follower
        if self._stopped is not None or follower is None or follower.stopped is None:
            return
        error = follower.stopped
        height = int(error.details.get("height", 0))
        ours = self._blocks.block(height) or b""
        kept = {
            "v": 1,
            "code": error.code,
            "message": error.message,
            "height": height,
            "theirs": follower.evidence,
            "ours": ours,
        }
        self._store.set_meta(STOP, encode(kept))
        self._stopped = _kept_stop(self._store)

    def close(self) -> None:
        """Finish the block that is being taken."""
        self._closing.set()
        self._thread.shutdown(wait=True, cancel_futures=True)


def _is_far(page: BlocksPage, follower: Follower, height: int) -> bool:
    """Tell whether a snapshot is the way on: what follows is gone there, or it is much and this node has nothing."""
    known = follower.checkpoint
    return page.first > height + 1 or (not height and known is not None and known[0].height >= RESTORE_BLOCKS)


def _kept_stop(store: Store) -> ProofError | None:
    data = store.meta(STOP)
    if not data:
        return None
    kept = decode(data)
    return ProofError(
        kept["message"],
        code=kept["code"],
        hint="Compare with other followers: either this program or the sequencer is wrong. "
        "'bpci network resume' lets this node go on.",
        height=kept["height"],
    )


def _not_here() -> UnreachableError:
    return UnreachableError(
        "this node does not have the ledger of its network yet",
        code="unreachable.ledger",
        hint="It is fetching it; ask again soon, or ask another node of the network.",
    )
