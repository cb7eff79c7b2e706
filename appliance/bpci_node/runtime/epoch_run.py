"""One epoch at one validator: its notary, its coordinator if it was drawn first, and the other seats."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.certificate import Certificate
from bpci_node.auction.coordinator_book import CAPACITY
from bpci_node.auction.notary_book import NotaryBook
from bpci_node.chain.committee import Committee
from bpci_node.chain.emergency import Halt, halt_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.registration import load_node
from bpci_node.chain.state import State
from bpci_node.runtime.auction_frame import LedgerLines, find_committee, forfeit_at, keys_of
from bpci_node.runtime.auction_keys import AuctionKeys
from bpci_node.runtime.auction_peers import OwnSeat, Peer, RemoteSeat
from bpci_node.runtime.auction_value import AuctionValue
from bpci_node.runtime.coordinator import Coordinator
from bpci_node.runtime.ledger_clock import Jitter, LedgerClock
from bpci_node.runtime.lookups import Lookups
from bpci_node.runtime.notary import Notary
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.stored_proposal import restore_carried
from bpci_node.runtime.window_draft import Sealed, TargetChain
from bpci_node.store.auction_journal import AuctionJournal
from bpci_node.store.vote_guard import VoteGuard


@dataclass(frozen=True, slots=True)
class Shared:
    """What all epochs of a validator have in common."""

    keys: AuctionKeys
    journal: AuctionJournal
    guard: VoteGuard
    clock: LedgerClock
    jitter: Jitter
    pool: PublicPool
    chains: MutableMapping[str, TargetChain]
    lookups: Lookups
    value: AuctionValue
    commits_per_second: int
    follow: Callable[[], None]
    """Takes what the ledger has come to; not for the event loop."""
    is_closed: Callable[[], bool]
    """Whether the node is about to be stopped, so that no window is opened any more."""

    @property
    def state(self) -> State:
        """The ledger's state as this node has it."""
        return self.lookups.current().state

    def keys_of(self, account: str) -> tuple[bytes, ...]:
        """Return the current Ed25519 keys of an account."""
        return keys_of(self.state, account)


class EpochRun:
    """One epoch at this validator."""

    def __init__(self, epoch: AuctionEpoch, seat: int, shared: Shared) -> None:
        """Begin with the notary; nothing is restored yet."""
        self.epoch, self.seat, self._shared = epoch, seat, shared
        self.lines = LedgerLines(epoch.number, shared.lookups)
        """The ledger's lines as the coordinator has them."""
        self.coordinator: Coordinator | None = None
        self.requests: set[bytes] = set()
        """Requests for bonds that were carried out."""
        self._remote: list[RemoteSeat] = []
        self.task: asyncio.Task[None] | None = None
        self._halt: Halt | None = None
        self._state = state = shared.state
        known = LedgerLines(epoch.number, shared.lookups)

        def refresh(book: NotaryBook) -> None:
            shared.follow()
            shared.value.bring(known, book.lines)

        for target in epoch.terms:
            chain = shared.chains.setdefault(target, TargetChain())
            settled = shared.value.settled(state, target)
            if settled is not None and settled.sequence > chain.sequence:
                # Whoever was away, or had no seat so far, has heard of no header that it could build on.
                chain.stand_on(settled.sequence, settled.digest, settled.epoch)
        self.notary = Notary(
            epoch,
            seat,
            keys=shared.keys,
            journal=shared.journal,
            guard=shared.guard,
            clock=shared.clock,
            chains=shared.chains,
            pool=shared.pool,
            keys_of=shared.keys_of,
            forfeit=lambda stake, target: forfeit_at(state, epoch, stake, target),
            lines=shared.value.new_lines(),
            refresh_lines=refresh,
            next_committee=self._next_committee,
        )

    async def begin(self, on_final: Callable[[Sealed, Certificate], Awaitable[None]]) -> None:
        """Take up what the journal has of the epoch, and serve.

        Raises:
            BpciError: the journal does not fit together.
        """
        epoch, shared, peers = self.epoch, self._shared, dict[int, Peer]()
        await asyncio.to_thread(restore_carried, shared.journal, epoch, shared.chains)
        await asyncio.to_thread(self.notary.restore)
        for number, member in enumerate(epoch.committee.seats):
            if number == self.seat:
                peers[number] = OwnSeat(self.notary.answer)
            else:
                record = load_node(self._state, member.account)
                remote = RemoteSeat(() if record is None else record.endpoints, epoch.number)
                self._remote.append(remote)
                peers[number] = remote
        self.notary.peers = peers
        if self.seat == 0:
            coordinator = Coordinator(
                epoch,
                keys=shared.keys,
                journal=shared.journal,
                guard=shared.guard,
                clock=shared.clock,
                jitter=shared.jitter,
                capacity={qlock: max(1, shared.commits_per_second * qlock // 1000) for qlock in CAPACITY},
                peers=peers,
                chains=shared.chains,
                pool=shared.pool,
                keys_of=shared.keys_of,
                forfeit=lambda stake, target: forfeit_at(self._state, epoch, stake, target),
                lines=shared.value.new_lines(),
                next_committee=self._next_committee,
                on_final=on_final,
                has_predecessor=find_committee(self._state, epoch.number - 1) is not None,
                is_closed=shared.is_closed,
            )
            self.notary.on_wanted = coordinator.want
            self.coordinator = coordinator
            await asyncio.to_thread(shared.value.bring, self.lines, coordinator.book.lines)
            await asyncio.to_thread(coordinator.restore)
            self.follow_halt()
            self.task = asyncio.create_task(coordinator.run())

    def _next_committee(self) -> Committee | None:
        state = self._shared.state
        is_drawn = load_epochs(state).is_drawn(self.epoch.number + 1, self._shared.clock.now_us() // 1000)
        return find_committee(state, self.epoch.number + 1) if is_drawn else None

    def follow_halt(self) -> None:
        """Let the coordinator know of a halt of the auctions, or of its end."""
        halt = halt_of(self._shared.state)
        if self.coordinator is not None and halt is not None and halt != self._halt:
            self._halt = halt
            self.coordinator.book.halt(halt.from_us, halt.until_us)

    def close(self) -> None:
        """Let go of the peers."""
        if self.task is not None:
            self.task.cancel()
        for seat in self._remote:
            seat.close()
