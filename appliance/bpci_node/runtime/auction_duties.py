"""A validator's part in the auctions: it draws lots, and serves in the epochs for which it was drawn.

Each epoch has a run of its own, begun before the epoch and ended after its last window; runs of two epochs overlap, as
windows do. What must reach the ledger is owed in the journal until the ledger has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.line_request import LineRequest, verify_line_request
from bpci_node.chain.committee import Committee
from bpci_node.chain.draw import committee_of, seed_of, ticket_input
from bpci_node.chain.emergency import Halt, halt_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.state import State
from bpci_node.errors import BpciError, FormatError, NotFoundError, RefusedError, UnreachableError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.runtime.auction_config import ValidatorSection
from bpci_node.runtime.auction_frame import find_committee, frame_of, is_draw_known, keys_of, seats_ahead
from bpci_node.runtime.auction_keys import AuctionKeys, load_auction_keys
from bpci_node.runtime.auction_messages import blob_of, key_of
from bpci_node.runtime.auction_peers import Answer
from bpci_node.runtime.auction_stream import AuctionStream
from bpci_node.runtime.auction_value import value_of
from bpci_node.runtime.bundle_keeper import BundleKeeper
from bpci_node.runtime.completion import Completion
from bpci_node.runtime.coordinator import Coordinator
from bpci_node.runtime.epoch_run import EpochRun, Shared
from bpci_node.runtime.ledger_clock import Jitter, LedgerClock
from bpci_node.runtime.ledger_door import LedgerDoor
from bpci_node.runtime.membership import OwnRegistry, RemoteRegistry
from bpci_node.runtime.notary import Notary
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.service import log_error
from bpci_node.runtime.window_draft import TargetChain
from bpci_node.store.auction_journal import CERTIFIED, FINAL, OPEN, PROPOSED, VOID, AuctionJournal
from bpci_node.store.vote_guard import VoteGuard

if TYPE_CHECKING:
    from bpci_node.runtime.node import Node

log = logging.getLogger("bpci.auction")

TICK_SECONDS = 0.2
"""How often it is looked whether there is something to draw, begin or end."""
WISH_SECONDS = 1.0
"""How often a notary tells the coordinator that entries wait in its pools."""
LINGER_US = 20_000_000
"""How long after an epoch its notary still answers."""


class AuctionDuties:
    """The auctions of one validator node."""

    def __init__(self, node: Node, keys: AuctionKeys) -> None:
        """Open the journal and the guard. To be made on the event loop, once the node knows its ledger's genesis.

        Raises:
            StorageError: the journal or the guard (``storage.*``).
        """
        self._node, self._keys = node, keys
        self.clock = LedgerClock(node.lookups.genesis.time_ms)
        self.journal = AuctionJournal(node.config.state_dir)
        self.stream = AuctionStream(self.journal)
        self.jitter = Jitter()
        self.ledger_id = node.network.ledger_id
        registry = RemoteRegistry(node.network) if node.ledger is None else OwnRegistry(node.ledger)
        self._door = LedgerDoor(registry, node.lookups, node.signer, self.ledger_id)
        self.value = value_of(node.config.auction.mode, self.ledger_id, node.lookups)
        self.pool = PublicPool(node.pools, node.store.writer.submit)
        self.runs: dict[int, EpochRun] = {}
        self.chains: dict[str, TargetChain] = {}
        self._drawn = self._ticket = 0
        self.settled = 0
        """Commands of settlement that the ledger has taken since the start."""
        for stored in self.journal.latest_final():
            if stored.header is not None:
                header = AuctionHeader.decode(stored.header)
                chain = self.chains.setdefault(header.target, TargetChain())
                if header.sequence > chain.sequence:
                    chain.extend(header, ())
        self._completion = Completion(
            self.journal,
            keys.ml_dsa,
            self.value,
            state=self._state,
            frame=lambda number: frame_of(self._state(), self.value.ledger_id, number),
        )
        self._keeper = BundleKeeper(self.journal, self.chains, self.pool, own=node.account, state=self._state)
        self._shared = Shared(
            keys=keys,
            journal=self.journal,
            guard=VoteGuard(node.config.state_dir / "guard" / "votes"),
            clock=self.clock,
            jitter=self.jitter,
            pool=self.pool,
            chains=self.chains,
            lookups=node.lookups,
            value=self.value,
            commits_per_second=node.config.auction.commits_per_second,
            follow=self._follow_now,
            is_closed=lambda: node.drain.is_closed,
        )
        self._pruned = 0
        self._is_new = True

    def close(self) -> None:
        """Close the journal; to be called when :meth:`run` has ended."""
        for run in self.runs.values():
            run.close()
        self._keeper.close()
        self.journal.close()

    def _state(self) -> State:
        return self._node.lookups.current().state

    # Running

    async def run(self) -> None:
        """Do the validator's duties until cancelled."""
        tasks = [
            asyncio.create_task(part)
            for part in (
                self.clock.run(),
                self.stream.run(),
                self._pay(),
                self._again(self._draw),
                self._keeper.run(),
                self._again(self._serve),
                self._again(self._wish, seconds=WISH_SECONDS),
            )
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            runs = [run.task for run in self.runs.values() if run.task is not None]
            for task in [*tasks, *runs]:
                task.cancel()
            await asyncio.gather(*tasks, *runs, return_exceptions=True)

    async def _again(self, duty: Callable[[], Awaitable[None]], *, seconds: float = TICK_SECONDS) -> None:
        """See to a duty again and again as time goes by."""
        last = ""
        while True:
            try:
                await duty()
                last = ""
            except BpciError as error:
                if error.code != last:
                    log_error(log, "the auctions have to wait", error)
                last = error.code
            except Exception:
                log.exception("the auctions failed")
            await asyncio.sleep(seconds)

    async def _serve(self) -> None:
        await self._completion.catch_up()
        self._end_runs()
        await self._begin_runs()
        for run in list(self.runs.values()):
            run.follow_halt()
        now = load_epochs(self._state()).number_at(self.clock.now_us() // 1000)
        if now > self._pruned:
            self._pruned = now
            await asyncio.wrap_future(self.journal.prune(now))

    async def _wish(self) -> None:
        """See to it that what waits in this node's pools gets into a window, whoever coordinates; tidy up."""
        now_us = self.clock.now_us()
        for run in list(self.runs.values()):
            run.notary.forget_old()
            if run.epoch.begins_us <= now_us < run.epoch.ends_us:
                await run.notary.wish()
        halt = self.halt()
        for run in self.runs.values():
            if halt is not None and run.coordinator is not None:
                run.coordinator.book.halt(halt.from_us, halt.until_us)

    async def _draw(self) -> None:
        """Take a ticket for the next epoch, once."""
        state, now_ms = self._state(), self.clock.now_us() // 1000
        epochs = load_epochs(state)
        wanted = epochs.number_at(now_ms) + 1
        if self._node.drain.is_draining or wanted <= self._drawn or epochs.is_drawn(wanted, now_ms):
            return
        # From here on a ticket of this validator may be in, whatever becomes of the answer.
        self._ticket = wanted
        await self._node.guard.activate()
        # The seed takes in the last tickets of the draw before: it is known when their block is here.
        await asyncio.to_thread(self._follow_now)
        state = self._state()
        proof = self._keys.vrf.prove(ticket_input(self.ledger_id, wanted, self._seed(state, wanted - 1)))
        try:
            await self._door.submit(self._node.account, "auction.draw", {"epoch": wanted, "proof": proof})
        except RefusedError as error:
            if error.code == "auction.drawn":
                self._drawn = wanted
                return
            if error.code in ("auction.not_eligible", "auction.draw_time"):
                self._ticket = 0
                self._drawn = wanted if error.code == "auction.not_eligible" else self._drawn
                return
            raise
        self._drawn = wanted
        log.info("drew for epoch %d", wanted)

    def _seed(self, state: State, epoch: int) -> bytes:
        return seed_of(state, self._node.lookups.genesis, epoch)

    async def _begin_runs(self) -> None:
        """Begin to serve in epochs for which this validator was drawn; in the next one some time before it begins."""
        state, now_us = self._state(), self.clock.now_us()
        epochs = load_epochs(state)
        number = epochs.number_at(now_us // 1000)
        # Who comes back a moment after an epoch's end has its last windows to see to.
        is_ending = now_us < epochs.begins_ms(number) * 1000 + LINGER_US
        wanted = [number - 1, number] if is_ending and self._is_new else [number]
        if is_draw_known(epochs, number, now_us):
            wanted.append(number + 1)
        for epoch in wanted:
            if epoch not in self.runs and epoch > 0:
                committee = find_committee(state, epoch)
                seat = None if committee is None else committee.number_of(self._node.account)
                if seat is not None:
                    await self._node.guard.activate()
                    await self._begin(frame_of(state, self.value.ledger_id, epoch), seat)
        if self._is_new:
            self._is_new = False
            await self._end_old_windows(state, number)

    def seats(self) -> list[int]:
        """Return the epochs in which this validator serves, or may have to because its ticket may be in."""
        coming = seats_ahead(self._state(), self._node.account, self.clock.now_us(), ticket=self._ticket)
        return sorted(coming | self.runs.keys())

    async def _end_old_windows(self, state: State, number: int) -> None:
        """Say of windows that this validator coordinated, and can't bring to their end any more, that they are void."""
        for stored in await asyncio.to_thread(self.journal.windows, OPEN, CERTIFIED, PROPOSED):
            is_over = stored.epoch < number and stored.epoch not in self.runs
            committee = find_committee(state, stored.epoch) if is_over else None
            if committee is not None and committee.coordinator.account == self._node.account:
                count = len(await asyncio.to_thread(self.journal.commits, stored.key))
                event = codec.encode({"window": list(stored.key), "epoch": stored.epoch, "commits": count})
                await asyncio.wrap_future(
                    self.journal.put_window(stored.key, stored.epoch, VOID, event=("void", event))
                )

    async def _begin(self, epoch: AuctionEpoch, seat: int) -> None:
        run = await asyncio.to_thread(EpochRun, epoch, seat, self._shared)
        await run.begin(self._completion.complete)
        self.runs[epoch.number] = run
        log.info("serving in epoch %d: seat %d of %d", epoch.number, seat, len(epoch.committee.seats))

    def _end_runs(self) -> None:
        now = self.clock.now_us()
        for number in [number for number, run in self.runs.items() if now > run.epoch.ends_us + LINGER_US]:
            self.runs.pop(number).close()

    # What is owed

    async def _pay(self) -> None:
        """Send what is owed to the ledger, in order; what it refuses for good is logged and let go."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for number, kind, body in await asyncio.to_thread(self.journal.owed):
                try:
                    await self._door.submit(self._node.account, kind, codec.decode(body, max_bytes=len(body)))
                    self.settled += 1
                except RefusedError as error:
                    log_error(log, f"the ledger refuses {kind}", error)
                except BpciError as error:
                    log_error(log, f"{kind} has to wait", error)
                    break
                await asyncio.wrap_future(self.journal.paid(number))

    # For bidders and other validators

    def current(self) -> EpochRun:
        """Return the run of the epoch of this moment.

        Raises:
            NotFoundError: this validator has no seat in it (``seat.none``).
        """
        return self._run_of(load_epochs(self._state()).number_at(self.clock.now_us() // 1000))

    def _run_of(self, number: int) -> EpochRun:
        run = self.runs.get(number)
        if run is None:
            raise NotFoundError(
                f"this validator has no seat in epoch {number}",
                code="seat.none",
                hint="GET /v1/auction names the committee.",
                epoch=number,
            )
        return run

    def coordinator_of(self, number: int) -> Coordinator:
        """Return the coordinator of an epoch, if it is this validator.

        Raises:
            NotFoundError: it is not (``seat.none``, ``seat.coordinator``).
        """
        run = self._run_of(number)
        if run.coordinator is None:
            raise NotFoundError(
                "another validator coordinates this epoch",
                code="seat.coordinator",
                hint="GET /v1/auction names it.",
                coordinator=run.epoch.committee.coordinator.account,
            )
        return run.coordinator

    def notary_of(self, number: int) -> Notary:
        """Return this validator's notary of an epoch.

        Raises:
            NotFoundError: it has no seat in it (``seat.none``).
        """
        return self._run_of(number).notary

    def committee(self, number: int) -> Committee:
        """Return the committee of an epoch.

        Raises:
            NotFoundError: it has none, or so early ones are not kept (``auction.no_committee``).
        """
        return committee_of(self._state(), number)

    def epoch_at(self, time_us: int) -> int:
        """Return the epoch of a window that opens at a moment of ledger time."""
        return load_epochs(self._state()).number_at(time_us // 1000)

    async def open_line(self, data: bytes) -> dict[str, Any]:
        """Reserve bonds for a bidder on the ledger, at its signed request, and let commits use them.

        Raises:
            BpciError: the request, or the ledger's reason for refusing it.
        """
        request = LineRequest.decode(data)
        coordinator, run = self.coordinator_of(request.epoch), self._run_of(request.epoch)
        coordinator.require_open()
        if not keys_of(self._state(), request.account):
            await asyncio.to_thread(self._follow_now)  # the account may have come into being a moment ago
        verify_line_request(request, ledger_id=self.value.ledger_id, keys=keys_of(self._state(), request.account))
        if request.request_id not in run.requests:
            run.requests.add(request.request_id)
            try:
                await self.value.reserve(self._door, self._node.account, request)
            except BpciError:
                run.requests.discard(request.request_id)
                raise
            await asyncio.to_thread(self._follow_now)
            await asyncio.to_thread(self.value.bring, run.lines, coordinator.book.lines)
        return {
            "v": 1,
            "epoch": request.epoch,
            "lines": [
                {
                    "target": request.target,
                    "tier": request.tier,
                    "reserved": run.lines.reserved(request.target, request.account, request.tier),
                    "free": coordinator.book.lines.free(request.target, request.account, request.tier),
                }
            ],
        }

    async def answer(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Answer a message of another validator.

        Raises:
            BpciError: why it is refused.
        """
        fields, inner = dict(body), dict(body)
        if inner.pop("v", None) != 1 or type(fields.get("epoch")) is not int:
            raise FormatError("a message names its version and its epoch", code="seat.message")
        number = inner.pop("epoch")
        if path == "final" and number not in self.runs:
            return await self._hear_of(inner)
        return await self.notary_of(number).answer(path, inner)

    async def _hear_of(self, body: Mapping[str, Any]) -> Answer:
        """Take a header of a committee in which this validator has no seat: what it builds on when its turn comes."""
        names = ("header", "certificate", "outcomes", "carried")
        fields = Fields(dict(body), names, what="a final header", code="seat.message")
        header = AuctionHeader.decode(blob_of(fields, "header"))
        certificate = Certificate.from_map(fields.raw("certificate"))
        committee = find_committee(self._state(), header.epoch)
        if committee is None or header.ledger_id != self.value.ledger_id:
            raise NotFoundError("the header's committee is not known here", code="auction.no_committee")
        await asyncio.to_thread(verify_certificate, committee, header.digest(), certificate)
        chain = self.chains.setdefault(header.target, TargetChain())
        if header.sequence > chain.sequence:
            chain.extend(header, ())
            await asyncio.wrap_future(
                self.journal.put_window(
                    key_of(header.window),
                    header.epoch,
                    FINAL,
                    header=header.encode(),
                    certificate=codec.encode(certificate.as_map()),
                    carried=[],
                )
            )
        return {}

    def _follow_now(self) -> None:
        """Take what the ledger has come to, if this node follows it. Not for the event loop."""
        if self._node.followed is not None:
            self._node.followed.catch_up()

    def halt(self) -> Halt | None:
        """Return the guardians' last halt, ``None`` if there never was one."""
        return halt_of(self._state())


def auction_of(node: Node) -> AuctionDuties:
    """Return a node's auctions.

    Raises:
        NotFoundError: it is no validator, or does not serve yet (``seat.not_here``).
    """
    if node.auction is None:
        raise NotFoundError(
            "this node takes no part in auctions",
            code="seat.not_here",
            hint="Ask a validator: one has [validator] in its configuration.",
        )
    return node.auction


async def keep_auction(node: Node, section: ValidatorSection) -> None:
    """Serve in the auctions for as long as the node runs, from when its ledger is known here.

    Raises:
        BpciError: keys, journal or guard can't be used.
    """
    keys = load_auction_keys(section, node.signer)
    while True:
        try:
            auction = AuctionDuties(node, keys)
            break
        except UnreachableError:
            await asyncio.sleep(TICK_SECONDS)
    node.auction = auction
    try:
        await auction.run()
    finally:
        node.auction = None
        await asyncio.to_thread(auction.close)
