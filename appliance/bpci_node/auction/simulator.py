"""Auctions in virtual time: bidders, one coordinator and its notaries, with latencies, all in one process.

The books are the real ones, and so are signatures, checks, selection and headers; only the network and the clocks are
simulated. What several notaries would compute alike from equal inputs is computed once. Without notaries the phases run
alone: nothing is signed, verified or revealed, a set counts as certified when it is closed, a header as final when it
is due. The same bids give the same result, always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeAlias

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.candidates import Candidate, Origin
from bpci_node.auction.certificate import Certificate, count_votes
from bpci_node.auction.commit import Commit, verify_commit
from bpci_node.auction.commit_set import sign_set
from bpci_node.auction.coordinator_book import CAPACITY, CoordinatorBook, Duty, Stage
from bpci_node.auction.lists import REVEALS, ListName
from bpci_node.auction.notary_book import NotaryBook
from bpci_node.auction.offences import forfeit_of
from bpci_node.auction.outcome import Kind
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.parcel import Opened
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.reveal_receipt import RevealList, sign_list
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.seal_auction import WindowFacts, draft_window
from bpci_node.auction.simulated import (
    Conduct,
    Progress,
    Sealed,
    SimulatedBid,
    SimulatedChain,
    SimulatedNotary,
    SimulatedWindow,
    VirtualTime,
)
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.errors import BpciError, RefusedError
from bpci_node.primitives.hashing import sha256

Named: TypeAlias = tuple[bytes | None, int, bytes]
"""A candidate by commit, arrival and transaction."""

PATIENCE_US = 1_000
"""Least time after which a reveal that came too early is sent again."""
_UNREADY = frozenset({"window.unknown", "reveal.uncertified"})


class Simulator:
    """One epoch of auctions."""

    def __init__(
        self,
        epoch: AuctionEpoch,
        notaries: Sequence[SimulatedNotary],
        *,
        forfeit_base_bps: int = 5_000,
        capacity: Mapping[int, int] = CAPACITY,
    ) -> None:
        """Begin an epoch.

        Args:
            notaries: the committee's seats in their order; empty for the phases alone.
        """
        self.epoch = epoch
        self.book = CoordinatorBook[Certificate | None](epoch, epoch.committee.coordinator.node_key, capacity)
        self.notaries = notaries
        self.books = [NotaryBook(epoch, seat) for seat in range(len(notaries))]
        self.refused: dict[bytes, str] = {}
        """Code with which a bid was refused, by its commit's name."""
        self.offences: Counter[str] = Counter()
        """Commits that nobody revealed, by account."""
        self._forfeit_base_bps = forfeit_base_bps
        self._time = VirtualTime()
        self._ticks: set[int] = set()
        self._bids: dict[WindowId, list[SimulatedBid]] = {}
        self._progress: dict[WindowId, Progress] = {}
        self._chains: dict[str, SimulatedChain] = {target: SimulatedChain() for target in epoch.terms}
        self._verified: set[tuple[bytes, bytes]] = set()
        self._opened: dict[Reveal, Opened] = {}
        self._sealed: dict[tuple[WindowFacts, tuple[Named, ...]], Sealed] = {}

    def open_line(self, target: str, account: str, tier: int, slots: int) -> None:
        """Reserve bonds: what the ledger would do before the epoch."""
        for lines in (self.book.lines, *(book.lines for book in self.books)):
            lines.open(target, account, tier, slots)

    def bid(self, bid: SimulatedBid) -> None:
        """Have a bidder bid."""
        self._time.at(bid.sent_us + bid.link_us, partial(self._commit, bid))

    def want(self, window: WindowId, at_us: int) -> None:
        """Have a window run even without commits."""

        def open_it() -> None:
            self.book.want(window, self._time.now_us)
            self._expect()

        self._time.at(at_us, open_it)

    def run(self) -> list[SimulatedWindow]:
        """Run until nothing is left to do, and return the windows in the order in which they closed."""
        self._time.run()
        return [progress.result for progress in self._progress.values()]

    def _expect(self) -> None:
        due = self.book.next_us()
        if due is not None and due not in self._ticks:
            self._ticks.add(due)
            self._time.at(due, self._tick)

    # Commits

    def _commit(self, bid: SimulatedBid) -> None:
        commit = bid.commit
        try:
            self.book.check(commit, self._time.now_us)
            if self.notaries:
                self._verify(commit, bid.key)
            self.book.accept(commit, self._time.now_us)
        except BpciError as error:
            self.refused[commit.commit_id] = error.code
            return
        self._bids.setdefault(commit.window, []).append(bid)
        self._expect()

    def _verify(self, commit: Commit, key: bytes) -> None:
        if (commit.commit_id, commit.signature) not in self._verified:
            verify_commit(commit, ledger_id=self.epoch.ledger_id, keys=[key])
            self._verified.add((commit.commit_id, commit.signature))

    # The coordinator

    def _tick(self) -> None:
        for due in self.book.due(self._time.now_us):
            if due.duty is Duty.CLOSE and due.draft is not None:
                signed = sign_set(self.notaries[0].node, due.draft) if self.notaries else due.draft
                result = SimulatedWindow(due.window, len(due.commits))
                self._progress[due.window] = Progress(result, signed, due.commits)
                self._send_set(self._progress[due.window])
            elif due.duty is Duty.PROPOSE:
                if self.notaries:
                    self._wait_for_lists(due.window)
                else:
                    self._finish(due.window)
            elif due.window in self._progress:
                self._progress[due.window].result.stage = Stage.VOID
                self._leave(due.window)
        self._expect()

    def _send_set(self, progress: Progress) -> None:
        if not self.notaries:
            self._certify(progress, None)
        for seat, notary in enumerate(self.notaries):
            if notary.conduct is not Conduct.DOWN:
                self._time.after(notary.link_us, partial(self._take_set, seat, progress))

    def _count(self, digest: bytes, votes: Mapping[int, bytes]) -> Certificate | None:
        return count_votes(self.epoch.committee, digest, votes).certificate

    def _set_vote(self, seat: int, progress: Progress, vote: bytes) -> None:
        progress.set_votes[seat] = vote
        if progress.result.stage is Stage.CLOSED:
            certificate = self._count(progress.commit_set.digest(), progress.set_votes)
            if certificate is not None:
                self._certify(progress, certificate)

    def _certify(self, progress: Progress, certificate: Certificate | None) -> None:
        self.book.certify(progress.commit_set, certificate, self._time.now_us)
        progress.result.stage, progress.result.certified_us = Stage.CERTIFIED, self._time.now_us
        for seat, notary in enumerate(self.notaries):
            if notary.conduct is not Conduct.DOWN:
                self._time.after(notary.link_us, partial(self._certified, seat, progress))
        for bid in self._bids.get(progress.result.window, ()) if self.notaries else ():
            if bid.reveal is not None:
                self._send_reveal(bid, bid.reveal, bid.seat % len(self.notaries), 2 * bid.link_us)

    def _wait_for_lists(self, window: WindowId) -> None:
        phases = self.epoch.phases_of(window)
        self._chains[window.target].queue.append(window)

        def wait_no_more() -> None:
            self._progress[window].is_waited_for = False
            self._propose(window.target)

        self._time.at((phases.reveal_ends_us * 3 + phases.seal_ends_us) // 4, wait_no_more)

    def _got_list(self, progress: Progress, reveals: RevealList) -> None:
        progress.lists[reveals.seat] = reveals
        self._propose(progress.result.window.target)

    def _propose(self, target: str) -> None:
        """Propose the header of the first window that waits, if it is not proposed yet and its lists are there."""
        queue = self._chains[target].queue
        progress = self._progress[queue[0]] if queue else None
        if progress is None or progress.digest is not None:
            return
        lists = tuple(progress.lists[seat] for seat in sorted(progress.lists))
        is_enough = self.epoch.committee.is_majority(self.epoch.committee.weight_of(progress.lists))
        if not is_enough or (progress.is_waited_for and len(lists) < len(self.notaries)):
            return
        revealed = self.book.revealed(progress.result.window)
        for item in lists:
            revealed.add_list(item)
        wait_us = self._fetch(revealed, progress.lists)
        facts = self._facts(progress, lists)
        sealed = self._seal(progress, revealed, lists, facts)
        progress.digest, result = sealed.header.digest(), progress.result
        result.header, result.selection, result.outcomes = sealed.header, sealed.selection, sealed.outcomes
        for seat, notary in enumerate(self.notaries):
            if notary.conduct is not Conduct.DOWN:
                act = partial(self._vote_header, seat, progress, lists, facts)
                self._time.after(wait_us + notary.link_us, act)

    def _fetch(self, revealed: RevealedWindow, seats: Mapping[int, RevealList]) -> int:
        """Hold what is missing, from those who list it, and return how long that takes."""
        wait_us = 0
        for seat, item in seats.items():
            missing = set(revealed.missing(seats)) & set(item.positions())
            for reveal in self.books[seat].revealed(revealed.window).reveals_of(sorted(missing)):
                revealed.hold(reveal, self._open(revealed, reveal))
                wait_us = max(wait_us, 2 * self.notaries[seat].link_us)
        return wait_us

    def _facts(self, progress: Progress, lists: Sequence[RevealList]) -> WindowFacts:
        window, chain = progress.result.window, self._chains[progress.result.window.target]
        return WindowFacts(
            ledger_id=self.epoch.ledger_id,
            epoch=self.epoch.number,
            window=window,
            sequence=chain.sequence + 1,
            parent=chain.digest,
            time_us=self._time.now_us,
            commit_set=progress.commit_set.digest() if progress.commits else None,
            commits=len(progress.commits),
            reveals=len({position for item in lists for position in item.positions()}),
            lists=tuple(ListName(REVEALS, item.seat, item.digest()) for item in lists),
        )

    def _seal(
        self, progress: Progress, revealed: RevealedWindow, lists: Sequence[RevealList], facts: WindowFacts
    ) -> Sealed:
        """Return what follows from the candidates; the same inputs are reckoned once."""
        window = progress.result.window
        terms, chain = self.epoch.terms_of(window), self._chains[window.target]
        seats = [item.seat for item in lists]
        found = [item for item, _ in chain.carried] + revealed.candidates(seats)
        names = tuple((item.commit_id, item.entry.leaf.arrival_seq, item.entry.leaf.txid) for item in found)
        key = (facts, names)
        if key not in self._sealed:
            selection = select_window(found, terms, parcels=revealed.parcels(seats))
            own = [Stake(commit.commit_id, commit.account, commit.tier) for commit in progress.commits]
            outcomes = outcomes_of(
                [*(stake for _, stake in chain.carried), *own],
                selection,
                terms,
                lambda stake: self._forfeit(window, stake),
            )
            self._sealed[key] = Sealed(selection, outcomes, draft_window(selection, outcomes, terms, facts).header)
        return self._sealed[key]

    def _forfeit(self, window: WindowId, stake: Stake) -> int:
        tier = self.epoch.terms_of(window).tier(stake.tier)
        return 0 if tier is None else forfeit_of(tier.bond, self._forfeit_base_bps, self.offences[stake.account])

    def _header_vote(self, seat: int, progress: Progress, vote: bytes) -> None:
        progress.header_votes[seat] = vote
        is_open = progress.result.stage is Stage.CERTIFIED and progress.digest is not None
        if is_open and self._count(progress.digest or b"", progress.header_votes) is not None:
            self._finish(progress.result.window)

    def _finish(self, window: WindowId) -> None:
        progress = self._progress[window]
        try:
            self.book.finish(window, self._time.now_us)
        except RefusedError:  # too late: it is void in a moment
            return
        result, chain = progress.result, self._chains[window.target]
        result.stage, result.final_us = Stage.FINAL, self._time.now_us
        if result.header is not None and result.selection is not None:
            stakes = {item.commit_id: Stake(item.commit_id, item.account, item.tier) for item in result.outcomes}
            chain.sequence, chain.digest = result.header.sequence, result.header.digest()
            chain.carried = tuple(
                (Candidate(item.entry, Origin.CARRIED, item.commit_id), stakes[item.commit_id])
                for item in result.selection.carried
                if item.commit_id is not None
            )
            self.offences.update(item.account for item in result.outcomes if item.kind is Kind.UNREVEALED)
        self._leave(window)

    def _leave(self, window: WindowId) -> None:
        """Go on with the next window of the target's chain."""
        queue = self._chains[window.target].queue
        if window in queue:
            queue.remove(window)
            self._propose(window.target)

    # A notary

    def _clock(self, seat: int) -> int:
        return self._time.now_us + self.notaries[seat].skew_us

    def _vote(self, seat: int, digest: bytes) -> bytes:
        notary = self.notaries[seat]
        return notary.bls.sign(digest if notary.conduct is Conduct.HONEST else sha256(digest))

    def _take_set(self, seat: int, progress: Progress) -> None:
        keys = {bid.commit.commit_id: bid.key for bid in self._bids.get(progress.result.window, ())}
        try:
            digest = self.books[seat].take_set(
                progress.commit_set,
                progress.commits,
                lambda commit: self._verify(commit, keys[commit.commit_id]),
                self._clock(seat),
            )
        except RefusedError:  # early or late by this notary's clock
            return
        vote = self._vote(seat, digest)
        self._time.after(self.notaries[seat].link_us, partial(self._set_vote, seat, progress, vote))

    def _certified(self, seat: int, progress: Progress) -> None:
        self.books[seat].restore_set(progress.commit_set, progress.commits)
        self.books[seat].certify(progress.commit_set)
        ends_us = self.epoch.phases_of(progress.result.window).reveal_ends_us
        self._time.at(ends_us - self.notaries[seat].skew_us, partial(self._list, seat, progress))

    def _send_reveal(self, bid: SimulatedBid, reveal: Reveal, seat: int, delay_us: int) -> None:
        self._time.after(delay_us, partial(self._reveal, bid, reveal, seat))

    def _reveal(self, bid: SimulatedBid, reveal: Reveal, seat: int) -> None:
        if self.notaries[seat].conduct is Conduct.DOWN:
            self._send_reveal(bid, reveal, (seat + 1) % len(self.notaries), 2 * bid.link_us)
            return
        try:
            self._record(seat, reveal)
        except BpciError as error:
            if error.code not in _UNREADY:
                self.refused[reveal.commit_id] = error.code
            elif self._may_wait(seat, reveal):
                self._send_reveal(bid, reveal, seat, max(2 * bid.link_us, PATIENCE_US))
            else:
                self.refused[reveal.commit_id] = "reveal.late"
            return
        for other, notary in enumerate(self.notaries):
            if other != seat and notary.conduct is not Conduct.DOWN:
                relay_us = self.notaries[seat].link_us + notary.link_us
                self._time.after(relay_us, partial(self._relayed, other, reveal))

    def _relayed(self, seat: int, reveal: Reveal) -> None:
        try:
            self._record(seat, reveal)
        except BpciError as error:
            if error.code in _UNREADY and self._may_wait(seat, reveal):
                self._time.after(
                    max(self.notaries[seat].link_us + 1, PATIENCE_US), partial(self._relayed, seat, reveal)
                )

    def _may_wait(self, seat: int, reveal: Reveal) -> bool:
        """Say whether a set that this notary does not know as certified may still become so in time."""
        return self._clock(seat) < self.epoch.phases_of(reveal.window).reveal_ends_us

    def _record(self, seat: int, reveal: Reveal) -> None:
        revealed = self.books[seat].locate(reveal, self._clock(seat))
        self.books[seat].record(reveal, self._open(revealed, reveal), self._clock(seat))

    def _open(self, revealed: RevealedWindow, reveal: Reveal) -> Opened:
        if reveal not in self._opened:
            self._opened[reveal] = revealed.check(reveal)
        return self._opened[reveal]

    def _list(self, seat: int, progress: Progress) -> None:
        notary, window = self.notaries[seat], progress.result.window
        bits = self.books[seat].list_bits(window, self._clock(seat))
        reveals = sign_list(
            notary.node,
            ledger_id=self.epoch.ledger_id,
            epoch=self.epoch.number,
            window=window,
            set_digest=progress.commit_set.digest(),
            seat=seat,
            revealed=bits if notary.conduct is Conduct.HONEST else bytes(len(bits)),
        )
        self._time.after(notary.link_us, partial(self._got_list, progress, reveals))

    def _vote_header(self, seat: int, progress: Progress, lists: tuple[RevealList, ...], facts: WindowFacts) -> None:
        notary, window, digest = self.notaries[seat], progress.result.window, progress.digest or b""
        try:
            if notary.conduct is Conduct.HONEST:
                digest = self._reckon(seat, progress, lists, facts)
                self.books[seat].vote(window, digest, self._clock(seat))
        except RefusedError:
            return
        if digest == progress.digest:
            self._time.after(notary.link_us, partial(self._header_vote, seat, progress, self._vote(seat, digest)))

    def _reckon(self, seat: int, progress: Progress, lists: tuple[RevealList, ...], facts: WindowFacts) -> bytes:
        """Return the digest of the header that this notary comes to."""
        book, window = self.books[seat], progress.result.window
        book.check_lists(window, lists)
        self._fetch(book.revealed(window), progress.lists)
        return self._seal(progress, book.revealed(window), lists, facts).header.digest()
