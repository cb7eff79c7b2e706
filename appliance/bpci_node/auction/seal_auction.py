"""Sealing a window, in two steps: the header, which the committee votes for, and later the proofs that go with it.

:func:`draft_window` is what coordinator and notaries compute alike while the window's time runs; a notary votes for the
header that it has made itself. :func:`prove_window` runs after the votes, off the critical path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpci_node.auction.auction_bundle import AuctionBundle, Body, ParcelRow, Row, post_quantum_message
from bpci_node.auction.candidates import COMMIT_ID_BYTES, Candidate, entry_hashes
from bpci_node.auction.certificate import Certificate
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lists import ForcedLeaf, ListName, forced_root, lists_root
from bpci_node.auction.outcome import Outcome, outcomes_root
from bpci_node.auction.parcel import Parcel
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import Exclusion, WindowSelection
from bpci_node.auction.window_trees import WindowTrees
from bpci_node.chain.committee import Committee
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.primitives import merkle
from bpci_node.primitives.mldsa import MlDsaSigner

_NO_COMMIT = bytes(COMMIT_ID_BYTES)


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """What a header says that does not follow from the selection."""

    ledger_id: str
    epoch: int
    window: WindowId
    sequence: int
    """One more than that of the target's header before, or 1."""
    parent: bytes
    """Digest of the target's header before, 32 bytes; ``NO_PARENT`` for the first."""
    time_us: int
    """Ledger time, microseconds."""
    commit_set: bytes | None
    """Digest of the set of commits, 32 bytes; None without commits."""
    commits: int
    reveals: int
    lists: tuple[ListName, ...] = ()
    """The notaries' lists."""
    forced: tuple[bytes, ...] = ()
    """Transactions that inclusion lists name, 32 bytes each."""
    next_committee: Committee | None = None
    """In the last header of an epoch: the committee of the next one."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A header, and what its proofs will be made of."""

    header: AuctionHeader
    facts: WindowFacts
    terms: TargetTerms
    selection: WindowSelection
    left_out: tuple[Exclusion, ...]
    """Why forced entries do not run, with everything that a reason refers to."""
    trees: WindowTrees


def draft_window(
    selection: WindowSelection, outcomes: Sequence[Outcome], terms: TargetTerms, facts: WindowFacts
) -> Draft:
    """Return the header of a window: the same for everybody who has the same candidates, lists and facts.

    Args:
        outcomes: in the order of :func:`~bpci_node.auction.outcome_list.outcomes_of`.
    Raises:
        FormatError: the facts contradict one another (``header.format``).
    """
    unique = selection.unique()
    left_out = selection.left_out(facts.forced)
    trees = WindowTrees(terms.target, unique)
    header = AuctionHeader(
        ledger_id=facts.ledger_id,
        target=terms.target,
        epoch=facts.epoch,
        qlock_ms=facts.window.qlock_ms,
        index=facts.window.index,
        sequence=facts.sequence,
        parent=facts.parent,
        time_us=facts.time_us,
        terms=terms.digest(),
        commit_set=facts.commit_set,
        commits=facts.commits,
        reveals=facts.reveals,
        outcomes_root=outcomes_root(outcomes),
        lists_root=lists_root(facts.lists),
        forced_root=forced_root(_forced_leaves(selection, left_out, facts.forced)),
        entries_root=merkle.root_of(entry_hashes(_parts(winner, trees) for winner in selection.winners)),
        count=len(selection.winners),
        gas_used=sum(winner.entry.leaf.gas for winner in selection.winners),
        verkle_root=trees.verkle_root,
        merkle_mesh_root=trees.merkle_mesh_root,
        candidates=len(unique),
        buckets=trees.bucket_count,
        next_committee=None if facts.next_committee is None else facts.next_committee.digest(),
        parcel=None if selection.parcel is None else selection.parcel.commit.commit_id,
    )
    header.check()
    return Draft(header, facts, terms, selection, left_out, trees)


def prove_window(draft: Draft, certificate: Certificate, signer: MlDsaSigner) -> AuctionBundle:
    """Return the bundle of a header that is final.

    Args:
        certificate: of the votes for ``draft.header.digest()``.
        signer: the coordinator's ML-DSA-44 key.
    """
    shown = [*draft.selection.winners, *(item.candidate for item in draft.left_out)]
    opened = draft.trees.open({candidate.entry.leaf.txid for candidate in shown})
    number_of = {row.key: number for number, row in enumerate(opened.buckets)}
    rows = tuple(_row(candidate, number_of[candidate.entry.bucket_key]) for candidate in shown)
    count = len(draft.selection.winners)
    return AuctionBundle(
        header=draft.header,
        terms=draft.terms,
        lists=tuple(sorted(draft.facts.lists)),
        forced=tuple(sorted(set(draft.facts.forced))),
        buckets=opened.buckets,
        verkle=tuple(opening.prove().encode() for opening in opened.verkle),
        mesh=opened.mesh,
        certificate=certificate,
        post_quantum=signer.sign(post_quantum_message(draft.header.digest())),
        next_committee=draft.facts.next_committee,
        body=Body(
            entries=rows[:count],
            left_out=rows[count:],
            causes=tuple(item.cause for item in draft.left_out),
            positions=opened.positions,
            paths=opened.paths,
            parcel=_parcel(draft.selection.parcel),
        ),
    )


def _parcel(parcel: Parcel | None) -> ParcelRow | None:
    if parcel is None:
        return None
    return ParcelRow(parcel.commit.account, parcel.commit.tier, parcel.payment, parcel.salt)


def _forced_leaves(
    selection: WindowSelection, left_out: Sequence[Exclusion], forced: Sequence[bytes]
) -> list[ForcedLeaf]:
    named = set(forced)
    found = [(winner, 0) for winner in selection.winners if winner.entry.leaf.txid in named]
    found += [(item.candidate, int(item.cause)) for item in left_out]
    return [
        ForcedLeaf(item.entry.leaf.txid, item.entry.leaf.txid in named, item.origin, cause, item.commit_id)
        for item, cause in found
    ]


def _parts(winner: Candidate, trees: WindowTrees) -> tuple[int, bytes | None, bytes, bytes]:
    entry = winner.entry
    return winner.origin, winner.commit_id, entry.transaction.raw, trees.leaves[entry.leaf.txid]


def _row(candidate: Candidate, bucket: int) -> Row:
    leaf = candidate.entry.leaf
    return Row(
        bucket=bucket,
        origin=int(candidate.origin),
        commit=candidate.commit_id or _NO_COMMIT,
        txid=leaf.txid,
        sender=leaf.sender,
        nonce=leaf.nonce,
        fee_per_w=leaf.fee_per_w,
        gas=leaf.gas,
        ts=leaf.ts,
        arrival_seq=leaf.arrival_seq,
        qos=leaf.qos,
        opaque=leaf.opaque,
        raw=candidate.entry.transaction.raw,
    )
