"""What a simulation of auctions is given, and what it gives back."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count

from bpci_node.auction.candidates import Candidate
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.coordinator_book import Stage
from bpci_node.auction.header import NO_PARENT, AuctionHeader
from bpci_node.auction.outcome import Outcome
from bpci_node.auction.outcome_list import Stake
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.reveal_receipt import RevealList
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import WindowSelection
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.keys import Signer


class Conduct(IntEnum):
    """How a simulated notary behaves."""

    HONEST = 0
    DOWN = 1
    """It answers nothing."""
    LYING = 2
    """It lists no reveal, and votes for other digests than those that it was sent."""


@dataclass(frozen=True, slots=True)
class SimulatedBid:
    """A bid, and the distance from which it is made."""

    commit: Commit
    reveal: Reveal | None
    """What opens it; None for a bidder that never reveals."""
    key: bytes
    """Ed25519 key of the account, 32 bytes."""
    sent_us: int
    """When the commit is sent, ledger time."""
    link_us: int
    """One way between the bidder and every node, microseconds."""
    seat: int = 0
    """The notary to which it reveals first; the next one when that is down."""


@dataclass(frozen=True, slots=True)
class SimulatedNotary:
    """A seat of the committee; seat 0 is the coordinator's node, too."""

    node: Signer
    bls: BlsSigner
    link_us: int
    """One way between it and the coordinator, microseconds."""
    skew_us: int = 0
    """How far its clock is ahead of ledger time; negative if it is behind."""
    conduct: Conduct = Conduct.HONEST


@dataclass(slots=True)
class SimulatedWindow:
    """What became of a window."""

    window: WindowId
    commits: int
    stage: Stage = Stage.CLOSED
    certified_us: int | None = None
    """When its set had its certificate."""
    final_us: int | None = None
    """When its header had its certificate."""
    header: AuctionHeader | None = None
    selection: WindowSelection | None = None
    outcomes: tuple[Outcome, ...] = ()


@dataclass(slots=True)
class SimulatedChain:
    """Where a target's chain of headers stands, and what the next header takes first."""

    sequence: int = 0
    digest: bytes = NO_PARENT
    carried: tuple[tuple[Candidate, Stake], ...] = ()
    queue: list[WindowId] = field(default_factory=list)
    """Windows whose reveal phase is over; the first one is being sealed."""


@dataclass(slots=True)
class Progress:
    """What the coordinator holds of a window that was closed."""

    result: SimulatedWindow
    commit_set: CommitSet
    commits: tuple[Commit, ...]
    set_votes: dict[int, bytes] = field(default_factory=dict)
    lists: dict[int, RevealList] = field(default_factory=dict)
    header_votes: dict[int, bytes] = field(default_factory=dict)
    digest: bytes | None = None
    """Of the header that was proposed."""
    is_waited_for: bool = True
    """Whether lists that have not come are still waited for."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Everything that follows from a window's candidates."""

    selection: WindowSelection
    outcomes: tuple[Outcome, ...]
    header: AuctionHeader


class VirtualTime:
    """A queue of what happens when; time passes by doing the next thing."""

    __slots__ = ("_events", "_order", "now_us")

    def __init__(self) -> None:
        self.now_us = 0
        """Ledger time."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time_us: int, act: Callable[[], None]) -> None:
        """Have something happen at a time, or now if that is past; at one time, in the order of these calls."""
        heapq.heappush(self._events, (max(time_us, self.now_us), next(self._order), act))

    def after(self, delay_us: int, act: Callable[[], None]) -> None:
        """Have something happen after a delay."""
        self.at(self.now_us + delay_us, act)

    def run(self) -> None:
        """Do everything, until nothing is left."""
        while self._events:
            self.now_us, _, act = heapq.heappop(self._events)
            act()
