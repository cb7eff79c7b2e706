"""A notary's windows: which sets it countersigns, which reveals it acknowledges, which header it may vote for.

A pure state machine beside the coordinator's, with a clock of its own: commits are late by the coordinator's, reveals
by the notary's. It believes nothing that it can reckon: sets are put together again from the commits, headers from the
reveals that it holds. One window gets one vote for a set, one list and one vote for a header; the caller's guard makes
each durable before the signature leaves. Time may jump either way: what was closed stays closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_set import CommitSet, verify_set
from bpci_node.auction.lines import Lines
from bpci_node.auction.parcel import Opened
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.reveal_receipt import RevealList, bits_of
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.window import Phases, WindowId
from bpci_node.errors import NotFoundError, ProofError, RefusedError

MAX_SKEW_US = 50_000
"""How far a coordinator's clock may be ahead of the notary's when it closes a window."""


@dataclass(slots=True)
class _Window:
    phases: Phases
    commit_set: CommitSet
    commits: tuple[Commit, ...]
    revealed: RevealedWindow | None = None
    timely: set[int] = field(default_factory=set)
    bits: bytes | None = None
    voted: bytes | None = None


class NotaryBook:
    """The windows of one epoch at one notary."""

    def __init__(self, epoch: AuctionEpoch, seat: int, lines: Lines | None = None) -> None:
        """Begin an epoch as the notary of this seat; without ``lines``, with none that is open."""
        self.epoch = epoch
        self.seat = seat
        self.lines = Lines() if lines is None else lines
        self._windows: dict[WindowId, _Window] = {}

    # Sets

    def take_set(
        self, commit_set: CommitSet, commits: Sequence[Commit], verify: Callable[[Commit], None], now_us: int
    ) -> bytes:
        """Check a closed set with its commits, and return the digest to vote for, 32 bytes.

        The same set again gives the same digest.

        Args:
            verify: raises unless a commit is signed by its account.
        Raises:
            NotFoundError: no such window (``window.target``, ``window.class``).
            RefusedError: of another epoch (``window.epoch``), closed before the commit phase was over
                (``window.early``), or its reveal phase is over (``window.over``); a commit that is not signed
                (``commit.signature``), of another window or tier (``commit.set``).
            LimitError: more commits than bonds are reserved (``commit.no_slot``).
            ProofError: not the coordinator's set of these commits (``commit.set``, ``proof.signature``), or another
                one than it signed before (``commit.two_sets``): both together prove it at fault.
        """
        window = commit_set.window
        phases = self.epoch.phases_of(window)
        known = self._windows.get(window)
        if known is not None and known.commit_set == commit_set:
            return commit_set.digest()
        if commit_set.closed_us < phases.closes_us or now_us < phases.closes_us - MAX_SKEW_US:
            raise RefusedError("the set was closed before the commit phase was over", code="window.early")
        if now_us >= phases.reveal_ends_us:
            raise RefusedError("the reveal phase of this window is over", code="window.over")
        self._check_set(commit_set, commits)
        if known is not None:
            raise ProofError("the coordinator signed another set for this window", code="commit.two_sets")
        for commit in commits:
            verify(commit)
        self._keep(phases, commit_set, commits)
        return commit_set.digest()

    def restore_set(self, commit_set: CommitSet, commits: Sequence[Commit]) -> None:
        """Take a set that is certified, or that this notary voted for: from its journal, or because it was away.

        Raises:
            ProofError: not the coordinator's set of these commits (``commit.set``, ``proof.signature``), or another one
                than it signed before (``commit.two_sets``).
            LimitError: more commits than bonds are reserved (``commit.no_slot``).
        """
        known = self._windows.get(commit_set.window)
        self._check_set(commit_set, commits)
        if known is None:
            self._keep(self.epoch.phases_of(commit_set.window), commit_set, commits)
        elif known.commit_set != commit_set:
            raise ProofError("the coordinator signed another set for this window", code="commit.two_sets")

    def _check_set(self, commit_set: CommitSet, commits: Sequence[Commit]) -> None:
        terms = self.epoch.terms_of(commit_set.window)
        names = [commit.commit_id for commit in commits]
        if (
            commit_set.epoch != self.epoch.number
            or len(set(names)) != len(names)
            or any(commit.window != commit_set.window or terms.tier(commit.tier) is None for commit in commits)
        ):
            raise RefusedError("the set holds what does not belong into it", code="commit.set")
        verify_set(
            commit_set, names, coordinator=self.epoch.committee.coordinator.node_key, ledger_id=self.epoch.ledger_id
        )

    def _keep(self, phases: Phases, commit_set: CommitSet, commits: Sequence[Commit]) -> None:
        first = {(commit.account, commit.tier): commit for commit in commits}
        for key, count in Counter((commit.account, commit.tier) for commit in commits).items():
            self.lines.require(first[key], count)
        for commit in commits:
            self.lines.take(commit)
        self._windows[commit_set.window] = _Window(phases, commit_set, tuple(commits))

    def certify(self, commit_set: CommitSet) -> RevealedWindow:
        """Record that a set is certified, which the caller verified; reveals of it are taken from now on.

        Raises:
            NotFoundError: its commits are not here (``window.unknown``): fetch them, and ``restore_set``.
            ProofError: the certified set is another one than the one that is here (``commit.two_sets``).
        """
        found = self._find(commit_set.window)
        if found.commit_set.digest() != commit_set.digest():
            raise ProofError("the coordinator signed another set for this window", code="commit.two_sets")
        if found.revealed is None:
            found.revealed = RevealedWindow(self.epoch, found.commit_set, found.commits)
        return found.revealed

    # Reveals

    def locate(self, reveal: Reveal, now_us: int) -> RevealedWindow:
        """Check everything about a reveal that costs little, and return the window whose ``check`` it needs next.

        Raises:
            NotFoundError: nothing is known of the window, or no such commit is in its set (``window.unknown``,
                ``reveal.unknown``).
            RefusedError: the set is not certified (``reveal.uncertified``), the reveal phase is over
                (``reveal.late``), or it was revealed before (``reveal.duplicate``).
        """
        found = self._find(reveal.window)
        revealed = self.revealed(reveal.window)
        position = revealed.position(reveal.commit_id)
        if now_us >= found.phases.reveal_ends_us or found.bits is not None:
            raise RefusedError(
                "the reveal phase of this window is over, by the notary's clock",
                code="reveal.late",
                reveal_ends_us=found.phases.reveal_ends_us,
            )
        if position in found.timely:
            raise RefusedError("this commit is revealed already", code="reveal.duplicate")
        return revealed

    def record(self, reveal: Reveal, opened: Opened, now_us: int) -> None:
        """Take a timely reveal that :meth:`RevealedWindow.check` passed; raises as :meth:`locate`.

        The receipt may be given once the reveal is durable.
        """
        revealed = self.locate(reveal, now_us)
        revealed.hold(reveal, opened)
        self._find(reveal.window).timely.add(revealed.position(reveal.commit_id))

    def restore_reveal(self, reveal: Reveal, opened: Opened) -> None:
        """Take a timely reveal of the journal again, before its window's list is made, whatever time it is.

        Raises:
            NotFoundError, RefusedError: as :meth:`locate`, but for the time.
        """
        revealed = self.revealed(reveal.window)
        revealed.hold(reveal, opened)
        self._find(reveal.window).timely.add(revealed.position(reveal.commit_id))

    def list_bits(self, window: WindowId, now_us: int) -> bytes:
        """Return the bits of this notary's list, always the same from the first call on; no reveal is timely after it.

        Raises:
            NotFoundError: nothing is known of this window (``window.unknown``).
            RefusedError: its set is not certified (``reveal.uncertified``), or its reveal phase goes on
                (``reveal.early``).
        """
        found = self._find(window)
        revealed = self.revealed(window)
        if found.bits is None:
            if now_us < found.phases.reveal_ends_us:
                raise RefusedError("the reveal phase of this window goes on", code="reveal.early")
            found.bits = bits_of(found.timely, revealed.set.count)
        return found.bits

    # Headers

    def check_lists(self, window: WindowId, lists: Sequence[RevealList]) -> list[int]:
        """Take in the lists of a proposal, and return the positions whose reveals have to be fetched first.

        Raises:
            NotFoundError, RefusedError: as :meth:`revealed`; this notary's own list is not among them though it was
                made (``reveal.omitted``).
            ProofError: one is not a list of this set, or a notary's second one (``reveal.list``,
                ``reveal.two_lists``).
        """
        revealed = self.revealed(window)
        own = self._find(window).bits
        if own is not None and not any(item.seat == self.seat and item.revealed == own for item in lists):
            raise RefusedError("the proposal leaves this notary's list of reveals out", code="reveal.omitted")
        for item in lists:
            revealed.add_list(item)
        return revealed.missing([item.seat for item in lists])

    def vote(self, window: WindowId, header_digest: bytes, now_us: int) -> bytes:
        """Allow a vote for a header that equals this notary's own, and return its digest; never for two of a window.

        Raises:
            NotFoundError: nothing is known of this window (``window.unknown``).
            RefusedError: the seal phase is over (``window.over``), its reveal phase is not (``window.phase``), or
                another header got the vote (``window.voted``).
        """
        found = self._find(window)
        if found.voted is not None:
            if found.voted != header_digest:
                raise RefusedError("this notary voted for another header of this window", code="window.voted")
            return header_digest
        if now_us >= found.phases.seal_ends_us:
            raise RefusedError("the seal phase of this window is over", code="window.over")
        if found.revealed is None or found.bits is None:
            raise RefusedError("the window is not being sealed", code="window.phase")
        found.voted = header_digest
        return header_digest

    # Looking

    def revealed(self, window: WindowId) -> RevealedWindow:
        """Return the reveals and lists of a window whose set is certified.

        Raises:
            NotFoundError: nothing is known of this window (``window.unknown``).
            RefusedError: its set is not certified (``reveal.uncertified``).
        """
        revealed = self._find(window).revealed
        if revealed is None:
            raise RefusedError(
                "the window's set of commits is not certified yet",
                code="reveal.uncertified",
                hint="Reveal once its certificate is published.",
            )
        return revealed

    def ended_before(self, time_us: int) -> list[WindowId]:
        """Return the windows that are kept although their seal phase was over at a moment of ledger time."""
        return [window for window, found in self._windows.items() if found.phases.seal_ends_us < time_us]

    def forget(self, window: WindowId) -> None:
        """Drop a window that is final or void and stored elsewhere.

        A set or header of it would be looked at anew: the caller's guard still refuses a second vote.
        """
        self._windows.pop(window, None)

    def _find(self, window: WindowId) -> _Window:
        found = self._windows.get(window)
        if found is None:
            raise NotFoundError("nothing is known of this window", code="window.unknown")
        return found
