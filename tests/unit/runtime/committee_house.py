"""A committee in one process: a coordinator and four notaries with journals, guards and pools of their own, and a clock
in hand."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpci_node.auction.certificate import Certificate
from bpci_node.auction.commit import encode_commits
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lines import Lines
from bpci_node.auction.notary_book import NotaryBook
from bpci_node.auction.offences import forfeit_of
from bpci_node.auction.reveal import encode_reveals
from bpci_node.auction.window import WindowId
from bpci_node.chain.committee import Committee
from bpci_node.errors import UnreachableError
from bpci_node.mempool.entry import decode_entry
from bpci_node.mempool.limits import PoolLimits
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.vrf import VrfSigner
from bpci_node.runtime.auction_keys import AuctionKeys
from bpci_node.runtime.auction_messages import key_of
from bpci_node.runtime.auction_peers import Answer
from bpci_node.runtime.auction_value import AuctionValue, LedgerValue
from bpci_node.runtime.completion import Completion
from bpci_node.runtime.coordinator import Coordinator
from bpci_node.runtime.ledger_clock import Jitter, LedgerClock
from bpci_node.runtime.notary import Notary
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.stored_proposal import restore_carried
from bpci_node.runtime.target_pool import TargetPool
from bpci_node.runtime.window_draft import Sealed, TargetChain
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.auction_journal import AuctionJournal, StoredWindow
from bpci_node.store.store import Store
from bpci_node.store.vote_guard import VoteGuard
from tests.unit.auction.scene import BLS, FRAME, LEDGER_ID, NODES, TARGET, TERMS, WINDOW, Bid, account, bidder

KEYS = [
    AuctionKeys(node, bls, VrfSigner(bytes(32)), MlDsaSigner(bytes(32))) for node, bls in zip(NODES, BLS, strict=True)
]
COMMITTEE = replace(
    FRAME.committee, seats=tuple(replace(seat, ml_dsa_key=KEYS[0].ml_dsa.public_key) for seat in FRAME.committee.seats)
)
FORCING = replace(TERMS, forced_gas_bps=1_000)


class House:
    """The committee; ``down`` seats answer nothing, and nobody answers ``deaf`` messages."""

    def __init__(self, home: Path, *, value: AuctionValue | None = None) -> None:
        self.value = value or LedgerValue(LEDGER_ID)
        self.frame = replace(FRAME, committee=COMMITTEE, ledger_id=self.value.ledger_id, terms={TARGET: FORCING})
        self.now_us = 0
        self.down: set[int] = set()
        self.deaf: set[str] = set()
        self.known = 20
        self.following: Committee | None = None
        self.is_completing = True
        self.is_closed = False
        self.finished: list[tuple[Sealed, Certificate]] = []
        self._home = home
        self.stores: dict[int, Store] = {}
        self.pools: dict[int, TargetPool] = {}
        self.public: dict[int, PublicPool] = {}
        self.journals: dict[int, AuctionJournal] = {}
        self.chains: dict[int, dict[str, TargetChain]] = {}
        self.notaries: dict[int, Notary] = {}
        for seat in range(4):
            self.start_seat(seat)
        self.start_coordinator()

    def start_seat(self, seat: int) -> None:
        """Have a validator start with what its directory holds."""
        home = self._home / f"seat-{seat}"
        home.mkdir(exist_ok=True)
        self.stop_seat(seat)
        store = self.stores[seat] = Store(home)
        pool = self.pools[seat] = TargetPool(
            self.frame.terms[TARGET].config(100),
            PoolLimits(),
            guard=ArrivalGuard(home / "arrivals"),
            ledger_id=LEDGER_ID,
        )
        store.writer.submit(pool.refresh).result()
        public = self.public[seat] = PublicPool(self.pools_of(seat), store.writer.submit)
        journal = self.journals[seat] = AuctionJournal(home)
        chains = self.chains[seat] = {TARGET: TargetChain()}
        for stored in journal.latest_final():
            header = AuctionHeader.decode(stored.header or b"")
            if header.sequence > chains[TARGET].sequence:
                chains[TARGET].extend(header, ())
        restore_carried(journal, self.frame, chains)

        def open_lines(book: NotaryBook) -> None:
            if not book.lines.free(TARGET, account(1), 1):
                self.open(book.lines)

        notary = self.notaries[seat] = Notary(
            self.frame,
            seat,
            keys=KEYS[seat],
            journal=journal,
            guard=VoteGuard(home / "votes"),
            clock=self.clock(),
            chains=chains,
            pool=public,
            keys_of=self.keys_of,
            forfeit=self.forfeit,
            lines=self.value.new_lines(),
            refresh_lines=open_lines,
            next_committee=lambda: self.following,
        )
        notary.restore()
        for other in self.notaries.values():
            other.peers = {number: Seat(self, number) for number in range(4)}

    def start_coordinator(self) -> None:
        """Have seat 0 coordinate, with what its journal holds."""
        lines = self.value.new_lines()
        self.open(lines)
        self.completion = Completion(
            self.journals[0], KEYS[0].ml_dsa, self.value, state=lambda: None, frame=lambda _: self.frame
        )
        self.coordinator = Coordinator(
            self.frame,
            keys=KEYS[0],
            journal=self.journals[0],
            guard=VoteGuard(self._home / "seat-0" / "votes"),
            clock=self.clock(),
            jitter=Jitter(),
            capacity={10: 100, 20: 100, 50: 100, 100: 100},
            peers={number: Seat(self, number) for number in range(4)},
            chains=self.chains[0],
            pool=self.public[0],
            keys_of=self.keys_of,
            forfeit=self.forfeit,
            lines=lines,
            next_committee=lambda: self.following,
            on_final=self.finish,
            has_predecessor=False,
            is_closed=lambda: self.is_closed,
        )
        self.coordinator.restore()
        self.notaries[0].on_wanted = self.coordinator.want

    def restart(self) -> None:
        """End seat 0 at once, and have it start again."""
        self.start_seat(0)
        self.start_coordinator()

    def pools_of(self, seat: int) -> dict[str, TargetPool]:
        return {TARGET: self.pools[seat]}

    def stop_seat(self, seat: int) -> None:
        if seat in self.stores:
            self.stores.pop(seat).close()
            self.journals.pop(seat).close()

    def close(self) -> None:
        for seat in list(self.stores):
            self.stop_seat(seat)

    def clock(self) -> LedgerClock:
        return LedgerClock(0, wall_us=lambda: self.now_us, monotonic_us=lambda: self.now_us)

    def keys_of(self, name: str) -> tuple[bytes, ...]:
        return tuple(bidder(number).public_key for number in range(self.known) if account(number) == name)

    def open(self, lines: Lines) -> None:
        for number in range(20):
            for tier in (1, 2):
                lines.open(TARGET, account(number), tier, 50)

    def forfeit(self, stake: Any, target: str) -> int:
        tier = self.frame.terms[target].tier(stake.tier)
        return 0 if tier is None else forfeit_of(tier.bond, 5_000, 0)

    async def finish(self, sealed: Sealed, certificate: Certificate) -> None:
        self.finished.append((sealed, certificate))
        if self.is_completing:
            await self.completion.complete(sealed, certificate)

    def accept(self, seat: int, *raws: bytes) -> None:
        """Have entries wait in a seat's public pool."""
        pool, decoded = self.pools[seat], [decode_entry(raw) for raw in raws]
        results = self.stores[seat].writer.submit(lambda connection: pool.accept(connection, decoded, 1)).result()
        assert not any(isinstance(item, Exception) for item in results), results

    # A window

    def at(self, window: WindowId, phase: str) -> None:
        """Let it be a millisecond after the beginning of a phase."""
        phases = self.frame.phases_of(window)
        begins = {"commit": phases.opens_us, "reveal": phases.closes_us, "seal": phases.reveal_ends_us}
        self.now_us = begins[phase] + 1_000 if phase in begins else phases.seal_ends_us + 1_000

    async def act(self) -> None:
        """Do what is due at the coordinator."""
        await asyncio.gather(*self.coordinator.start_due())

    async def reveal_phase(self, bids: Sequence[Bid], window: WindowId = WINDOW, *, seat: int = 1) -> None:
        """Bring a window to the point where everything is revealed to one notary."""
        self.at(window, "commit")
        if bids:
            results = await self.coordinator.commit(encode_commits([item.commit for item in bids]))
            assert all(isinstance(item, bytes) for item in results), results
        self.at(window, "reveal")
        await self.act()
        if bids:
            found = await self.notaries[seat].reveals.take(encode_reveals([item.reveal for item in bids]))
            assert all(isinstance(item, bytes) for item in found), found
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    async def run(self, bids: Sequence[Bid], window: WindowId = WINDOW) -> StoredWindow:
        """Run a whole window, and return what the coordinator's journal has of it."""
        await self.reveal_phase(bids, window)
        self.at(window, "seal")
        await self.act()
        return self.stored(window)

    def stored(self, window: WindowId = WINDOW, seat: int = 0) -> StoredWindow:
        found = self.journals[seat].window(key_of(window))
        assert found is not None
        return found


class Seat:
    """A seat as the others reach it."""

    def __init__(self, house: House, number: int) -> None:
        self._house, self._number = house, number

    async def ask(self, path: str, body: Any) -> Answer:
        if self._number in self._house.down or path in self._house.deaf:
            raise UnreachableError("it is down", code="unreachable.peer")
        return await self._house.notaries[self._number].answer(path, body)
