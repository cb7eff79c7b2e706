"""Made-up targets and committees that vectors, benchmarks and tests of auctions share; their keys guard nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.auction.certificate import Certificate, aggregate_votes
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.target_terms import COMMUNITY, TargetTerms, Tier
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner


def target_terms(**changes: Any) -> TargetTerms:
    """Return the terms of a community target, with these fields instead."""
    fields: dict[str, Any] = {
        "target": "eip155:1",
        "kind": COMMUNITY,
        "owner": None,
        "base_fee_wei": 50,
        "fee_bin_wei": 20,
        "region": 0,
        "gas_limit": 1_000_000,
        "classes": (10, 20, 50, 100),
        "reveal_ms": 200,
        "seal_ms": 300,
        "asset": "BPI",
        "wei_per_unit": 1_000,
        "forced_gas_bps": 0,
        "policy": "auction-25",
        "sla": None,
        "tiers": (Tier(1, 1_000, 1_000), Tier(2, 100_000, 50_000)),
    }
    return TargetTerms(**(fields | changes))


def seated(
    epoch: int,
    nodes: Sequence[LocalSigner],
    voters: Sequence[BlsSigner],
    quantum_keys: Iterable[bytes],
    weights: Iterable[int],
) -> Committee:
    """Return the committee of nodes with these keys, in this order."""
    rows = zip(nodes, voters, quantum_keys, weights, strict=True)
    return Committee(
        epoch,
        tuple(
            Seat(account_id_of(node.public_key), node.public_key, voter.public_key, key, weight)
            for node, voter, key, weight in rows
        ),
    )


def classical_committee(epoch: int, nodes: Sequence[LocalSigner], voters: Sequence[BlsSigner]) -> Committee:
    """Return a committee of equal weights in which nobody signs post-quantum: those keys are bare numbers."""
    count = len(nodes)
    return seated(epoch, nodes, voters, [number.to_bytes(1312) for number in range(count)], [10] * count)


@dataclass(frozen=True)
class Members:
    """A committee with everybody's keys."""

    committee: Committee
    voters: list[BlsSigner]
    nodes: list[LocalSigner]
    quantum: list[MlDsaSigner]

    def certify(self, digest: bytes, seats: Iterable[int] = (0, 1, 2)) -> Certificate:
        """Return the certificate of these seats' votes for a digest."""
        return aggregate_votes(self.committee, {seat: self.voters[seat].sign(digest) for seat in seats})


def members(epoch: int = 1, first: int = 1, weights: Sequence[int] = (10, 10, 10, 10)) -> Members:
    """Return a committee whose keys are the numbers from ``first`` on, a weight for each seat."""
    numbers = range(first, first + len(weights))
    nodes = [LocalSigner(number.to_bytes(32)) for number in numbers]
    voters = [BlsSigner(number) for number in numbers]
    quantum = [MlDsaSigner(number.to_bytes(32)) for number in numbers]
    committee = seated(epoch, nodes, voters, [key.public_key for key in quantum], weights)
    return Members(committee, voters, nodes, quantum)
