"""What a header was made of, as its coordinator stores it before anybody votes.

With the set, the commits and the reveals of the journal it is enough to make the same header again after a crash: to
ask for votes once more, or to prove and settle a window that was final already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import decode_commits
from bpci_node.auction.commit_set import CommitSet
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.outcome import decode_outcomes
from bpci_node.auction.reveal import Reveal, decode_reveals
from bpci_node.auction.reveal_receipt import RevealList
from bpci_node.auction.revealed_window import RevealedWindow
from bpci_node.auction.window import MAX_COMMITS
from bpci_node.chain.committee import MAX_SEATS, Committee
from bpci_node.errors import StorageError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.runtime.window_draft import Carried, Proposal, Sealed, TargetChain, decode_carried, draft_header
from bpci_node.store.auction_journal import AuctionJournal, StoredWindow

_NAMES = ("lists", "reveals", "proposal", "carried", "outcomes", "next_committee")


@dataclass(frozen=True, slots=True)
class StoredProposal:
    """The parts of a header that do not stand elsewhere in the journal."""

    lists: tuple[RevealList, ...]
    """The notaries' lists that the header goes by."""
    reveals: tuple[Reveal, ...]
    """Listed reveals that this validator's own notary has not stored."""
    proposal: Proposal
    carried: tuple[bytes, ...]
    """What the header took over from the one before it, encoded."""
    outcomes: bytes
    """Encoded; they say what each forfeits."""
    next_committee: Committee | None

    @classmethod
    def of(cls, sealed: Sealed, revealed: RevealedWindow, proposal: Proposal, carried: Sequence[Carried]) -> Self:
        """Return what there is to store of a drafted header that goes by all lists.

        Args:
            carried: what it took over from the one before it.
        """
        return cls(
            lists=revealed.lists,
            reveals=tuple(revealed.reveals_of(revealed.listed())),
            proposal=proposal,
            carried=tuple(item.encode() for item in carried),
            outcomes=sealed.encoded_outcomes,
            next_committee=sealed.draft.facts.next_committee,
        )

    def encode(self, stored: set[bytes]) -> bytes:
        """Return the canonical CBOR form.

        Args:
            stored: ids of commits whose reveals the journal has; they are left out.
        """
        following = self.next_committee
        return codec.encode(
            {
                "lists": [item.encode() for item in self.lists],
                "reveals": [item.as_map() for item in self.reveals if item.commit_id not in stored],
                "proposal": self.proposal.as_map(),
                "carried": list(self.carried),
                "outcomes": self.outcomes,
                "next_committee": None if following is None else following.as_map(),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what :meth:`encode` returned.

        Raises:
            FormatError: it is something else.
        """
        value: Any = codec.decode(data, max_bytes=len(data))
        fields = Fields(value, _NAMES, what="a stored proposal", code="storage.damaged")
        return cls(
            lists=tuple(RevealList.decode(item) for item in fields.items("lists", MAX_SEATS)),
            reveals=tuple(Reveal.from_map(item) for item in fields.items("reveals", MAX_COMMITS)),
            proposal=Proposal.from_map(fields.raw("proposal")),
            carried=tuple(fields.items("carried", MAX_COMMITS)),
            outcomes=bytes(fields.raw("outcomes")),
            next_committee=None
            if fields.is_null("next_committee")
            else Committee.from_map(fields.raw("next_committee")),
        )

    def hold_in(self, revealed: RevealedWindow) -> None:
        """Bring reveals and lists to a window that was restored.

        Raises:
            BpciError: they are not the window's.
        """
        hold(revealed, self.reveals)
        for item in self.lists:
            revealed.add_list(item)


def hold(revealed: RevealedWindow, reveals: tuple[Reveal, ...] | list[Reveal]) -> None:
    """Check reveals, and keep those that are not held yet.

    Raises:
        BpciError: one does not open its commit (``reveal.*``).
    """
    for reveal in reveals:
        if not revealed.is_held(reveal.commit_id):
            revealed.hold(reveal, revealed.check(reveal))


def stored_reveals(journal: AuctionJournal, stored: StoredWindow) -> list[Reveal]:
    """Return the reveals that the journal has of a window."""
    return [reveal for row in journal.reveals(stored.key) for reveal in decode_reveals(b"\x81" + row[2])]


def restore_carried(journal: AuctionJournal, epoch: AuctionEpoch, chains: Mapping[str, TargetChain]) -> None:
    """Take what found no room in the epoch's last header from the journal, for chains that end with that header.

    Raises:
        BpciError: what is stored does not open its commit.
    """
    for target in epoch.terms:
        chain = chains[target]
        if chain.epoch == epoch.number and not chain.carried:
            chain.carried = tuple(decode_carried(item, epoch) for item in journal.carried(target))


def seal_again(journal: AuctionJournal, stored: StoredWindow, epoch: AuctionEpoch) -> Sealed:
    """Return what a window came to whose header is stored, made again from the journal.

    Raises:
        BpciError: parts are absent or do not fit together.
        StorageError: they make another header (``storage.damaged``).
    """
    data = journal.proposal(stored.key)
    if data is None or stored.header is None or stored.commit_set is None:
        raise StorageError("a final window lacks what its header was made of", code="storage.damaged")
    record, header = StoredProposal.decode(data), AuctionHeader.decode(stored.header)
    commits = [commit for row in journal.commits(stored.key) for commit in decode_commits(b"\x81" + row[2])]
    revealed = RevealedWindow(epoch, CommitSet.decode(stored.commit_set), commits)
    hold(revealed, stored_reveals(journal, stored))
    record.hold_in(revealed)
    carried = tuple(decode_carried(item, epoch) for item in record.carried)
    amounts = {outcome.commit_id: outcome.amount for outcome in decode_outcomes(record.outcomes)}
    sealed = draft_header(
        epoch,
        revealed,
        TargetChain(header.sequence - 1, header.parent, header.epoch, carried),
        record.proposal,
        seats=sorted(item.seat for item in record.lists),
        time_us=header.time_us,
        next_committee=record.next_committee,
        forfeit=lambda stake, _: amounts.get(stake.commit_id, 0),
    )
    if sealed.draft.header.digest() != header.digest():
        raise StorageError("the journal makes another header than the one that is final", code="storage.damaged")
    return sealed
