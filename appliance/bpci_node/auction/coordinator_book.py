"""The coordinator's windows: what it takes in, when it closes and proposes, and what it declares void.

A pure state machine. Time comes in with every call, as ledger time, and may jump either way: what was closed stays
closed, and a window that is not closed goes by the time of the call alone, so that no jump mixes two windows or closes
one for good that is still ahead. Signing, storing and sending are the caller's, in this order: what a method returns is
made durable before anybody is told of it. After a crash the caller plays the same calls again from its journal
(:meth:`CoordinatorBook.restore_commit`, :meth:`CoordinatorBook.restore_set`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Generic, TypeVar

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_receipt import Arrival, next_running_hash, order_start
from bpci_node.auction.commit_set import CommitSet, set_leaf, verify_set
from bpci_node.auction.lines import Lines
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.window import MAX_AHEAD_US, MAX_COMMITS, Phases, WindowId, phases_of
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import LimitError, NotFoundError, RefusedError, UsageError
from bpci_node.primitives.merkle import root_of

C = TypeVar("C")

CAPACITY: Mapping[int, int] = MappingProxyType({10: 1_000, 20: 2_000, 50: 5_000, 100: 10_000})
"""Commits that one window of each class takes, unless the configuration says otherwise."""


class Stage(IntEnum):
    """How far a window has come; it never goes back."""

    OPEN = 0
    """Commits come in."""
    CLOSED = 1
    """Its set is fixed, and waits for the notaries."""
    CERTIFIED = 2
    """Its set is countersigned, reveals come in."""
    FINAL = 3
    """Its header has its certificate."""
    VOID = 4
    """A phase ended without what it needed: bonds go back, entries are dropped."""


class Duty(IntEnum):
    """What a window asks of its coordinator, in the order in which it comes."""

    CLOSE = 0
    """Sign the set, and send it to the notaries with the commits."""
    PROPOSE = 1
    """Ask for the lists, select, send the header to the notaries."""
    VOID = 2
    """Say that the window is void."""


@dataclass(frozen=True, slots=True)
class Due:
    """One thing to do now."""

    duty: Duty
    window: WindowId
    commits: tuple[Commit, ...]
    """The window's commits in their order."""
    draft: CommitSet | None = None
    """With ``CLOSE``: the set to sign; once in a window's life, also if it is never certified."""


@dataclass(slots=True)
class _Window(Generic[C]):
    terms: TargetTerms
    phases: Phases
    running_hash: bytes
    stage: Stage = Stage.OPEN
    arrivals: dict[bytes, Arrival] = field(default_factory=dict)
    leaves: list[bytes] = field(default_factory=list)
    """Leaf hashes of the set that is growing, so that closing it costs the tree alone."""
    draft: CommitSet | None = None
    certificate: C | None = None
    revealed: RevealedWindow | None = None

    def commits(self) -> tuple[Commit, ...]:
        return tuple(arrival.commit for arrival in self.arrivals.values())


class CoordinatorBook(Generic[C]):
    """The windows of one epoch at its coordinator; ``C`` is the kind of its certificates."""

    def __init__(
        self,
        epoch: AuctionEpoch,
        coordinator: bytes,
        capacity: Mapping[int, int] = CAPACITY,
        lines: Lines | None = None,
    ) -> None:
        """Begin an epoch.

        Args:
            coordinator: Ed25519 key that signs receipts and sets, 32 bytes.
            capacity: commits of one window, by class, at most ``window.MAX_COMMITS``.
            lines: of the epoch; none that is open if ``None``.
        Raises:
            UsageError: no capacity for a class, or too great a one (``usage.capacity``).
        """
        classes = {qlock for terms in epoch.terms.values() for qlock in terms.classes}
        if any(not 1 <= capacity.get(qlock, 0) <= MAX_COMMITS for qlock in classes):
            raise UsageError(f"a class takes 1 to {MAX_COMMITS} commits a window", code="usage.capacity")
        self.epoch = epoch
        self.lines = Lines() if lines is None else lines
        self._coordinator = coordinator
        self._capacity = dict(capacity)
        self._windows: dict[WindowId, _Window[C]] = {}
        self._due: list[tuple[int, Duty, WindowId]] = []
        self._halt: tuple[int, int | None] | None = None

    def halt(self, from_us: int, until_us: int | None) -> None:
        """Run no window that opens from ``from_us`` on, before ``until_us`` if that is known; ledger time.

        Commits that such a window holds already go void when its commit phase is over. Earlier windows go through their
        phases to the end. A later call takes the place of an earlier one.
        """
        self._halt = (from_us, until_us)

    # Commits

    def check(self, commit: Commit, now_us: int) -> None:
        """Check everything about a commit that costs little; its signature is the caller's to verify, after this.

        Raises:
            NotFoundError: no such window (``window.target``, ``window.class``).
            RefusedError: auctions are halted (``window.halted``); of another epoch (``window.epoch``), too early or too
                late (``window.ahead``, ``window.closed``); a tier that is not offered (``commit.tier``), or sent before
                (``commit.duplicate``).
            LimitError: the window is full (``window.full``), or no bond is reserved (``commit.no_slot``).
        """
        self._place(commit, commit.commit_id, now_us)

    def accept(self, commit: Commit, now_us: int) -> Arrival:
        """Take in a commit whose signature was verified, and return its place; raises as :meth:`check`.

        The receipt may be given once the arrival is durable.
        """
        name = commit.commit_id
        return self._append(self._place(commit, name, now_us) or self._open(commit.window), commit, name)

    def restore_commit(self, commit: Commit) -> Arrival:
        """Take in a commit of the journal again, in the order of its sequence number, whatever time it is.

        Raises:
            LimitError: no bond is reserved (``commit.no_slot``); open the lines first.
        """
        return self._append(self._open(commit.window), commit, commit.commit_id)

    def want(self, window: WindowId, now_us: int) -> None:
        """Have a window closed and proposed even without commits, because something waits for it.

        Raises:
            NotFoundError, RefusedError: no such window, or it is over; as :meth:`check`.
        """
        self._require_open(self.epoch.phases_of(window), self._windows.get(window), now_us)
        self._open(window)

    def _place(self, commit: Commit, name: bytes, now_us: int) -> _Window[C] | None:
        """Return the window that takes the commit, None if it is the first one of its window."""
        window = commit.window
        found = self._windows.get(window)
        terms = self.epoch.terms_of(window) if found is None else found.terms
        self._require_open(phases_of(window, terms) if found is None else found.phases, found, now_us)
        if terms.tier(commit.tier) is None:
            raise RefusedError(f"{window.target} has no tier {commit.tier}", code="commit.tier")
        if found is not None:
            if name in found.arrivals:
                raise RefusedError("this commit is in its window already", code="commit.duplicate")
            if len(found.arrivals) >= self._capacity[window.qlock_ms]:
                raise LimitError(
                    "the window holds as many commits as it can",
                    code="window.full",
                    hint="Commit to a later window.",
                    limit=self._capacity[window.qlock_ms],
                )
        self.lines.require(commit)
        return found

    def _require_open(self, phases: Phases, found: _Window[C] | None, now_us: int) -> None:
        if self._is_halted(phases):
            raise RefusedError("auctions are halted when this window opens", code="window.halted")
        if now_us < phases.opens_us - MAX_AHEAD_US:
            raise RefusedError(
                "the window opens later than may be named yet",
                code="window.ahead",
                opens_us=phases.opens_us,
                most_us=MAX_AHEAD_US,
            )
        if now_us >= phases.closes_us or (found is not None and found.stage is not Stage.OPEN):
            raise RefusedError(
                "the commit phase of this window is over, by the coordinator's clock",
                code="window.closed",
                hint="Commit to a later window.",
                closes_us=phases.closes_us,
            )

    def _is_halted(self, phases: Phases) -> bool:
        if self._halt is None:
            return False
        begins, ends = self._halt
        return begins <= phases.opens_us and (ends is None or phases.opens_us < ends)

    def _open(self, window: WindowId) -> _Window[C]:
        found = self._windows.get(window)
        if found is None:
            terms = self.epoch.terms_of(window)
            phases = phases_of(window, terms)
            found = _Window(terms, phases, order_start(self.epoch.ledger_id, self.epoch.number, window))
            self._windows[window] = found
            heapq.heappush(self._due, (phases.closes_us, Duty.CLOSE, window))
        return found

    def _append(self, found: _Window[C], commit: Commit, name: bytes) -> Arrival:
        self.lines.take(commit)
        seq = commit.window.first_seq + len(found.arrivals)
        after = next_running_hash(found.running_hash, name, seq)
        arrival = Arrival(commit, name, seq, found.running_hash, after)
        found.arrivals[name] = arrival
        found.leaves.append(set_leaf(name, seq))
        found.running_hash = after
        return arrival

    # Phases

    def next_us(self) -> int | None:
        """Return when something is due next, ledger time; None while nothing is expected."""
        return self._due[0][0] if self._due else None

    def due(self, now_us: int) -> Iterator[Due]:
        """Yield what is to be done by now, in the order in which it fell due; each thing once.

        After a pause or a jump a window may be closed and void in one call: phases end when they end.
        """
        while self._due and self._due[0][0] <= now_us:
            _, duty, window = heapq.heappop(self._due)
            found = self._windows[window]
            match duty, found.stage:
                case Duty.CLOSE, Stage.OPEN if self._is_halted(found.phases):
                    found.stage = Stage.VOID
                    yield Due(Duty.VOID, window, found.commits())
                case Duty.CLOSE, Stage.OPEN:
                    yield Due(duty, window, found.commits(), self._close(found, window, now_us))
                case Duty.PROPOSE, Stage.CERTIFIED:
                    heapq.heappush(self._due, (found.phases.seal_ends_us, Duty.VOID, window))
                    yield Due(duty, window, found.commits())
                case (Duty.PROPOSE, Stage.CLOSED) | (Duty.VOID, Stage.CERTIFIED):
                    found.stage = Stage.VOID
                    yield Due(Duty.VOID, window, found.commits())
                case _:
                    pass

    def _close(self, found: _Window[C], window: WindowId, now_us: int) -> CommitSet:
        found.draft = CommitSet(
            ledger_id=self.epoch.ledger_id,
            epoch=self.epoch.number,
            window=window,
            count=len(found.leaves),
            root=root_of(found.leaves),
            running_hash=found.running_hash,
            closed_us=max(now_us, found.phases.closes_us),
            coordinator=self._coordinator,
            signature=b"",
        )
        found.stage = Stage.CLOSED
        heapq.heappush(self._due, (found.phases.reveal_ends_us, Duty.PROPOSE, window))
        return found.draft

    def restore_set(self, commit_set: CommitSet) -> None:
        """Take a set of the journal as the one of its window, whose commits were restored before.

        Raises:
            ProofError: it is not theirs (``commit.set``, ``proof.signature``).
        """
        found = self._open(commit_set.window)
        verify_set(commit_set, list(found.arrivals), coordinator=self._coordinator, ledger_id=self.epoch.ledger_id)
        found.draft = commit_set
        found.stage = Stage.CLOSED
        heapq.heappush(self._due, (found.phases.reveal_ends_us, Duty.PROPOSE, commit_set.window))

    def certify(self, commit_set: CommitSet, certificate: C, now_us: int) -> RevealedWindow:
        """Take the certificate of a window's set, which the caller verified; reveals may come from now on.

        Raises:
            NotFoundError: nothing is known of this window (``window.unknown``).
            RefusedError: not the set that was closed (``commit.other_set``), or too late (``window.void``).
        """
        found = self._find(commit_set.window)
        if found.draft is None or found.draft.digest() != commit_set.digest():
            raise RefusedError("the certificate is of another set", code="commit.other_set")
        if found.stage is Stage.CLOSED and now_us >= found.phases.reveal_ends_us:
            found.stage = Stage.VOID
        if found.stage is Stage.VOID:
            raise RefusedError("the window is void: its set was not certified in time", code="window.void")
        if found.revealed is None:
            found.certificate, found.stage = certificate, Stage.CERTIFIED
            found.revealed = RevealedWindow(self.epoch, commit_set, found.commits())
        return found.revealed

    def revealed(self, window: WindowId) -> RevealedWindow:
        """Return the reveals and lists of a window whose set is certified.

        Raises:
            NotFoundError: nothing is known of this window (``window.unknown``).
            RefusedError: its set is not certified (``reveal.uncertified``).
        """
        found = self._find(window)
        if found.revealed is None:
            raise RefusedError("the window's set of commits is not certified", code="reveal.uncertified")
        return found.revealed

    def finish(self, window: WindowId, now_us: int) -> None:
        """Record that the header of a window has its certificate.

        Raises:
            NotFoundError: nothing is known of this window (``window.unknown``).
            RefusedError: the seal phase was over before (``window.void``), or has not begun (``window.phase``).
        """
        found = self._find(window)
        if found.stage is Stage.FINAL:
            return
        if found.stage is Stage.VOID or now_us >= found.phases.seal_ends_us:
            raise RefusedError("the window is void: its header was not final in time", code="window.void")
        if found.stage is not Stage.CERTIFIED or now_us < found.phases.reveal_ends_us:
            raise RefusedError("the window is not being sealed", code="window.phase")
        found.stage = Stage.FINAL

    # Looking

    def stage(self, window: WindowId) -> Stage | None:
        """Return how far a window has come; None when nothing is known of it."""
        found = self._windows.get(window)
        return None if found is None else found.stage

    def certificate(self, window: WindowId) -> C | None:
        """Return the certificate of a window's set; None while there is none."""
        return self._find(window).certificate

    def open_windows(self) -> list[WindowId]:
        """Return the windows that are neither final nor void, in order of name."""
        return sorted(name for name, found in self._windows.items() if found.stage < Stage.FINAL)

    def forget(self, window: WindowId) -> None:
        """Drop what is kept of a window that is final or void and stored elsewhere; its name stays closed.

        Raises:
            RefusedError: it is neither (``window.phase``).
        """
        found = self._find(window)
        if found.stage < Stage.FINAL:
            raise RefusedError("the window is neither final nor void", code="window.phase")
        found.arrivals, found.leaves, found.revealed = {}, [], None

    def _find(self, window: WindowId) -> _Window[C]:
        found = self._windows.get(window)
        if found is None:
            raise NotFoundError("nothing is known of this window", code="window.unknown")
        return found
