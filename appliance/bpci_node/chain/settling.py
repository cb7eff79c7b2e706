"""How a committee settles a final window: on the ledger, or nowhere but in its own database.

The two are different types with different ledger ids. On a network that trades value, :class:`LedgerSettlement` makes
the commands that move it. On one that plays, headers, commits and votes name :func:`mock_ledger_id`, which is no
ledger's, so nothing that was ever signed there can be settled on one; :class:`MockSettlement` makes records of what
would have been paid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.auction.certificate import Certificate, verify_certificate
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.outcome import Kind, Outcome, encode_outcomes, outcome_leaves, outcomes_root
from bpci_node.chain.committee import Committee
from bpci_node.chain.forms import body_map
from bpci_node.chain.settlement import Part
from bpci_node.chain.shares import Partner, Rates, divide
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import ProofError, RefusedError
from bpci_node.primitives import merkle
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive

MOCK_CONTEXT = "bpci 2026 auction mock ledger v1"
MOCK_NAME = "mock"
PART_OUTCOMES = 120
"""Outcomes of one command: with proof, header and certificate they stay below its bound."""
SETTLE = "auction.settle"


def mock_ledger_id(ledger_id: str) -> str:
    """Return the ledger id under which auctions of that ledger are played; no ledger has it."""
    return f"{MOCK_NAME}:{derive(MOCK_CONTEXT, ledger_id.encode('ascii')).hex()}"


@dataclass(frozen=True, slots=True)
class LedgerSettlement:
    """Settles on the ledger."""

    ledger_id: str
    """The ledger's own id."""

    def commands(
        self, header: AuctionHeader, certificate: Certificate, outcomes: Sequence[Outcome]
    ) -> list[tuple[str, dict[str, Any]]]:
        """Return kind and body of the commands that settle a window, in the order in which they are sent.

        Raises:
            RefusedError: the header is of another ledger (``chain.ledger``).
        """
        _require_ledger(header, self.ledger_id)
        leaves, encoded = outcome_leaves(outcomes), header.encode()
        parts = []
        for first in range(0, max(len(outcomes), 1), PART_OUTCOMES):
            part = outcomes[first : first + PART_OUTCOMES]
            proof = merkle.prove(leaves, range(first, first + len(part))) if part else []
            body = Part(
                encoded, None if first else certificate, len(outcomes), first, encode_outcomes(part), tuple(proof)
            )
            parts.append((SETTLE, body_map(body)))
        return parts


@dataclass(frozen=True, slots=True)
class MockSettlement:
    """Settles nothing: says what would have been paid."""

    ledger_id: str
    """What :func:`mock_ledger_id` says."""

    def record(
        self,
        header: AuctionHeader,
        certificate: Certificate,
        outcomes: Sequence[Outcome],
        *,
        committee: Committee,
        terms: TargetTerms,
        rates: Rates,
        partners: Mapping[str, Partner],
    ) -> bytes:
        """Return the record of a window that was played, canonical CBOR, once everything about it was checked.

        Raises:
            RefusedError: the header is of another ledger (``chain.ledger``).
            ProofError: the certificate does not hold (``certificate.*``), or these are other outcomes
                (``proof.merkle``).
        """
        _require_ledger(header, self.ledger_id)
        verify_certificate(committee, header.digest(), certificate)
        if outcomes_root(outcomes) != header.outcomes_root:
            raise ProofError("these are not the outcomes of the header", code="proof.merkle")
        paid = {committee.seats[seat].account: committee.seats[seat].weight for seat in certificate.seats()}
        revenue = sum(item.amount for item in outcomes if item.kind is Kind.WON)
        division = divide(revenue, terms.policy, rates=rates, partners=partners, committee=paid)
        return encode(
            {
                "v": 1,
                "ledger_id": self.ledger_id,
                "header": header.digest(),
                "window": header.window.as_list(),
                "sequence": header.sequence,
                "asset": terms.asset,
                "revenue": revenue,
                "forfeited": sum(item.amount for item in outcomes if item.kind is Kind.UNREVEALED),
                "wallets": dict(division.wallets),
                "partners": dict(division.partners),
                "committee": dict(division.committee),
            }
        )


def _require_ledger(header: AuctionHeader, ledger_id: str) -> None:
    if header.ledger_id != ledger_id:
        raise RefusedError("the header is of another ledger", code="chain.ledger")
