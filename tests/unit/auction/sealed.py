"""A committee, a target and windows of a few entries, sealed: what the tests of headers and bundles share."""

from dataclasses import dataclass, replace

from bpci_node.auction.candidates import Candidate, Origin, public_candidate
from bpci_node.auction.certificate import aggregate_votes
from bpci_node.auction.header import NO_PARENT
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.seal_auction import WindowFacts, draft_window, prove_window
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.target_terms import COMMUNITY, TargetTerms, Tier
from bpci_node.mempool.entry import make_entry
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner

LEDGER = "testnet:" + "ab" * 32
WINDOW = WindowId("eip155:1", 100, 7)
TERMS = TargetTerms(
    target="eip155:1",
    kind=COMMUNITY,
    owner=None,
    base_fee_wei=50,
    fee_bin_wei=20,
    region=3,
    gas_limit=400_000,
    classes=(50, 100),
    reveal_ms=200,
    seal_ms=400,
    asset="BPI",
    wei_per_unit=1_000,
    forced_gas_bps=2_500,
    policy="auction-25",
    sla=None,
    tiers=(Tier(0, 10**9, 10**9),),
)


@dataclass(frozen=True)
class Members:
    """A committee with everybody's keys."""

    committee: Committee
    voters: list[BlsSigner]
    nodes: list[LocalSigner]
    quantum: list[MlDsaSigner]

    def certify(self, digest, seats=(0, 1, 2)):
        return aggregate_votes(self.committee, {seat: self.voters[seat].sign(digest) for seat in seats})


def members(epoch=1, first=1, weights=(10, 10, 10, 10)):
    numbers = range(first, first + len(weights))
    nodes = [LocalSigner(number.to_bytes(32)) for number in numbers]
    voters = [BlsSigner(number) for number in numbers]
    quantum = [MlDsaSigner(number.to_bytes(32)) for number in numbers]
    seats = tuple(
        Seat(account_id_of(node.public_key), node.public_key, voter.public_key, key.public_key, weight)
        for node, voter, key, weight in zip(nodes, voters, quantum, weights, strict=True)
    )
    return Members(Committee(epoch, seats), voters, nodes, quantum)


def hidden(raw, number, *, origin=Origin.REVEALED, terms=TERMS, window=WINDOW):
    """The candidate of commit ``number`` of a window."""
    seq = window.first_seq + number
    entry = make_entry(
        decode_transaction(raw), terms.config(window.qlock_ms), arrival_seq=seq, arrival_ms=window.opens_ms
    )
    return Candidate(entry, origin, sha256(b"commit %d" % seq))


def public(raw, *, is_forced=False, terms=TERMS, window=WINDOW):
    return public_candidate(decode_transaction(raw), window, terms, LEDGER, is_forced=is_forced)


def facts_of(candidates, **changes):
    commits = [item for item in candidates if item.origin is Origin.REVEALED]
    forced = tuple(item.entry.leaf.txid for item in candidates if item.origin is Origin.FORCED)
    facts = WindowFacts(
        LEDGER, 1, WINDOW, 1, NO_PARENT, 900_000, sha256(b"set") if commits else None, len(commits), len(commits)
    )
    return replace(facts, **({"forced": forced} | changes))


def stakes_of(candidates):
    account = account_id_of(LocalSigner(b"\x07" * 32).public_key)
    return [Stake(item.commit_id, account, 0) for item in candidates if item.commit_id is not None]


def draft(candidates, terms=TERMS, **changes):
    facts = facts_of(candidates, **changes)
    selection = select_window(candidates, terms, carry=facts.next_committee is None)
    return draft_window(selection, outcomes_of(stakes_of(candidates), selection, terms, lambda _: 5), terms, facts)


def bundle(made, by=None):
    group = by or members()
    return prove_window(made, group.certify(made.header.digest()), group.quantum[0])


def txid(candidate):
    return candidate.entry.leaf.txid
