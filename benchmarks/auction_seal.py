"""Sealing a window of 10,000 revealed entries over 500 buckets, and verifying its bundle.

Transactions are real ones, each signed with a key of its own (EIP-1559, 21,000 to 1,100,000 gas), 20 to a bucket, and
all of them run. "Spread": bins drawn at random over four gas classes; "neighbours": 500 adjacent bins of one class. The
committee has seven seats of equal weight. The header counts as final when the votes of five are added up and checked;
what notaries select again in processes of their own runs at the same time and is not counted twice. Times are the
median of five runs by the wall clock, with the garbage collector as the node sets it.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import rlp
from coincurve import PrivateKey

from bpci_node.auction.auction_bundle import AuctionBundle, post_quantum_message
from bpci_node.auction.candidates import Candidate, Origin
from bpci_node.auction.certificate import count_votes, verify_certificate
from bpci_node.auction.header import NO_PARENT
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.seal_auction import Draft, WindowFacts, draft_window, prove_window
from bpci_node.auction.verify_auction import verify_auction
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.auction.window_trees import WindowTrees
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.target_terms import Tier
from bpci_node.mempool.entry import make_entry
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.hashing import derive, keccak256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.mldsa import MlDsaSigner
from bpci_node.runtime.process import COLLECTION
from scripts.auction_scene import target_terms

BUCKETS, EACH, SEATS = 500, 20, 7
BIN_WEI = 1_000_000
LEDGER = "bench:" + "00" * 32
WINDOW = WindowId("eip155:1", 100, 7)
GAS = (21_000, 100_000, 400_000, 1_100_000)
TERMS = target_terms(
    base_fee_wei=0,
    fee_bin_wei=BIN_WEI,
    gas_limit=2**40,
    classes=(WINDOW.qlock_ms,),
    seal_ms=400,
    wei_per_unit=10**9,
    forced_gas_bps=500,
    tiers=(Tier(0, 2**62, 2**62),),
)


def signed(number: int, fee: int, gas: int) -> bytes:
    """Return a signed transaction of the key of that number."""
    fields = [1, 0, fee, fee, gas, b"\x22" * 20, number, b"", []]
    digest = keccak256(b"\x02" + rlp.encode(fields))
    signature = PrivateKey((number + 1).to_bytes(32, "big")).sign_recoverable(digest, hasher=None)
    values = (signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"))
    return b"\x02" + rlp.encode([*fields, *values])


def candidates(*, is_spread: bool) -> list[Candidate]:
    """Return revealed candidates, in the order of their commits."""
    randomness = random.Random(6)  # noqa: S311 - the same input each time
    if is_spread:
        places = [(randomness.randrange(65_535), GAS[number % len(GAS)]) for number in range(BUCKETS)]
    else:
        places = [(number, GAS[0]) for number in range(BUCKETS)]
    bids = [(number * BIN_WEI + randomness.randrange(BIN_WEI), gas) for number, gas in places for _ in range(EACH)]
    randomness.shuffle(bids)
    target = TERMS.config(WINDOW.qlock_ms)
    found = []
    for number, (fee, gas) in enumerate(bids):
        tx = decode_transaction(signed(number, fee, gas))
        entry = make_entry(tx, target, arrival_seq=WINDOW.first_seq + number, arrival_ms=WINDOW.opens_ms)
        found.append(Candidate(entry, Origin.REVEALED, derive("bpci 2026 auction commit id v1", number.to_bytes(8))))
    return found


def committee() -> tuple[Committee, list[BlsSigner], MlDsaSigner]:
    """Return a committee, its voters' keys, and its coordinator's post-quantum key."""
    voters = [BlsSigner(number + 5) for number in range(SEATS)]
    quantum = [MlDsaSigner(bytes([number]) * 32) for number in range(SEATS)]
    nodes = [LocalSigner(bytes([number + 1]) * 32).public_key for number in range(SEATS)]
    seats = tuple(
        Seat(account_id_of(node), node, voter.public_key, key.public_key, 1_000)
        for node, voter, key in zip(nodes, voters, quantum, strict=True)
    )
    return Committee(1, seats), voters, quantum[0]


def facts(found: list[Candidate]) -> WindowFacts:
    """Return what the header says beyond the selection."""
    return WindowFacts(LEDGER, 1, WINDOW, 1, NO_PARENT, 900_000, bytes(32), len(found), len(found))


def median_ms(call: Callable[[], Any], runs: int = 5) -> float:
    """Return how long a call takes."""
    times = []
    for _ in range(runs):
        gc.collect()
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def row(name: str, value: float, unit: str = "ms", target: str = "-") -> dict[str, Any]:
    return {"name": f"auction: {name}", "value": value, "unit": unit, "target": target}


def measured(name: str, *, is_spread: bool, verify_target: str) -> list[dict[str, Any]]:
    found = candidates(is_spread=is_spread)
    group, voters, quantum = committee()
    accounts = [account_id_of(LocalSigner(bytes([number + 1]) * 32).public_key) for number in range(100)]
    stakes = [Stake(item.commit_id or b"", accounts[number % 100], 0) for number, item in enumerate(found)]
    known = facts(found)

    def draft() -> Draft:
        selection = select_window(found, TERMS)
        return draft_window(selection, outcomes_of(stakes, selection, TERMS, lambda _: 0), TERMS, known)

    def finish(made: Draft) -> Any:
        digest = made.header.digest()
        return count_votes(group, digest, {seat: voters[seat].sign(digest) for seat in range(5)}).certificate

    made = draft()
    certificate = finish(made)
    bundle = prove_window(made, certificate, quantum)
    data, light = bundle.encode(), bundle.without_body().encode()
    selection = made.selection
    list_of = outcomes_of(stakes, selection, TERMS, lambda _: 0)
    digest = made.header.digest()
    return [
        row(f"{name}: header final", median_ms(lambda: finish(draft())), target="<= 250"),
        row(f"{name}:   of which select", median_ms(lambda: select_window(found, TERMS))),
        row(f"{name}:   of which trees and roots", median_ms(lambda: WindowTrees(TERMS.target, selection.unique()))),
        row(f"{name}:   of which outcomes", median_ms(lambda: outcomes_of(stakes, selection, TERMS, lambda _: 0))),
        row(
            f"{name}:   of which the rest of the header",
            median_ms(lambda: draft_window(selection, list_of, TERMS, known)),
        ),
        row(f"{name}:   of which five votes, signed here", median_ms(lambda: finish(made))),
        row(f"{name}: proofs and post-quantum signature", median_ms(lambda: prove_window(made, certificate, quantum))),
        row(f"{name}:   of which signing", median_ms(lambda: quantum.sign(post_quantum_message(digest)))),
        row(f"{name}: header", len(made.header.encode()), "bytes"),
        row(f"{name}: bundle without entries", len(light) / 1024, "KiB"),
        row(f"{name}: bundle", len(data) / 1024, "KiB"),
        row(f"{name}: Verkle multiproof", sum(map(len, bundle.verkle)), "bytes"),
        row(f"{name}: verify without entries", median_ms(lambda: verify_auction(light, group)), target=verify_target),
        row(f"{name}:   of which decoding", median_ms(lambda: AuctionBundle.decode(light))),
        row(f"{name}:   of which the committee", median_ms(lambda: verify_certificate(group, digest, certificate))),
        row(f"{name}: verify with entries", median_ms(lambda: verify_auction(data, group)), target="<= 100"),
        row(f"{name}:   of which decoding", median_ms(lambda: AuctionBundle.decode(data))),
        row(f"{name}: verify in full", median_ms(lambda: verify_auction(data, group, is_full=True), runs=1)),
    ]


def run() -> list[dict[str, Any]]:
    thresholds = gc.get_threshold()
    gc.set_threshold(*COLLECTION)
    try:
        return [
            *measured("spread", is_spread=True, verify_target="<= 40"),
            *measured("neighbours", is_spread=False, verify_target="<= 15"),
        ]
    finally:
        gc.set_threshold(*thresholds)
