"""A final window as the commands that settle it on the ledger: its outcomes in parts, each with a proof of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bpci_node.auction.certificate import Certificate
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.outcome import Outcome, encode_outcomes, outcome_leaves
from bpci_node.primitives import merkle

PART = 100
"""Outcomes of one command: with their proof they stay well below what a command holds."""


def settlement_parts(
    header: AuctionHeader, certificate: Certificate, outcomes: Sequence[Outcome]
) -> list[dict[str, Any]]:
    """Return the bodies of ``auction.settle`` that settle a window, in the order in which they are sent."""
    total = len(outcomes)
    leaves = outcome_leaves(outcomes)
    parts = []
    for first in range(0, total, PART) or (0,):
        chosen = outcomes[first : first + PART]
        proof = merkle.prove(leaves, range(first, first + len(chosen))) if chosen else []
        parts.append(
            {
                "header": header.encode(),
                "certificate": certificate.as_map() if first == 0 else None,
                "total": total,
                "first": first,
                "outcomes": encode_outcomes(chosen),
                "proof": list(proof),
            }
        )
    return parts
