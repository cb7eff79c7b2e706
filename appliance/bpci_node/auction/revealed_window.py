"""A window after its set was certified: which commits may be opened, what opened them, and what notaries listed.

Coordinator and notaries keep the same record. A reveal is held once it was checked, whoever brought it and whenever;
whether it was timely is what the notaries' lists say, and only what some list names takes part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.candidates import Candidate, Origin
from bpci_node.auction.commit import Commit
from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.parcel import Opened, Parcel
from bpci_node.auction.reveal import Reveal, check_reveal
from bpci_node.auction.reveal_receipt import RevealList, verify_list
from bpci_node.auction.window import WindowId
from bpci_node.errors import NotFoundError, ProofError, RefusedError


class RevealedWindow:
    """The certified commits of one window, and their reveals."""

    __slots__ = (
        "_epoch",
        "_listed",
        "_lists",
        "_opened",
        "_reveals",
        "commits",
        "digest",
        "positions",
        "set",
        "window",
    )

    def __init__(self, epoch: AuctionEpoch, commit_set: CommitSet, commits: Sequence[Commit]) -> None:
        """Take a set that was verified, and its commits in order."""
        self._epoch = epoch
        self.window: WindowId = commit_set.window
        self.set = commit_set
        self.digest = commit_set.digest()
        """Digest of the set, 32 bytes."""
        self.commits = tuple(commits)
        self.positions = {commit.commit_id: position for position, commit in enumerate(commits)}
        """Position in the set of each commit, by its id."""
        self._opened: dict[int, Opened] = {}
        self._reveals: dict[int, Reveal] = {}
        self._lists: dict[int, RevealList] = {}
        self._listed: dict[int, list[int]] = {}

    def position(self, commit_id: bytes) -> int:
        """Return the position in the set of a commit.

        Raises:
            NotFoundError: it is not in the set (``reveal.unknown``).
        """
        position = self.positions.get(commit_id)
        if position is None:
            raise NotFoundError("no commit of this name is in the certified set", code="reveal.unknown")
        return position

    def check(self, reveal: Reveal) -> Opened:
        """Check a reveal against its commit, and return what that hid; costs the recovery of each sender.

        Raises:
            NotFoundError: the commit is not in the set (``reveal.unknown``).
            FormatError, RefusedError: it does not open the commit; see :func:`check_reveal`.
        """
        position = self.position(reveal.commit_id)
        return check_reveal(
            reveal,
            self.commits[position],
            self._epoch.terms_of(self.window),
            self._epoch.ledger_id,
            arrival_seq=self.window.first_seq + position,
        )

    def hold(self, reveal: Reveal, opened: Opened) -> None:
        """Keep a reveal that was checked; one that is held already stays."""
        position = self.position(reveal.commit_id)
        self._opened.setdefault(position, opened)
        self._reveals.setdefault(position, reveal)

    def is_held(self, commit_id: bytes) -> bool:
        """Say whether a reveal of this commit is held."""
        return self.positions.get(commit_id, -1) in self._opened

    def reveals_of(self, positions: Sequence[int]) -> list[Reveal]:
        """Return those of these reveals that are held, for somebody who misses them."""
        return [self._reveals[position] for position in positions if position in self._reveals]

    def add_list(self, reveals: RevealList) -> None:
        """Take a notary's list in; the same one again changes nothing.

        Raises:
            ProofError: not a list of this set by a notary of the committee (``reveal.list``), or another one than the
                notary signed before (``reveal.two_lists``): both together prove it at fault.
        """
        if self._lists.get(reveals.seat) == reveals:
            return
        verify_list(
            reveals,
            committee=self._epoch.committee,
            ledger_id=self._epoch.ledger_id,
            set_digest=self.digest,
            count=self.set.count,
        )
        if reveals.seat in self._lists:
            raise ProofError("this notary signed another list for the same set", code="reveal.two_lists")
        self._lists[reveals.seat] = reveals
        self._listed[reveals.seat] = reveals.positions()

    @property
    def lists(self) -> tuple[RevealList, ...]:
        """The lists that came, by seat."""
        return tuple(self._lists[seat] for seat in sorted(self._lists))

    def listed(self, seats: Iterable[int] | None = None) -> list[int]:
        """Return the positions that the lists of these seats name together, ascending; of all lists, for None.

        A proposal goes by the lists that it brings: what else came changes nothing about it.
        """
        chosen = self._listed if seats is None else seats
        return sorted({position for seat in chosen for position in self._listed[seat]})

    def missing(self, seats: Iterable[int] | None = None) -> list[int]:
        """Return those of the listed positions whose reveals are not held, ascending."""
        return [position for position in self.listed(seats) if position not in self._opened]

    def candidates(self, seats: Iterable[int] | None = None) -> list[Candidate]:
        """Return the single entries that take part: every listed reveal of one, in the order of the commits.

        Raises:
            RefusedError: some of them are not held (``reveal.missing``); fetch them first.
        """
        return [
            Candidate(opened, Origin.REVEALED, self.commits[position].commit_id)
            for position, opened in self._all(seats)
            if not isinstance(opened, Parcel)
        ]

    def parcels(self, seats: Iterable[int] | None = None) -> list[Parcel]:
        """Return the parcels that take part, in the order of the commits; raises as :meth:`candidates`."""
        return [opened for _, opened in self._all(seats) if isinstance(opened, Parcel)]

    def _all(self, seats: Iterable[int] | None) -> list[tuple[int, Opened]]:
        listed = self.listed(seats)
        missing = sum(position not in self._opened for position in listed)
        if missing:
            raise RefusedError(f"{missing} listed reveal(s) are not here yet", code="reveal.missing")
        return [(position, self._opened[position]) for position in listed]
