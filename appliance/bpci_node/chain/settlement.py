"""``auction.settle``: what a final header says of bonds and payments, done on the ledger.

The ledger follows each target's chain of headers, one after the other, by the committee's certificate alone. A window's
outcomes come in parts, each with a Merkle proof against the header, since a command holds a few hundred; the first part
brings the certificate. Whatever a part says is applied once. Where the chain has a gap that nobody closed in time, what
comes behind it may be settled in the last epoch in which it can be; bonds of the windows in the gap go back by
``auction.reclaim``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.header import MAX_HEADER_BYTES, AuctionHeader
from bpci_node.auction.outcome import MAX_OUTCOMES, Kind, Outcome, decode_outcomes, outcome_leaves
from bpci_node.auction.window import phases_of
from bpci_node.chain.assets import balance, credit, debit
from bpci_node.chain.context import Context, Event
from bpci_node.chain.draw import committee_of
from bpci_node.chain.earnings import note_pay
from bpci_node.chain.emergency import halt_of
from bpci_node.chain.epochs import load_epochs
from bpci_node.chain.escrow import add_to_escrow
from bpci_node.chain.forfeits import Forfeit, forfeit
from bpci_node.chain.forms import Form, Spec, blob_up_to, integer, optional
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.lines import SETTLE_EPOCHS, Line, LineId, is_over, load_line, store_line
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.partners import add_due, note_contribution, partners_of
from bpci_node.chain.service import CERTIFICATE, mark_answered
from bpci_node.chain.shares import Rates, divide
from bpci_node.chain.slashing import take_from_stake
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.chain.targets import terms_of
from bpci_node.chain.wallets import AUCTION, RESERVE, WALLETS
from bpci_node.errors import RefusedError
from bpci_node.primitives import merkle
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.record import load_record, save_record

MAX_PART_BYTES = 12_000
"""Longest encoding of a part's outcomes: some 130 of them."""
MAX_PROOF = 64
"""Hashes of a part's proof, at most."""


def _read_hashes(fields: Fields, name: str) -> tuple[bytes, ...]:
    found = fields.items(name, MAX_PROOF)
    if any(type(item) is not bytes or len(item) != 32 for item in found):
        raise fields.wrong(f"needs hashes of 32 bytes in {name!r}")
    return tuple(found)


_HASHES = Form(f"list of at most {MAX_PROOF} hashes of 32 bytes", _read_hashes, list)


@dataclass(frozen=True, slots=True)
class Part:
    """Body of ``auction.settle``."""

    header: Annotated[bytes, Spec(blob_up_to(MAX_HEADER_BYTES), "The final header, encoded.")]
    certificate: Annotated[
        Certificate | None, Spec(optional(CERTIFICATE), "The committee's, in the first part; null later.")
    ]
    total: Annotated[int, Spec(integer(0, MAX_OUTCOMES), "How many outcomes the window has.")]
    first: Annotated[int, Spec(integer(0, MAX_OUTCOMES), "Which of them come first in this part, counted from 0.")]
    outcomes: Annotated[bytes, Spec(blob_up_to(MAX_PART_BYTES), "A list of outcomes that follow one another, encoded.")]
    proof: Annotated[tuple[bytes, ...], Spec(_HASHES, "Merkle multiproof of them against the header.")]


@dataclass(frozen=True, slots=True)
class Settled:
    """How far the ledger has settled a target's chain of headers."""

    epoch: int
    """Epoch of the last header."""
    sequence: int
    """Its sequence."""
    digest: bytes
    """Its digest, 32 bytes."""
    total: int
    """Its outcomes."""
    done: int
    """How many of them are settled."""
    seats: tuple[int, ...]
    """Seats that voted for it, which are paid."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "epoch": self.epoch,
            "sequence": self.sequence,
            "digest": self.digest,
            "total": self.total,
            "done": self.done,
            "seats": list(self.seats),
        }


def load_settled(state: View, target: str) -> Settled | None:
    """Return how far a target's chain is settled, ``None`` before its first header."""
    data = state.get(_entry(target))
    if data is None:
        return None
    stored = load_record(data)
    del stored["v"]
    return Settled(**stored | {"seats": tuple(stored["seats"])})


def settle(state: Overlay, context: Context, body: Part) -> list[Event]:
    """Settle a window, or a part of it. Anyone may send it: the certificate speaks.

    Raises:
        FormatError: no header or outcomes (``header.format``, ``outcome.format``).
        RefusedError: of another ledger (``chain.ledger``), too late (``auction.settle_late``), of a window that opened
            in a halt (``auction.halted``) or in another epoch than it says (``auction.epoch``), settled already
            (``auction.settled``), not next in its chain (``auction.order``), not the next part (``auction.part``), on
            other terms (``auction.terms``), with bonds that are not reserved (``auction.line``), or an amount that its
            tier does not allow (``auction.amount``).
        NotFoundError: no such target or committee (``auction.target``, ``auction.no_committee``).
        ProofError: the certificate or the proof does not hold (``certificate.*``, ``proof.merkle``).
    """
    header = AuctionHeader.decode(body.header)
    if header.ledger_id != context.ledger_id:
        raise RefusedError("the header is of another ledger", code="chain.ledger")
    if is_over(state, header.epoch, context.ledger_ms):
        raise RefusedError(
            f"a window is settled within {SETTLE_EPOCHS} epochs after its own",
            code="auction.settle_late",
            hint="Its bonds can be taken back with auction.reclaim.",
        )
    terms, digest = terms_of(state, header.target, header.epoch), header.digest()
    events: list[Event] = []
    settled = load_settled(state, header.target)
    if settled is None or settled.digest != digest:
        settled, events = _begin(state, context, body, header, terms)
    elif settled.done == settled.total:
        raise RefusedError("this window is settled", code="auction.settled")
    if (body.first, body.total) != (settled.done, settled.total):
        raise RefusedError("this is not the next part", code="auction.part", first=settled.done)
    outcomes = _proved(body, header)
    revenue = apply_outcomes(state, header, terms, outcomes, first=body.first, total=body.total, context=context)
    events += share(state, header, terms, revenue, settled.seats)
    settled = replace(settled, done=settled.done + len(outcomes))
    state.put(_entry(header.target), save_record(settled.as_map()))
    fields: dict[str, str | int | bytes] = {
        "target": header.target,
        "sequence": header.sequence,
        "header": digest,
        "first": body.first,
        "count": len(outcomes),
        "asset": terms.asset,
        "amount": revenue,
    }
    return [Event("auction.settled", fields), *events]


def apply_outcomes(
    state: Overlay,
    header: AuctionHeader,
    terms: TargetTerms,
    outcomes: Sequence[Outcome],
    *,
    first: int,
    total: int,
    context: Context,
) -> int:
    """Do to bonds what outcomes say, and return what was paid out of them, which is the caller's to divide.

    Args:
        first: position of the first of them among the ``total`` of the window; those that were carried in come first.
    Raises:
        RefusedError: as :func:`settle` (``auction.line``, ``auction.amount``).
    """
    lines: dict[LineId, Line] = {}
    back: dict[str, int] = {}
    revenue, carried = 0, total - header.commits
    for position, outcome in enumerate(outcomes, first):
        if outcome.kind is Kind.CARRIED:
            continue
        name = LineId(header.epoch, header.target, outcome.account, outcome.tier)
        line = lines.get(name) or load_line(state, name)
        if line is None or line.open == 0:
            raise RefusedError("no bond is reserved for a commit of this window", code="auction.line")
        most = line.cap if outcome.kind is Kind.WON else line.bond
        if outcome.amount > most:
            raise RefusedError(f"an outcome moves {outcome.amount}, at most {most} is allowed", code="auction.amount")
        lines[name] = replace(line, open=line.open - 1)
        back[outcome.account] = back.get(outcome.account, 0) + line.bond - outcome.amount
        if outcome.kind is Kind.WON:
            revenue += outcome.amount
        elif outcome.amount:
            record = Forfeit(
                account=outcome.account,
                asset=line.asset,
                amount=outcome.amount,
                epoch=header.epoch,
                window=header.window,
                set_digest=header.commit_set or bytes(32),
                commits=header.commits,
                position=position - carried,
            )
            forfeit(state, outcome.commit_id, record, ledger_ms=context.ledger_ms)
    for name, line in lines.items():
        store_line(state, name, line)
    for account, amount in back.items():
        if amount:
            add_to_escrow(state, account, WALLETS[AUCTION], terms.asset, amount)
    return revenue


def share(state: Overlay, header: AuctionHeader, terms: TargetTerms, revenue: int, seats: Sequence[int]) -> list[Event]:
    """Divide what was paid, which the caller has taken out of bonds."""
    if revenue == 0:
        return []
    note_contribution(state, terms.target, terms.asset, header.epoch, revenue)
    committee = committee_of(state, header.epoch)
    partners, owners = partners_of(state, terms.asset, header.epoch)
    rates = Rates(load_parameter(state, "auction_contribution_bps"), load_parameter(state, "auction_committee_bps"))
    paid = {committee.seats[seat].account: committee.seats[seat].weight for seat in seats}
    division = divide(revenue, terms.policy, rates=rates, partners=partners, committee=paid)
    for name, amount in division.wallets.items():
        credit(state, WALLETS[name], terms.asset, amount)
    for target, amount in division.partners.items():
        add_due(state, owners[target], terms.asset, amount)
    for account, amount in division.committee.items():
        credit(state, account, terms.asset, amount)
        note_pay(state, account, terms.asset, header.epoch, amount)
    fields: dict[str, str | int | bytes] = {
        "target": terms.target,
        "asset": terms.asset,
        "policy": terms.policy,
        "amount": revenue,
        "partners": sum(division.partners.values()),
        "committee": sum(division.committee.values()),
    }
    return [Event("auction.shared", fields)]


def _begin(
    state: Overlay, context: Context, body: Part, header: AuctionHeader, terms: TargetTerms
) -> tuple[Settled, list[Event]]:
    """Take up the next header of a target's chain, once its committee's certificate holds."""
    epochs, halt = load_epochs(state), halt_of(state)
    if epochs.number_at(header.window.opens_ms) != header.epoch:
        raise RefusedError("the window opened in another epoch", code="auction.epoch")
    if halt is not None and halt.covers(header.window.opens_us):
        raise RefusedError("the window opened while the auctions were halted", code="auction.halted")
    if header.terms != terms.digest() or header.qlock_ms not in terms.classes:
        raise RefusedError("the header names other terms than the ledger's", code="auction.terms")
    is_last_chance = epochs.number_at(context.ledger_ms) >= header.epoch + SETTLE_EPOCHS
    _require_next(load_settled(state, header.target), header, is_last_chance=is_last_chance)
    if body.certificate is None:
        raise RefusedError("the first part brings the certificate", code="auction.part", first=0)
    verify_certificate(committee_of(state, header.epoch), header.digest(), body.certificate)
    seats = tuple(body.certificate.seats())
    settled = Settled(header.epoch, header.sequence, header.digest(), body.total, 0, seats)
    return settled, _credit_miss(state, header, terms)


def _require_next(settled: Settled | None, header: AuctionHeader, *, is_last_chance: bool) -> None:
    sequence, digest, is_whole = (0, bytes(32), True)
    if settled is not None:
        sequence, digest, is_whole = settled.sequence, settled.digest, settled.done == settled.total
    if header.sequence <= sequence:
        raise RefusedError("the chain of this target is settled beyond this window", code="auction.settled")
    follows = (header.sequence, header.parent) == (sequence + 1, digest) and is_whole
    if not follows and not is_last_chance:
        raise RefusedError(
            f"windows of a target are settled in order; the next header has sequence {sequence + is_whole}",
            code="auction.order",
            sequence=sequence + is_whole,
        )


def _credit_miss(state: Overlay, header: AuctionHeader, terms: TargetTerms) -> list[Event]:
    """Credit an enterprise for a window whose header came after the deadline of its service level."""
    if terms.sla is None or terms.owner is None:
        return []
    mark_answered(state, header.window, header.epoch)
    closes_us = phases_of(header.window, terms).closes_us
    if header.time_us <= closes_us + terms.sla.deadline_ms * 1000:
        return []
    coordinator, paid = committee_of(state, header.epoch).coordinator.account, 0
    if terms.asset == NATIVE:
        paid = take_from_stake(state, coordinator, terms.sla.credit, terms.owner)
    rest = min(terms.sla.credit - paid, balance(state, WALLETS[RESERVE], terms.asset))
    debit(state, WALLETS[RESERVE], terms.asset, rest)
    credit(state, terms.owner, terms.asset, rest)
    fields: dict[str, str | int | bytes] = {
        "target": terms.target,
        "sequence": header.sequence,
        "owner": terms.owner,
        "asset": terms.asset,
        "amount": paid + rest,
        "coordinator": coordinator,
        "from_stake": paid,
    }
    return [Event("auction.missed", fields)]


def _proved(body: Part, header: AuctionHeader) -> tuple[Outcome, ...]:
    outcomes = decode_outcomes(body.outcomes)
    if body.total == 0 and header.outcomes_root == merkle.EMPTY_ROOT and not outcomes and not body.proof:
        return ()
    leaves = outcome_leaves(outcomes, first=body.first, total=body.total)
    merkle.verify(list(enumerate(leaves, body.first)), body.total, body.proof, header.outcomes_root)
    return outcomes


def _entry(target: str) -> bytes:
    return b"auction-settled/" + target.encode("ascii")
