"""A committee, a target and windows of a few entries, sealed: what the tests of headers and bundles share."""

from dataclasses import replace

from bpci_node.auction.candidates import Candidate, Origin, public_candidate
from bpci_node.auction.header import NO_PARENT
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.seal_auction import WindowFacts, draft_window, prove_window
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.chain.account import account_id_of
from bpci_node.chain.target_terms import Tier
from bpci_node.mempool.entry import make_entry
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from scripts.auction_scene import members, target_terms

LEDGER = "testnet:" + "ab" * 32
WINDOW = WindowId("eip155:1", 100, 7)
TERMS = target_terms(
    region=3,
    gas_limit=400_000,
    classes=(50, 100),
    seal_ms=400,
    forced_gas_bps=2_500,
    tiers=(Tier(0, 10**9, 10**9),),
)


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
