"""Write the vectors of the ledger's side of auctions.

``PYTHONPATH=appliance:. python scripts/auction_ledger_vectors.py`` writes ``docs/spec/vectors/auction-ledger.json``.
Tickets, seeds, ranks and a committee; the terms of targets and a genesis that brings them; outcomes, their parts, and
how what was paid is divided.
"""

from __future__ import annotations

import json
from typing import Any

from bpci_node.auction.outcome import Kind, Outcome, encode_outcomes, outcome_leaves, outcomes_root
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.defaults import community_target, default_parameters
from bpci_node.chain.draw import RACE_BITS, SEED_CONTEXT, race_of, ranked, ticket_input
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.parameters import Parameters
from bpci_node.chain.settling import mock_ledger_id
from bpci_node.chain.shares import Partner, Rates, divide
from bpci_node.chain.target_terms import ENTERPRISE, ServiceLevel, TargetTerms
from bpci_node.primitives import merkle
from bpci_node.primitives.amounts import POLICIES
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.hashing import derive, sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.primitives.vrf import VrfSigner, output_of
from scripts.make_vectors import DIRECTORY, hexed

BIRTH_MS = 1_767_225_600_000
REGISTRY = LocalSigner(b"\x01" * 32)
WEIGHTS = (100, 250, 250, 4_000, 1)
SIZE = 3
EPOCHS = (3, 4)
PARTS = ((0, 3), (3, 2))
"""First outcome and number of outcomes of each part that a window is settled in."""


def account(number: int) -> str:
    """Return the account of the key whose seed is one byte repeated."""
    return account_id_of(LocalSigner(bytes([number]) * 32).public_key)


def targets() -> tuple[TargetTerms, ...]:
    """A community chain and an enterprise."""
    community = community_target("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000)
    fields = {name: getattr(community, name) for name in TargetTerms.__dataclass_fields__}
    level = ServiceLevel("gold", 1_500, 10**7)
    fields |= {"target": "eip155:10", "kind": ENTERPRISE, "owner": account(9), "sla": level, "classes": (10, 100)}
    return community, TargetTerms(**fields)


def genesis() -> Genesis:
    """A ledger whose genesis brings both."""
    defaults = default_parameters(REGISTRY.public_key)
    parameters = Parameters(
        network=defaults.network,
        assets=defaults.assets,
        allocations=defaults.allocations,
        guardians=defaults.guardians,
        threshold=defaults.threshold,
        targets=targets(),
    )
    return Genesis("vectors", REGISTRY.public_key, BIRTH_MS, parameters)


def draws(ledger: Genesis) -> list[dict[str, Any]]:
    """Two epochs, each with the tickets of five validators; the second is drawn on the seed of the first."""
    seed, found = derive(SEED_CONTEXT, ledger.hash), []
    for epoch in EPOCHS:
        alpha = ticket_input(ledger.ledger_id, epoch, seed)
        proofs = [VrfSigner(bytes([number]) * 32).prove(alpha) for number in range(1, len(WEIGHTS) + 1)]
        tickets = [
            {"account": account(number), "output": output_of(proof), "weight": weight}
            for number, (proof, weight) in enumerate(zip(proofs, WEIGHTS, strict=True), 1)
        ]
        order = ranked(tickets)
        seats = tuple(seat(tickets.index(ticket) + 1, ticket["weight"]) for ticket in order[:SIZE])
        committee = Committee(epoch, seats)
        following = derive(SEED_CONTEXT, seed + b"".join(sorted(ticket["output"] for ticket in tickets)))
        found.append(
            {
                "epoch": epoch,
                "seed_before": seed,
                "alpha": alpha,
                "tickets": [
                    {**ticket, "vrf_seed": bytes([number]) * 32, "proof": proof, "race": str(race_of(ticket["output"]))}
                    for number, (ticket, proof) in enumerate(zip(tickets, proofs, strict=True), 1)
                ],
                "order": [ticket["account"] for ticket in order],
                "size": SIZE,
                "committee": {"map": committee.as_map(), "digest": committee.digest()},
                "seed": following,
            }
        )
        seed = following
    return found


def seat(number: int, weight: int) -> Seat:
    """Return the seat of a validator."""
    bls, quantum = BlsSigner(number), MlDsaSigner(bytes([number]) * 32)
    key = LocalSigner(bytes([number]) * 32).public_key
    return Seat(account(number), key, bls.public_key, quantum.public_key, weight)


def races() -> list[dict[str, Any]]:
    """Outputs at the ends of the range and beside powers of two, with their races."""
    numbers = (0, 1, 2, 3, 2**128, 2**129 - 1, 2**255, 2**511 - 1, 2**511, 2**512 - 1)
    return [{"output": number.to_bytes(64), "race": str(race_of(number.to_bytes(64)))} for number in numbers]


def settlement() -> dict[str, Any]:
    """Outcomes of a window, and the parts in which they are shown."""
    kinds = ((Kind.WON, 80), (Kind.LOST, 0), (Kind.CARRIED, 0), (Kind.UNREVEALED, 50), (Kind.VOID, 0))
    outcomes = [
        Outcome(sha256(b"commit %d" % number), account(number + 1), number % 2, kind, amount)
        for number, (kind, amount) in enumerate(kinds)
    ]
    leaves = outcome_leaves(outcomes)
    return {
        "outcomes": [outcome.as_list() for outcome in outcomes],
        "leaves": leaves,
        "root": outcomes_root(outcomes),
        "parts": [
            {
                "first": first,
                "total": len(outcomes),
                "outcomes": encode_outcomes(outcomes[first : first + count]),
                "proof": merkle.prove(leaves, list(range(first, first + count))),
            }
            for first, count in PARTS
        ],
    }


def shares() -> list[dict[str, Any]]:
    """Divisions by each policy, with and without partners and a committee that is paid."""
    partners = {"eip155:10": Partner(700, 3_000), "eip155:137": Partner(300, 1_000), "eip155:8453": Partner(0, 77)}
    strangers = {"eip155:10": Partner(0, 0)}
    committee = {account(number): WEIGHTS[number - 1] for number in (4, 2, 3)}
    found = []
    for policy in POLICIES:
        for total, given, rates, paid in (
            (1_000_003, partners, Rates(5_000, 2_000), committee),
            (7, partners, Rates(10_000, 10_000), committee),
            (99_999, strangers, Rates(5_000, 2_000), {}),
        ):
            division = divide(total, policy, rates=rates, partners=given, committee=paid)
            found.append(
                {
                    "total": str(total),
                    "policy": policy,
                    "contribution_bps": rates.contribution_bps,
                    "committee_bps": rates.committee_bps,
                    "partners": {name: [item.contribution, item.stake] for name, item in given.items()},
                    "seats": paid,
                    "wallets": {name: str(amount) for name, amount in sorted(division.wallets.items())},
                    "to_partners": {name: str(amount) for name, amount in sorted(division.partners.items())},
                    "to_seats": {name: str(amount) for name, amount in sorted(division.committee.items())},
                }
            )
    return found


def vectors() -> str:
    """Return the text of ``docs/spec/vectors/auction-ledger.json``."""
    ledger = genesis()
    value = {
        "about": "docs/spec/vrf.md, auction.md (terms), shares.md; seeds of keys are one byte repeated",
        "ledger_id": ledger.ledger_id,
        "mock_ledger_id": mock_ledger_id(ledger.ledger_id),
        "genesis": ledger.encode(),
        "genesis_hash": ledger.hash,
        "race_bits": RACE_BITS,
        "targets": [{"map": terms.as_map(), "digest": terms.digest()} for terms in targets()],
        "races": races(),
        "draws": draws(ledger),
        "settlement": settlement(),
        "shares": shares(),
    }
    return json.dumps(hexed(value), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (DIRECTORY / "auction-ledger.json").write_text(vectors(), encoding="utf-8")
