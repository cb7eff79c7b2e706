"""What an attack is carried out against: real notaries, each with its journal and guard of votes, and a clock in hand.

The attacker has seat 0 with all its keys: it is the coordinator, and one notary of four, just less than a third.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bpci_node.auction.certificate import Certificate, count_votes
from bpci_node.auction.commit import Commit, encode_commits
from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lines import Lines
from bpci_node.auction.notary_book import NotaryBook
from bpci_node.auction.offences import forfeit_of
from bpci_node.auction.reveal import Reveal, encode_reveals
from bpci_node.auction.reveal_receipt import RevealList, RevealReceipt, bits_of, sign_list
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.window import WindowId
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import BpciError
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.vrf import VrfSigner
from bpci_node.runtime.auction_keys import AuctionKeys
from bpci_node.runtime.auction_messages import sign_proposal
from bpci_node.runtime.auction_peers import OwnSeat
from bpci_node.runtime.ledger_clock import LedgerClock
from bpci_node.runtime.notary import Notary
from bpci_node.runtime.public_pool import PublicPool
from bpci_node.runtime.window_draft import Proposal, Sealed, TargetChain, draft_header
from bpci_node.store.auction_journal import AuctionJournal
from bpci_node.store.vote_guard import VoteGuard
from tests.unit.auction.scene import (
    BLS,
    COMMITTEE,
    COORDINATOR,
    EPOCH,
    FRAME,
    LEDGER_ID,
    NODES,
    TARGET,
    TERMS,
    WINDOW,
    Bid,
    account,
    bidder,
    closed,
)

ATTACKER = 0
HONEST = (1, 2, 3)
VICTIM, RIVAL, THIEF = 1, 2, 9
"""Bidders."""
LATER = WindowId(TARGET, 100, WINDOW.index + 2)
"""Opens when the reveals of ``WINDOW`` are seen."""
FORFEIT_BPS = 5_000


@dataclass(frozen=True)
class Ballot:
    """What the notaries said to something that they should vote for."""

    certificate: Certificate | None
    refused: dict[int, str]
    """Code of the refusal, by seat."""


class Panel:
    """Three honest notaries in one epoch, and the attacker's seat."""

    def __init__(self, home: Path, runner: asyncio.Runner, *, terms: TargetTerms = TERMS, slots: int = 20) -> None:
        self.frame = replace(FRAME, terms={TARGET: terms})
        self.now_us = 0
        self.chain = TargetChain()
        """As the attacker keeps it."""
        self._runner, self._home, self._slots = runner, home, slots
        self.journals: list[AuctionJournal] = []
        self.notaries: dict[int, Notary] = {}
        for seat in HONEST:
            self.restart(seat)

    def restart(self, seat: int) -> None:
        """Have a notary start, with what its directory holds from before."""
        home = self._home / f"seat-{seat}"
        home.mkdir(exist_ok=True)
        opened: list[NotaryBook] = []

        def open_lines(book: NotaryBook) -> None:
            if book not in opened:
                opened.append(book)
                for number in range(12):
                    for tier in (1, 2):
                        book.lines.open(TARGET, account(number), tier, self._slots)

        journal = AuctionJournal(home)
        self.journals.append(journal)
        made = Notary(
            self.frame,
            seat,
            keys=AuctionKeys(NODES[seat], BLS[seat], VrfSigner(bytes(32)), MlDsaSigner(bytes(32))),
            journal=journal,
            guard=VoteGuard(home / "votes"),
            clock=LedgerClock(0, wall_us=lambda: self.now_us, monotonic_us=lambda: self.now_us),
            chains={TARGET: TargetChain()},
            pool=PublicPool({}),
            keys_of=lambda name: tuple(bidder(n).public_key for n in range(12) if account(n) == name),
            forfeit=self.forfeit,
            lines=Lines(),
            refresh_lines=open_lines,
            next_committee=lambda: None,
        )
        made.restore()
        self.notaries[seat] = made
        for notary in self.notaries.values():
            notary.peers = {other: OwnSeat(found.answer) for other, found in self.notaries.items()}

    def close(self) -> None:
        for journal in self.journals:
            journal.close()

    def forfeit(self, stake: Any, target: str) -> int:
        tier = self.frame.terms[target].tier(stake.tier)
        return 0 if tier is None else forfeit_of(tier.bond, FORFEIT_BPS, 0)

    def ask(self, seat: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._runner.run(self.notaries[seat].answer(path, body))

    def at(self, window: WindowId, phase: str) -> None:
        """Let it be a moment of a phase: its beginning, and a millisecond."""
        phases = self.frame.phases_of(window)
        begins = {"commit": phases.opens_us, "reveal": phases.closes_us, "seal": phases.reveal_ends_us}
        self.now_us = begins[phase] + 1_000

    def _vote(self, path: str, digest: bytes, body_of: Callable[[int], dict[str, Any]], seats: Iterable[int]) -> Ballot:
        votes, refused = {ATTACKER: BLS[ATTACKER].sign(digest)}, {}
        for seat in seats:
            try:
                votes[seat] = self.ask(seat, path, body_of(seat))["vote"]
            except BpciError as error:
                refused[seat] = error.code
        return Ballot(count_votes(COMMITTEE, digest, votes).certificate, refused)

    # What a coordinator does, honest or not

    def countersign(self, commit_set: CommitSet, commits: Sequence[Commit], seats: Iterable[int] = HONEST) -> Ballot:
        """Ask for votes for a set, and tell everybody of its certificate if there is one."""
        body = {"commit_set": commit_set.encode(), "commits": encode_commits(commits)}
        ballot = self._vote("sets", commit_set.digest(), lambda _: body, seats)
        if ballot.certificate is not None:
            told = {"certificate": ballot.certificate.as_map()} | body
            for seat in HONEST:
                self.ask(seat, "certified", told)
        return ballot

    def opened(self, bids: Sequence[Bid], window: WindowId = WINDOW) -> RevealedWindow:
        """Have an honest set of these commits certified, and return the coordinator's record of the window."""
        self.at(window, "reveal")
        commits = [item.commit for item in bids]
        commit_set = closed(commits, window)
        assert self.countersign(commit_set, commits).certificate is not None
        return RevealedWindow(self.frame, commit_set, commits)

    def reveal(self, seat: int, *reveals: Reveal) -> list[RevealReceipt | str]:
        """Reveal to one notary, which hands on what it takes; return receipts, or codes of refusal."""

        async def run() -> list[bytes | BpciError]:
            found = await self.notaries[seat].reveals.take(encode_reveals(reveals))
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
            return found

        return [
            RevealReceipt.decode(item) if isinstance(item, bytes) else item.code for item in self._runner.run(run())
        ]

    def own_list(self, revealed: RevealedWindow, named: Iterable[int]) -> RevealList:
        """The attacker's list, which names what it likes."""
        return sign_list(
            NODES[ATTACKER],
            ledger_id=LEDGER_ID,
            epoch=EPOCH,
            window=revealed.window,
            set_digest=revealed.digest,
            seat=ATTACKER,
            revealed=bits_of(named, revealed.set.count),
        )

    def lists(self, revealed: RevealedWindow, own: Iterable[int] = ()) -> list[RevealList]:
        """Collect the notaries' lists with what they name, after the attacker's own."""
        found = [self.own_list(revealed, own)]
        for seat in HONEST:
            answer = self.ask(seat, "lists", {"window": revealed.window.as_list(), "held": b""})
            for item in answer["reveals"]:
                reveal = Reveal.from_map(item)
                revealed.hold(reveal, revealed.check(reveal))
            found.append(RevealList.decode(answer["list"]))
        for item in found:
            revealed.add_list(item)
        return found

    def seal(
        self,
        revealed: RevealedWindow,
        lists: Sequence[RevealList],
        *,
        proposal: Proposal | None = None,
        chain: TargetChain | None = None,
    ) -> Sealed:
        """Draft the header that follows from these lists."""
        return draft_header(
            self.frame,
            revealed,
            chain or self.chain,
            proposal or Proposal(),
            seats=[item.seat for item in lists],
            time_us=self.now_us,
            next_committee=None,
            forfeit=self.forfeit,
        )

    def propose(
        self,
        header: AuctionHeader,
        lists: Sequence[RevealList],
        revealed: RevealedWindow,
        *,
        proposal: Proposal | None = None,
        seats: Iterable[int] = HONEST,
        signer: LocalSigner = COORDINATOR,
    ) -> Ballot:
        """Ask for votes for a header, with every reveal that is known."""
        body = {
            "header": header.encode(),
            "lists": [item.encode() for item in lists],
            "reveals": [item.as_map() for item in revealed.reveals_of(range(revealed.set.count))],
            "proposal": (proposal or Proposal()).as_map(),
            "signature": sign_proposal(signer, header),
        }
        return self._vote("headers", header.digest(), lambda _: body, seats)

    def publish(self, sealed: Sealed, certificate: Certificate, carried: Sequence[bytes] | None = None) -> None:
        """Tell every notary of a final header; raises what the first one says that refuses."""
        header = sealed.draft.header
        body = {
            "header": header.encode(),
            "certificate": certificate.as_map(),
            "outcomes": sealed.encoded_outcomes,
            "carried": [item.encode() for item in sealed.carried] if carried is None else list(carried),
        }
        for seat in HONEST:
            self.ask(seat, "final", body)
        self.chain.extend(header, sealed.carried)

    def honest(self, bids: Sequence[Bid], window: WindowId = WINDOW, *, at: int = 1) -> Sealed:
        """Run a whole window as it should be: every bid that can be opened is revealed to one notary."""
        revealed = self.opened(bids, window)
        self.reveal(at, *(item.reveal for item in bids))
        self.at(window, "seal")
        lists = self.lists(revealed)
        sealed = self.seal(revealed, lists)
        ballot = self.propose(sealed.draft.header, lists, revealed)
        assert ballot.certificate is not None, ballot.refused
        self.publish(sealed, ballot.certificate)
        return sealed


@dataclass(frozen=True)
class Standing:
    """What somebody has of a window."""

    paid: int
    """What its bonds lose, for what it won and for what it did not reveal; smallest unit."""
    places: tuple[int, ...]
    """Where its entries run in the window, from 0."""


NOTHING = Standing(0, ())


def standing(sealed: Sealed, number: int) -> Standing:
    """What a bidder has of a sealed window."""
    own = {item.commit_id: item for item in sealed.outcomes if item.account == account(number)}
    winners = sealed.draft.selection.winners
    places = tuple(place for place, winner in enumerate(winners) if winner.commit_id in own)
    return Standing(sum(item.amount for item in own.values()), places)
