"""The ledger's side of auctions: windows settled, tickets proved and checked, a committee drawn.

Settlements are signed commands, decoded, checked, executed and rooted in blocks, as a sequencer does; signing them is
not part of the figures, nor is a disk. The ledger has a target with a committee of seven, all of which voted. All of
it is processor time of one core.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from bpci_node.auction.certificate import Certificate
from bpci_node.auction.header import NO_PARENT, AuctionHeader
from bpci_node.auction.outcome import Kind, Outcome, outcomes_root
from bpci_node.chain.account import account_id_of
from bpci_node.chain.beginning import first_writes
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.defaults import community_target, default_parameters
from bpci_node.chain.draw import committee_entry, ranked, ticket_input
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.lines import Line, LineId, store_line
from bpci_node.chain.machine import Machine
from bpci_node.chain.parameters import Parameters
from bpci_node.chain.settlement import load_settled
from bpci_node.chain.settling import LedgerSettlement
from bpci_node.chain.state import Overlay, State
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.primitives.bls import BlsSigner, aggregate
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.kzg import INFINITY
from bpci_node.primitives.merkle import EMPTY_ROOT
from bpci_node.primitives.record import save_record
from bpci_node.primitives.vrf import VrfSigner, output_of, verify_vrf

BIRTH_MS = 1_767_225_600_000
EPOCH = 1
SEATS, BIDDERS = 7, 100
LARGE, SMALL, ROUNDS = 10_000, 200, 3
TICKETS = 1_000
PROOFS = 200

REGISTRY, SENDER = LocalSigner(b"\x01" * 32), LocalSigner(b"\x02" * 32)
NODES = [LocalSigner(sha256(b"node %d" % number)) for number in range(SEATS)]
BLS = [BlsSigner(1_000 + number) for number in range(SEATS)]
NAMES = [account_id_of(LocalSigner(sha256(b"bidder %d" % number)).public_key) for number in range(BIDDERS)]
TERMS = community_target("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000)


def genesis() -> Genesis:
    """Return a genesis that auctions one chain."""
    defaults = default_parameters(REGISTRY.public_key)
    parameters = Parameters(
        defaults.network, defaults.assets, defaults.allocations, defaults.guardians, 1, targets=(TERMS,)
    )
    return Genesis("bench", REGISTRY.public_key, BIRTH_MS, parameters)


def ledger(found: Genesis, bonds: int) -> Machine:
    """Return a ledger with a committee in epoch 1, and so many bonds of each bidder's."""
    state = Overlay(State.of(first_writes(found).items()))
    seats = tuple(
        Seat(account_id_of(node.public_key), node.public_key, bls.public_key, number.to_bytes(1312), 10 + number)
        for number, (node, bls) in enumerate(zip(NODES, BLS, strict=True))
    )
    state.put(committee_entry(EPOCH), save_record(Committee(EPOCH, seats).as_map()))
    tier = TERMS.tiers[0]
    for name in NAMES:
        store_line(state, LineId(EPOCH, TERMS.target, name, 0), Line("BPI", tier.bond, tier.cap, bonds, bonds))
    entries = [(key, value) for key, value in state.writes.items() if value is not None]
    entries += [item for item in first_writes(found).items() if item[0] not in state.writes]
    return Machine(found, entries=entries, height=1, time_ms=BIRTH_MS + 600_000, version=2)


def outcomes(window: int, count: int) -> list[Outcome]:
    """Return the outcomes of a window: four of five win."""
    return [
        Outcome(
            sha256(b"%d %d" % (window, number)),
            NAMES[(window + number) % BIDDERS],
            0,
            Kind.LOST if number % 5 == 4 else Kind.WON,
            0 if number % 5 == 4 else 1_000 + number,
        )
        for number in range(count)
    ]


def header(found: Genesis, terms: TargetTerms, number: int, parent: bytes, ends: list[Outcome]) -> AuctionHeader:
    """Return the header of a window in which nothing is but its outcomes."""
    index = 6_000 + number
    return AuctionHeader(
        ledger_id=found.ledger_id,
        target=terms.target,
        epoch=EPOCH,
        qlock_ms=100,
        index=index,
        sequence=number + 1,
        parent=parent,
        time_us=(index + 1) * 100_000,
        terms=terms.digest(),
        commit_set=bytes(32),
        commits=len(ends),
        reveals=len(ends),
        outcomes_root=outcomes_root(ends),
        lists_root=bytes(32),
        forced_root=EMPTY_ROOT,
        entries_root=EMPTY_ROOT,
        count=0,
        gas_used=0,
        verkle_root=INFINITY,
        merkle_mesh_root=EMPTY_ROOT,
        candidates=0,
        buckets=0,
        next_committee=None,
    )


def commands(found: Genesis, windows: int, size: int) -> list[bytes]:
    """Return the signed commands that settle so many windows of ``size`` outcomes, one after the other."""
    signed: list[bytes] = []
    parent = NO_PARENT
    for number in range(windows):
        ends = outcomes(number, size)
        final = header(found, TERMS, number, parent, ends)
        parent = final.digest()
        votes = Certificate(bytes([(1 << SEATS) - 1]), aggregate([signer.sign(parent) for signer in BLS]))
        for kind, body in LedgerSettlement(found.ledger_id).commands(final, votes, ends):
            name = account_id_of(SENDER.public_key)
            command = Command(found.ledger_id, name, len(signed), 10_000, kind, body)
            signed.append(sign_command(SENDER, command).encode())
    return signed


def settle(found: Genesis, windows: int, size: int) -> float:
    """Settle windows in one block and return what it took, seconds of processor time."""
    machine, signed = ledger(found, windows * size // BIDDERS + 1), commands(found, windows, size)
    started = time.process_time()
    block = machine.finalize(2, machine.time_ms + 1000, signed)
    machine.commit()
    taken = time.process_time() - started
    refused = [result.error for result in block.results if result.error is not None]
    last = load_settled(machine.state, TERMS.target)
    if refused or last is None or (last.sequence, last.done) != (windows, size):
        raise AssertionError(f"not everything was settled: {refused[:1]}")
    return taken


def each(work: Callable[[int], object]) -> float:
    """Return how often a second of processor time a piece of work is done."""
    started = time.process_time()
    for number in range(PROOFS):
        work(number)
    return PROOFS / (time.process_time() - started)


def run() -> list[dict[str, Any]]:
    """Return the rows."""
    found = genesis()
    large = median(settle(found, 1, LARGE) for _ in range(ROUNDS))
    small = median(settle(found, SMALL, 1) for _ in range(ROUNDS))
    signer, seed = VrfSigner(b"\x07" * 32), bytes(32)
    inputs = [ticket_input(found.ledger_id, number, seed) for number in range(PROOFS)]
    proofs = [signer.prove(alpha) for alpha in inputs]
    tickets = [
        {"account": NAMES[number % BIDDERS], "output": sha256(b"%d" % number) * 2, "weight": 1 + number % 97}
        for number in range(TICKETS)
    ]
    started = time.process_time()
    ranked(tickets)
    drawn = time.process_time() - started
    return [
        {
            "name": f"ledger: outcomes settled, a window of {LARGE:,}",
            "value": LARGE / large,
            "unit": "/s",
            "target": "-",
        },
        {"name": f"ledger: a window of {LARGE:,} outcomes settled", "value": large, "unit": "s", "target": "-"},
        {"name": "ledger: windows settled, one outcome each", "value": SMALL / small, "unit": "/s", "target": "-"},
        {
            "name": "VRF: tickets proved",
            "value": each(lambda number: signer.prove(inputs[number])),
            "unit": "/s",
            "target": "-",
        },
        {
            "name": "VRF: tickets verified",
            "value": each(lambda number: verify_vrf(signer.public_key, inputs[number], proofs[number])),
            "unit": "/s",
            "target": "-",
        },
        {
            "name": "VRF: outputs read of proofs",
            "value": each(lambda number: output_of(proofs[number])),
            "unit": "/s",
            "target": "-",
        },
        {"name": f"draw: {TICKETS:,} tickets ranked", "value": drawn * 1000, "unit": "ms", "target": "-"},
    ]
