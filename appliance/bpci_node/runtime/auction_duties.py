"""A validator's part in the auctions: it draws lots, and serves in the epochs for which it was drawn.

Each epoch has a run of its own, begun before the epoch and ended after its last window; runs of two epochs overlap, as
windows do. What must reach the ledger is owed in the journal until the ledger has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.coordinator_book import CAPACITY
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.line_request import LineRequest, verify_line_request
from bpci_node.auction.notary_book import NotaryBook
from bpci_node.auction.seal_auction import prove_window
from bpci_node.chain.committee import Committee
from bpci_node.chain.draw import committee_of, seed_of, ticket_input
from bpci_node.chain.emergency import Halt, halt_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.registration import load_node
from bpci_node.chain.state import State
from bpci_node.errors import BpciError, FormatError, NotFoundError, RefusedError, UnreachableError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.runtime.auction_config import ValidatorSection
from bpci_node.runtime.auction_frame import LedgerLines, find_committee, forfeit_at, frame_of, keys_of
from bpci_node.runtime.auction_keys import AuctionKeys, load_auction_keys
from bpci_node.runtime.auction_messages import blob_of, key_of
from bpci_node.runtime.auction_peers import Answer, OwnSeat, Peer, RemoteSeat
from bpci_node.runtime.auction_stream import AuctionStream
from bpci_node.runtime.coordinator import Coordinator
from bpci_node.runtime.ledger_clock import Jitter, LedgerClock
from bpci_node.runtime.ledger_door import LedgerDoor
from bpci_node.runtime.membership import OwnRegistry, RemoteRegistry
from bpci_node.runtime.notary import Notary
from bpci_node.runtime.service import log_error
from bpci_node.runtime.settling import settlement_parts
from bpci_node.runtime.window_draft import Sealed, TargetChain
from bpci_node.store.auction_journal import FINAL, AuctionJournal
from bpci_node.store.vote_guard import VoteGuard

if TYPE_CHECKING:
    from bpci_node.runtime.node import Node

log = logging.getLogger("bpci.auction")

TICK_SECONDS = 0.2
"""How often it is looked whether there is something to draw, begin or end."""
LINGER_US = 20_000_000
"""How long after an epoch its notary still answers."""


class EpochRun:
    """One epoch at this validator."""

    def __init__(self, epoch: AuctionEpoch, seat: int, lines: LedgerLines) -> None:
        self.epoch, self.seat = epoch, seat
        self.lines = lines
        self.notary: Notary | None = None
        self.coordinator: Coordinator | None = None
        self.remote: list[RemoteSeat] = []
        self.task: asyncio.Task[None] | None = None
        self.requests: set[bytes] = set()
        """Requests for bonds that were carried out."""

    def close(self) -> None:
        """Let go of the peers."""
        if self.task is not None:
            self.task.cancel()
        for seat in self.remote:
            seat.close()


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
        self._guard = VoteGuard(node.config.state_dir / "guard" / "votes")
        self.stream = AuctionStream(self.journal)
        self.jitter = Jitter()
        self.ledger_id = node.network.ledger_id
        registry = RemoteRegistry(node.network) if node.ledger is None else OwnRegistry(node.ledger)
        self._door = LedgerDoor(registry, node.lookups, node.signer, self.ledger_id)
        self.runs: dict[int, EpochRun] = {}
        self.chains: dict[str, TargetChain] = {}
        self._drawn = 0
        self.settled = 0
        """Commands of settlement that the ledger has taken since the start."""
        for stored in self.journal.windows(FINAL):
            if stored.header is not None:
                header = AuctionHeader.decode(stored.header)
                chain = self.chains.setdefault(header.target, TargetChain())
                if header.sequence > chain.sequence:
                    chain.extend(header, ())

    def close(self) -> None:
        """Close the journal; to be called when :meth:`run` has ended."""
        for run in self.runs.values():
            run.close()
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
                self._again(self._serve),
            )
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            runs = [run.task for run in self.runs.values() if run.task is not None]
            for task in [*tasks, *runs]:
                task.cancel()
            await asyncio.gather(*tasks, *runs, return_exceptions=True)

    async def _again(self, duty: Callable[[], Awaitable[None]]) -> None:
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
            await asyncio.sleep(TICK_SECONDS)

    async def _serve(self) -> None:
        self._end_runs()
        await self._begin_runs()
        halt = self.halt()
        for run in self.runs.values():
            if halt is not None and run.coordinator is not None:
                run.coordinator.book.halt(halt.from_us, halt.until_us)

    async def _draw(self) -> None:
        """Take a ticket for the next epoch, once."""
        state, now_ms = self._state(), self.clock.now_us() // 1000
        epochs = load_epochs(state)
        wanted = epochs.number_at(now_ms) + 1
        if wanted <= self._drawn or epochs.is_drawn(wanted, now_ms):
            return
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
        wanted = [number]
        closed_us = epochs.tickets_close_ms(number) * 1000
        # A block of the last moment may still be on its way here.
        if now_us >= closed_us + (epochs.begins_ms(number + 1) * 1000 - closed_us) // 2:
            wanted.append(number + 1)
        for epoch in wanted:
            if epoch not in self.runs and epoch > 0:
                committee = find_committee(state, epoch)
                seat = None if committee is None else committee.number_of(self._node.account)
                if seat is not None:
                    await self._node.guard.activate()
                    await self._begin(frame_of(state, self.ledger_id, epoch), seat)

    async def _begin(self, epoch: AuctionEpoch, seat: int) -> None:
        run = EpochRun(epoch, seat, LedgerLines(epoch.number, self._node.lookups))
        state = self._state()
        for target in epoch.terms:
            self.chains.setdefault(target, TargetChain())

        def committee_after() -> Committee | None:
            now = self._state()
            is_drawn = load_epochs(now).is_drawn(epoch.number + 1, self.clock.now_us() // 1000)
            return find_committee(now, epoch.number + 1) if is_drawn else None

        def account_keys(account: str) -> tuple[bytes, ...]:
            return keys_of(self._state(), account)

        notary_lines = LedgerLines(epoch.number, self._node.lookups)

        def refresh(book: NotaryBook) -> None:
            self._follow_now()
            notary_lines.bring(book.lines)

        run.notary = await asyncio.to_thread(
            Notary,
            epoch,
            seat,
            keys=self._keys,
            journal=self.journal,
            guard=self._guard,
            clock=self.clock,
            chains=self.chains,
            keys_of=account_keys,
            forfeit=lambda stake, target: forfeit_at(state, epoch, stake, target),
            refresh_lines=refresh,
            next_committee=committee_after,
        )
        await asyncio.to_thread(run.notary.restore)
        peers: dict[int, Peer] = {}
        for number, member in enumerate(epoch.committee.seats):
            if number == seat:
                peers[number] = OwnSeat(run.notary.answer)
            else:
                record = load_node(state, member.account)
                remote = RemoteSeat(() if record is None else record.endpoints, epoch.number)
                run.remote.append(remote)
                peers[number] = remote
        run.notary.peers = peers
        if seat == 0:
            limit = self._node.config.auction.commits_per_second
            run.coordinator = Coordinator(
                epoch,
                keys=self._keys,
                journal=self.journal,
                guard=self._guard,
                clock=self.clock,
                jitter=self.jitter,
                capacity={qlock: max(1, limit * qlock // 1000) for qlock in CAPACITY},
                peers=peers,
                chains=self.chains,
                keys_of=account_keys,
                forfeit=lambda stake, target: forfeit_at(state, epoch, stake, target),
                next_committee=committee_after,
                on_final=self._finish,
                has_predecessor=find_committee(state, epoch.number - 1) is not None,
            )
            await asyncio.to_thread(run.lines.bring, run.coordinator.book.lines)
            await asyncio.to_thread(run.coordinator.restore)
            halt = halt_of(state)
            if halt is not None:
                run.coordinator.book.halt(halt.from_us, halt.until_us)
            run.task = asyncio.create_task(run.coordinator.run())
        self.runs[epoch.number] = run
        log.info("serving in epoch %d: seat %d of %d", epoch.number, seat, len(epoch.committee.seats))

    def _end_runs(self) -> None:
        now = self.clock.now_us()
        for number in [number for number, run in self.runs.items() if now > run.epoch.ends_us + LINGER_US]:
            self.runs.pop(number).close()

    # After a header is final

    async def _finish(self, sealed: Sealed, certificate: Certificate) -> None:
        """Hand the target over at an epoch's end; prove a window and publish its bundle."""
        header = sealed.draft.header
        if sealed.draft.facts.next_committee is not None:
            await self._hand_over(sealed, certificate, sealed.draft.facts.next_committee)
        bundle = await asyncio.to_thread(prove_window, sealed.draft, certificate, self._keys.ml_dsa)
        data = await asyncio.to_thread(bundle.encode)
        digest = header.digest()
        event = codec.encode(
            {
                "window": header.window.as_list(),
                "sequence": header.sequence,
                "digest": digest,
                "bytes": len(data),
                "count": header.count,
            }
        )
        await asyncio.wrap_future(self.journal.add_bundle(digest, header.target, header.sequence, data, event))
        for part in settlement_parts(header, certificate, sealed.outcomes):
            await asyncio.wrap_future(self.journal.owe("auction.settle", codec.encode(part)))

    async def _hand_over(self, sealed: Sealed, certificate: Certificate, following: Committee) -> None:
        """Tell those who serve next, and had no seat in this epoch, what they build on."""
        header, state = sealed.draft.header, self._state()
        present = self._run_of(header.epoch).epoch.committee
        body = {
            "header": header.encode(),
            "certificate": certificate.as_map(),
            "outcomes": sealed.encoded_outcomes,
            "carried": [],
        }
        for seat in following.seats:
            record = load_node(state, seat.account)
            if present.number_of(seat.account) is None and record is not None:
                remote = RemoteSeat(record.endpoints, header.epoch)
                with suppress(BpciError):
                    await remote.ask("final", body)
                remote.close()

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
        run = self._run_of(number)
        if run.notary is None:
            raise NotFoundError("this validator has no notary in this epoch", code="seat.none")
        return run.notary

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
        if not keys_of(self._state(), request.account):
            await asyncio.to_thread(self._follow_now)  # the account may have come into being a moment ago
        verify_line_request(request, ledger_id=self.ledger_id, keys=keys_of(self._state(), request.account))
        if request.request_id not in run.requests:
            run.requests.add(request.request_id)
            item = {"owner": request.account, "tier": request.tier, "count": request.count}
            body = {"epoch": request.epoch, "target": request.target, "items": [item]}
            try:
                await self._door.submit(self._node.account, "auction.reserve", body)
            except BpciError:
                run.requests.discard(request.request_id)
                raise
            await asyncio.to_thread(self._follow_now)
            await asyncio.to_thread(run.lines.bring, coordinator.book.lines)
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
        if committee is None or header.ledger_id != self.ledger_id:
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

    def overview(self) -> dict[str, Any]:
        """Return ledger time, epoch, committee and targets, as anyone may know them."""
        state, now_us = self._state(), self.clock.now_us()
        epochs = load_epochs(state)
        number = epochs.number_at(now_us // 1000)
        try:
            epoch: AuctionEpoch | None = frame_of(state, self.ledger_id, number)
        except NotFoundError:
            epoch = None
        run, halt = self.runs.get(number), halt_of(state)
        return {
            "v": 1,
            "ledger_id": self.ledger_id,
            "time_us": now_us,
            "halt": None if halt is None else {"from_us": halt.from_us, "until_us": halt.until_us},
            "epoch": number,
            "begins_us": epochs.begins_ms(number) * 1000,
            "ends_us": epochs.begins_ms(number + 1) * 1000,
            "seat": None if run is None else run.seat,
            "committee": [] if epoch is None else [_seat_map(state, seat.account) for seat in epoch.committee.seats],
            "targets": [] if epoch is None else [epoch.terms[name].as_map() for name in sorted(epoch.terms)],
            "chains": {
                name: {"sequence": chain.sequence, "digest": chain.digest} for name, chain in self.chains.items()
            },
            "last_event": self.stream.last,
        }


def _seat_map(state: State, account: str) -> dict[str, Any]:
    record = load_node(state, account)
    return {"account": account, "endpoints": [] if record is None else list(record.endpoints)}


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
