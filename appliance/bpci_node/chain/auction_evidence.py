"""``auction.report_*``: evidence that a seat of a committee contradicted itself. Anyone may bring it.

A seat votes for one header of a window, and a coordinator closes one set of its commits; both are remembered on disk
before anything is signed. Whoever signed two is slashed and jailed, once for each window. Votes come alone or added
up: a bitmap says whose they are, and whoever stands in both is at fault. A set that has not what a receipt of the same
coordinator says stands in it is the same lie as a second set: there are two histories, and both are signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bpci_node.auction.certificate import Certificate, verify_votes
from bpci_node.auction.commit_receipt import MAX_BYTES as MAX_RECEIPT_BYTES
from bpci_node.auction.commit_receipt import verify_commit_receipt
from bpci_node.auction.commit_set import MAX_BYTES as MAX_SET_BYTES
from bpci_node.auction.commit_set import CommitSet, Omission, verify_omission, verify_set_signature
from bpci_node.auction.header import MAX_HEADER_BYTES, AuctionHeader
from bpci_node.auction.window import SEQUENCE_BITS
from bpci_node.chain.context import Context, Event
from bpci_node.chain.draw import committee_of
from bpci_node.chain.forms import DIGEST, Form, Spec, blob_up_to, optional
from bpci_node.chain.service import CERTIFICATE
from bpci_node.chain.slashing import punish
from bpci_node.chain.state import Overlay
from bpci_node.errors import RefusedError
from bpci_node.primitives.fields import Fields

_HEADER = blob_up_to(MAX_HEADER_BYTES)
_SET = blob_up_to(MAX_SET_BYTES)


def _read_path(fields: Fields, name: str) -> tuple[bytes, ...]:
    found = fields.items(name, SEQUENCE_BITS)
    if any(type(item) is not bytes or len(item) != 32 for item in found):
        raise fields.wrong(f"needs hashes of 32 bytes in {name!r}")
    return tuple(found)


_PATH = Form(f"list of at most {SEQUENCE_BITS} hashes of 32 bytes", _read_path, list)


@dataclass(frozen=True, slots=True)
class DoubleVote:
    """Body of ``auction.report_headers``."""

    first: Annotated[bytes, Spec(_HEADER, "A header, encoded.")]
    first_votes: Annotated[Certificate, Spec(CERTIFICATE, "Votes for it, of one seat or more.")]
    second: Annotated[bytes, Spec(_HEADER, "Another header of the same window.")]
    second_votes: Annotated[Certificate, Spec(CERTIFICATE, "Votes for that.")]


@dataclass(frozen=True, slots=True)
class DoubleSet:
    """Body of ``auction.report_sets``."""

    first: Annotated[bytes, Spec(_SET, "A coordinator's signed set of commits.")]
    second: Annotated[bytes, Spec(_SET, "Another one, for the same window.")]


@dataclass(frozen=True, slots=True)
class OmittedCommit:
    """Body of ``auction.report_omission``."""

    receipt: Annotated[bytes, Spec(blob_up_to(MAX_RECEIPT_BYTES), "A coordinator's receipt of a commit, encoded.")]
    commit_set: Annotated[bytes, Spec(_SET, "The set of commits that the same coordinator signed for that window.")]
    commit_id: Annotated[
        bytes | None,
        Spec(optional(DIGEST), "The commit that stands where the receipt says; null: the set has no such position."),
    ]
    path: Annotated[tuple[bytes, ...], Spec(_PATH, "Audit path of that commit in the set.")]


def report_headers(state: Overlay, context: Context, body: DoubleVote) -> list[Event]:
    """Slash the seats that voted for two headers of one window.

    Raises:
        FormatError: no headers (``header.format``).
        RefusedError: no contradiction (``auction.evidence``), of another ledger (``chain.ledger``), a seat that is no
            validator (``validator.unknown``), or all of it punished already (``validator.punished``).
        NotFoundError: the committee is not kept any more (``auction.no_committee``).
        ProofError: the votes do not hold (``certificate.*``).
    """
    first, second = AuctionHeader.decode(body.first), AuctionHeader.decode(body.second)
    same = (first.ledger_id, first.epoch, first.window) == (second.ledger_id, second.epoch, second.window)
    both = sorted(set(body.first_votes.seats()) & set(body.second_votes.seats()))
    if not same or first.digest() == second.digest() or not both:
        raise RefusedError("no seat voted here for two headers of one window", code="auction.evidence")
    if first.ledger_id != context.ledger_id:
        raise RefusedError("the headers are of another ledger", code="chain.ledger")
    committee = committee_of(state, first.epoch)
    verify_votes(committee, first.digest(), body.first_votes)
    verify_votes(committee, second.digest(), body.second_votes)
    offence: list[str | int | bytes] = ["header", first.target, first.qlock_ms, first.index]
    events, refusal = [], None
    for seat in both:
        try:
            events += punish(state, context, committee.seats[seat].account, offence)
        except RefusedError as error:  # one of them may have been punished before, by single votes
            refusal = error
    if not events and refusal is not None:
        raise refusal
    return events


def report_sets(state: Overlay, context: Context, body: DoubleSet) -> list[Event]:
    """Slash the coordinator that signed two sets of commits for one window.

    Raises:
        FormatError: no sets (``commit.set``).
        RefusedError: no contradiction (``auction.evidence``), no validator (``validator.unknown``), or punished already
            (``validator.punished``).
        NotFoundError: the committee is not kept any more (``auction.no_committee``).
        ProofError: of another ledger or coordinator, or not signed (``commit.set``, ``proof.signature``).
    """
    first, second = CommitSet.decode(body.first), CommitSet.decode(body.second)
    if (first.epoch, first.window) != (second.epoch, second.window) or first.digest() == second.digest():
        raise RefusedError("these are not two sets of commits of one window", code="auction.evidence")
    coordinator = committee_of(state, first.epoch).coordinator
    for found in (first, second):
        verify_set_signature(found, coordinator=coordinator.node_key, ledger_id=context.ledger_id)
    return punish(state, context, coordinator.account, ["set", *first.window.as_list()])


def report_omission(state: Overlay, context: Context, body: OmittedCommit) -> list[Event]:
    """Slash the coordinator that left a commit out of its set, or moved it, after it had given a receipt.

    Raises:
        FormatError: no set (``commit.set``).
        RefusedError: no validator (``validator.unknown``), or punished already for this window
            (``validator.punished``).
        NotFoundError: the committee is not kept any more (``auction.no_committee``).
        ProofError: the set or the receipt is another coordinator's, another ledger's, or not signed (``commit.set``,
            ``commit.receipt``, ``proof.signature``); the set has the commit where the receipt says
            (``commit.not_omitted``), or not the other one that the evidence names (``proof.merkle``).
    """
    found = CommitSet.decode(body.commit_set)
    coordinator = committee_of(state, found.epoch).coordinator
    verify_set_signature(found, coordinator=coordinator.node_key, ledger_id=context.ledger_id)
    receipt = verify_commit_receipt(body.receipt, coordinator=coordinator.node_key, ledger_id=context.ledger_id)
    verify_omission(receipt, found, Omission(body.commit_id, body.path))
    return punish(state, context, coordinator.account, ["set", *found.window.as_list()])
