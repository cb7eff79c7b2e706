"""Windows of auctions in process: commits taken in, phases in virtual time, whole windows with real cryptography."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import Commit, decode_commits, encode_commits, sign_commit, verify_commit
from bpci_node.auction.commit_receipt import issue_commit_receipts
from bpci_node.auction.coordinator_book import CoordinatorBook, Stage
from bpci_node.auction.reveal import Reveal
from bpci_node.auction.simulated import SimulatedBid, SimulatedNotary
from bpci_node.auction.simulator import Simulator
from bpci_node.auction.window import WindowId
from bpci_node.chain.account import account_id_of
from bpci_node.chain.target_terms import Tier
from bpci_node.host.measure_miner import hidden_bid
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from scripts.auction_scene import classical_committee, target_terms

LEDGER_ID = "bench:" + "ab" * 32
TARGET = "eip155:1"
SEATS = 4
COMMITS, BATCH = 40_000, 256
PHASES, WINDOWS, ENTRIES = 4_000, 12, 100

NODES = [LocalSigner(sha256(b"node %d" % number)) for number in range(SEATS)]
BLS = [BlsSigner(1_000 + number) for number in range(SEATS)]
TERMS = target_terms(gas_limit=60_000_000, tiers=(Tier(1, 100_000, 100_000),))
EPOCH = AuctionEpoch(LEDGER_ID, classical_committee(1, NODES, BLS), 0, 600_000_000, {TARGET: TERMS})


def bids(window: WindowId, count: int) -> Iterator[tuple[LocalSigner, Commit, Reveal]]:
    """Bids of as many bidders, over some twenty buckets."""
    for number in range(count):
        signer = LocalSigner(sha256(b"bidder %d" % number))
        commit, reveal = hidden_bid(signer, window, TERMS, ledger_id=LEDGER_ID, fee=51 + number % 400)
        yield signer, commit, reveal


def commits() -> list[dict[str, Any]]:
    """Batches decoded, checked, numbered, chained, receipts signed; then the same with every signature verified."""
    signer = LocalSigner(sha256(b"bidder"))
    account = account_id_of(signer.public_key)
    window = WindowId(TARGET, 100, 10)
    batches = [
        encode_commits(
            [
                sign_commit(
                    signer,
                    ledger_id=LEDGER_ID,
                    window=WindowId(TARGET, 100, window.index + start // 10_000),
                    digest=sha256(number.to_bytes(8)),
                    account=account,
                    tier=1,
                )
                for number in range(start, start + BATCH)
            ]
        )
        for start in range(0, COMMITS - BATCH + 1, BATCH)
    ]
    rows = []
    for name, verifies, target in (
        ("commits accepted in process, signatures checked elsewhere", False, ">= 20000"),
        ("commits accepted in process, signatures checked in it", True, "-"),
    ):
        book = CoordinatorBook[None](EPOCH, NODES[0].public_key, dict.fromkeys((10, 20, 50, 100), COMMITS))
        book.lines.open(TARGET, account, 1, COMMITS)
        started = time.perf_counter()
        for batch in batches:
            arrivals = []
            for commit in decode_commits(batch):
                book.check(commit, window.opens_us)
                if verifies:
                    verify_commit(commit, ledger_id=LEDGER_ID, keys=[signer.public_key])
                arrivals.append(book.accept(commit, window.opens_us))
            for receipt in issue_commit_receipts(NODES[0], LEDGER_ID, 1, arrivals):
                receipt.encode()
        rate = len(batches) * BATCH / (time.perf_counter() - started)
        rows.append({"name": name, "value": rate, "unit": "1/s", "target": target})
    return rows


def phases() -> dict[str, Any]:
    """Windows with a commit each, through all phases, without notaries."""
    made = Simulator(EPOCH, [])
    windows = [WindowId(TARGET, 10, index) for index in range(PHASES)]
    for window in windows:
        (signer, commit, reveal) = next(bids(window, 1))
        made.open_line(TARGET, commit.account, 1, 1)
        made.bid(SimulatedBid(commit, reveal, signer.public_key, max(0, window.opens_us - 1_000), 1_000))
    started = time.perf_counter()
    results = made.run()
    seconds = time.perf_counter() - started
    if {result.stage for result in results} != {Stage.FINAL}:
        raise RuntimeError("a window was not final")
    return {"name": "simulator: phases alone", "value": PHASES / seconds, "unit": "windows/s", "target": ">= 2000"}


def whole() -> dict[str, Any]:
    """Windows of a hundred entries: every signature, check, selection, tree and vote is real; four notaries."""
    made = Simulator(EPOCH, [SimulatedNotary(node, bls, 2_000) for node, bls in zip(NODES, BLS, strict=True)])
    for index in range(WINDOWS):
        window = WindowId(TARGET, 100, index)
        for number, (signer, commit, reveal) in enumerate(bids(window, ENTRIES)):
            made.open_line(TARGET, commit.account, 1, 1)
            made.bid(SimulatedBid(commit, reveal, signer.public_key, window.opens_us, 1_000, number % SEATS))
    started = time.perf_counter()
    results = made.run()
    minutes = (time.perf_counter() - started) / 60
    if [len(result.outcomes) for result in results if result.stage is Stage.FINAL] != [ENTRIES] * WINDOWS:
        raise RuntimeError("a window was not final with all of its entries")
    return {
        "name": f"simulator: windows of {ENTRIES} entries, {SEATS} notaries, real cryptography",
        "value": WINDOWS / minutes,
        "unit": "windows/min",
        "target": ">= 1000",
    }


def run() -> list[dict[str, Any]]:
    """Return the rows of this benchmark."""
    return [*commits(), phases(), whole()]
