"""The header of a window as a validator makes it from what it holds: the same at coordinator and notaries.

What a proposal brings (lists, entries of the public pool) is named by the header; what both sides have from before
(commits, reveals, what was carried, the chain of headers) is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.candidates import Candidate, Origin, public_candidate
from bpci_node.auction.commit import Commit
from bpci_node.auction.header import NO_PARENT, AuctionHeader
from bpci_node.auction.lists import INCLUSIONS, REVEALS, InclusionList, ListName, forced_of
from bpci_node.auction.outcome import Kind, Outcome, encode_outcomes
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.parcel import Opened, Parcel
from bpci_node.auction.reveal import Reveal, check_reveal
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.seal_auction import Draft, WindowFacts, draft_window
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.chain.committee import Committee
from bpci_node.errors import FormatError, RefusedError
from bpci_node.mempool.entry import Entry, decode_entry
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields

MAX_POOL_ENTRIES = 2_048
"""Entries of the public pool that one proposal brings, at most."""

Forfeits = Callable[[Stake, str], int]
"""What a commit that nobody revealed loses of its bond at a target."""


@dataclass(frozen=True, slots=True)
class Carried:
    """An entry that was revealed and found no room, with what proves that it was."""

    commit: Commit
    reveal: Reveal
    seq: int
    """Sequence number of the commit in the set that it was certified with."""
    entry: Entry

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode({"commit": self.commit.as_map(), "reveal": self.reveal.as_map(), "seq": self.seq})

    @property
    def candidate(self) -> Candidate:
        """It as a candidate of the next window."""
        return Candidate(self.entry, Origin.CARRIED, self.commit.commit_id)

    @property
    def stake(self) -> Stake:
        """Its bond."""
        return Stake(self.commit.commit_id, self.commit.account, self.commit.tier)


def decode_carried(data: bytes, epoch: AuctionEpoch) -> Carried:
    """Read what :meth:`Carried.encode` returned, and check that the reveal opens the commit.

    Raises:
        FormatError, RefusedError: it does not (``commit.format``, ``reveal.*``), or is a parcel (``parcel.carried``).
    """
    value = Fields(
        codec.decode(data, max_bytes=len(data)),
        ("commit", "reveal", "seq"),
        what="a carried entry",
        code="reveal.format",
    )
    commit, reveal = Commit.from_map(value.raw("commit")), Reveal.from_map(value.raw("reveal"))
    seq = value.integer("seq")
    terms = epoch.terms_of(commit.window)
    opened = check_reveal(reveal, commit, terms, epoch.ledger_id, arrival_seq=seq)
    return Carried(commit, reveal, seq, _single(opened))


def _single(opened: Opened) -> Entry:
    if isinstance(opened, Parcel):
        raise RefusedError("a parcel runs in its own window or not at all", code="parcel.carried")
    return opened


@dataclass(slots=True)
class TargetChain:
    """Where a target's chain of headers stands at one validator."""

    sequence: int = 0
    """Of the last final header, 0 before the first."""
    digest: bytes = NO_PARENT
    """Of the last final header."""
    epoch: int = 0
    """Of the last final header."""
    carried: tuple[Carried, ...] = ()
    """What the next header takes first."""
    header: AuctionHeader | None = field(default=None, repr=False)
    """The last final header."""

    def stand_on(self, sequence: int, digest: bytes, epoch: int) -> None:
        """Take what the ledger knows of a later header."""
        self.sequence, self.digest, self.epoch = sequence, digest, epoch
        self.header, self.carried = None, ()

    def extend(self, header: AuctionHeader, carried: Sequence[Carried]) -> None:
        """Take a header that is final."""
        self.sequence, self.digest, self.epoch = header.sequence, header.digest(), header.epoch
        self.header, self.carried = header, tuple(carried)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a coordinator brings to a window's header beside what everybody has."""

    inclusions: tuple[InclusionList, ...] = ()
    """Lists of entries that notaries want in."""
    forced: tuple[bytes, ...] = ()
    """The entries that they name, as they were signed."""
    public: tuple[bytes, ...] = ()
    """Further entries of the public pool, as they were signed."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is sent."""
        return {
            "inclusions": [item.as_map() for item in self.inclusions],
            "forced": list(self.forced),
            "public": list(self.public),
        }

    @classmethod
    def from_map(cls, value: Any) -> Proposal:
        """Read what :meth:`as_map` returned; no signature is looked at.

        Raises:
            FormatError: not a proposal's part (``seat.proposal``, ``list.format``).
        """
        fields = Fields(value, ("inclusions", "forced", "public"), what="a proposal", code="seat.proposal")
        raws = [fields.items(name, MAX_POOL_ENTRIES) for name in ("forced", "public")]
        if any(type(raw) is not bytes for part in raws for raw in part):
            raise fields.wrong("brings entries as byte strings")
        inclusions = tuple(InclusionList.from_map(item) for item in fields.items("inclusions", 64))
        return cls(inclusions, tuple(raws[0]), tuple(raws[1]))


@dataclass(frozen=True, slots=True)
class Sealed:
    """A drafted header with everything that follows from it."""

    draft: Draft
    outcomes: tuple[Outcome, ...]
    carried: tuple[Carried, ...]
    """What the next header of the target takes first, if this one becomes final."""

    @property
    def encoded_outcomes(self) -> bytes:
        """The outcomes, encoded."""
        return encode_outcomes(self.outcomes)


def draft_header(
    epoch: AuctionEpoch,
    revealed: RevealedWindow,
    chain: TargetChain,
    proposal: Proposal,
    *,
    seats: Sequence[int],
    time_us: int,
    next_committee: Committee | None,
    forfeit: Forfeits,
) -> Sealed:
    """Return the header of a window and what follows from it. Costs seconds for large windows: not for the event loop.

    Args:
        seats: whose lists of reveals the proposal brings.
        time_us: what the header says, ledger time.
        next_committee: in the last header of the epoch.
    Raises:
        RefusedError: a listed reveal is not here (``reveal.missing``), or an entry is of another chain (``entry.*``).
        FormatError: an entry of the pool is none (``entry.*``), or the lists name others (``seat.proposal``).
    """
    window: WindowId = revealed.window
    terms = epoch.terms_of(window)
    wanted = forced_of(proposal.inclusions)
    forced = [
        public_candidate(decode_entry(raw), window, terms, epoch.ledger_id, is_forced=True) for raw in proposal.forced
    ]
    public = [
        public_candidate(decode_entry(raw), window, terms, epoch.ledger_id, is_forced=False) for raw in proposal.public
    ]
    if tuple(sorted(item.entry.leaf.txid for item in forced)) != wanted:
        raise FormatError("the forced entries are not those that the lists name", code="seat.proposal")
    opened, parcels = revealed.candidates(seats), revealed.parcels(seats)
    # Carrying ends with the epoch, also where its last header did not become final.
    carried = chain.carried if chain.epoch == epoch.number else ()
    candidates = [*(item.candidate for item in carried), *opened, *forced, *public]
    selection = select_window(candidates, terms, parcels=parcels, carry=next_committee is None)
    stakes = [item.stake for item in carried]
    stakes += [Stake(commit.commit_id, commit.account, commit.tier) for commit in revealed.commits]
    outcomes = outcomes_of(stakes, selection, terms, lambda stake: forfeit(stake, window.target))
    count = len(revealed.commits)
    names = [ListName(REVEALS, item.seat, item.digest()) for item in revealed.lists if item.seat in seats]
    names += [ListName(INCLUSIONS, item.seat, item.digest()) for item in proposal.inclusions]
    facts = WindowFacts(
        ledger_id=epoch.ledger_id,
        epoch=epoch.number,
        window=window,
        sequence=chain.sequence + 1,
        parent=chain.digest,
        time_us=time_us,
        commit_set=revealed.digest if count else None,
        commits=count,
        reveals=len(opened) + len(parcels),
        lists=tuple(sorted(names)),
        forced=wanted,
        next_committee=next_committee,
    )
    draft = draft_window(selection, outcomes, terms, facts)
    kept = {outcome.commit_id for outcome in outcomes if outcome.kind is Kind.CARRIED}
    return Sealed(draft, outcomes, _carry(revealed, kept))


def _carry(revealed: RevealedWindow, commit_ids: set[bytes]) -> tuple[Carried, ...]:
    first = revealed.window.first_seq
    carried = []
    for position, commit in enumerate(revealed.commits):
        if commit.commit_id in commit_ids:
            (reveal,) = revealed.reveals_of([position])
            carried.append(Carried(commit, reveal, first + position, _single(revealed.check(reveal))))
    return tuple(carried)


def handover_window(epoch: AuctionEpoch, target: str) -> WindowId:
    """Return the window of a target whose header names the next committee: the last one of its longest class."""
    qlock_ms = epoch.terms[target].classes[-1]
    return WindowId(target, qlock_ms, (epoch.ends_us - 1) // (qlock_ms * 1000))
