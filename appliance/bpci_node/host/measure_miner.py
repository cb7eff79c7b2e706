"""What this machine can carry as a miner, by running what a miner runs: the Verkle tree of buckets, and whole windows.

Windows are played in virtual time by the node's own simulator with real cryptography: signatures, hidden bids,
selection, trees, proposals and votes of four notaries, all computed by this machine, on one processor. So a committee
member, who does about a quarter of that, carries more; the figure is a floor, and the same everywhere.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import cache

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import Commit, sign_commit
from bpci_node.auction.coordinator_book import Stage
from bpci_node.auction.reveal import Reveal, commitment_of
from bpci_node.auction.simulated import SimulatedBid, SimulatedNotary
from bpci_node.auction.simulator import Simulator
from bpci_node.auction.window import WindowId
from bpci_node.chain.account import account_id_of
from bpci_node.chain.committee import Committee, Seat
from bpci_node.chain.target_terms import TargetTerms, Tier
from bpci_node.errors import BpciError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import make_entry
from bpci_node.mempool.native import sign_native
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner

POOL_BUCKETS, CHANGED, OPENED = 1_000, 100, 16
SEATS, ENTRIES, QLOCK_MS = 4, 20, 100
BATCH = 4
"""Windows that are played at once."""
_LEDGER = "measure:" + "00" * 32
_TARGET = "eip155:1"


def measure_miner(seconds: float, tell: Callable[[str], None]) -> dict[str, int]:
    """Run a miner's work and return the figures, :data:`bpci_node.host.figures.CATALOG`.

    Args:
        seconds: length of each of the three runs.
    Raises:
        BpciError: a window did not become final (``internal``).
    """
    draw = random.Random(1)  # noqa: S311 - the same keys on every machine
    tree, keys = _tree(draw)
    tell(f"miner: roots of {POOL_BUCKETS} buckets")

    def change() -> int:
        for key in draw.sample(keys, CHANGED):
            tree.set(key, draw.randbytes(32))
        tree.root()
        return CHANGED

    def prove() -> int:
        tree.open(draw.sample(keys, OPENED)).prove()
        return 1

    buckets = _per_second(change, seconds)
    tell("miner: proofs of buckets")
    proofs = _per_second(prove, seconds)
    tell("miner: whole windows")
    windows = _windows(seconds)
    return {"mx_verkle_buckets": buckets, "mx_verkle_proofs": proofs, "auction_windows_per_sec": windows}


def _per_second(work: Callable[[], int], seconds: float) -> int:
    work()  # the first time loads and builds what is kept from then on
    done, start = 0, time.perf_counter()
    while True:
        done += work()
        taken = time.perf_counter() - start
        if taken >= seconds:
            return int(done / taken)


def _tree(draw: random.Random) -> tuple[VerkleTree, list[bytes]]:
    keys: set[bytes] = set()
    while len(keys) < POOL_BUCKETS:
        keys.add(draw.randbytes(4))
    tree, ordered = VerkleTree(), sorted(keys)
    for key in ordered:
        tree.set(key, draw.randbytes(32))
    tree.root()
    return tree, ordered


def _windows(seconds: float) -> int:
    """Return whole windows a second; bids are prepared beforehand, since their senders make them."""
    signers, notaries, epoch = _cast()
    index, done, taken = 0, 0, 0.0
    while taken < seconds:
        made = Simulator(epoch, notaries)
        for _ in range(BATCH):
            window = WindowId(_TARGET, QLOCK_MS, index)
            for bid in _bids(window, signers, epoch.terms[_TARGET]):
                made.open_line(_TARGET, bid.commit.account, 1, 1)
                made.bid(bid)
            index += 1
        start = time.perf_counter()
        results = made.run()
        taken += time.perf_counter() - start
        done += BATCH
        if [len(result.outcomes) for result in results if result.stage is Stage.FINAL] != [ENTRIES] * BATCH:
            raise BpciError("a window of the measurement did not become final with all of its entries")
    return int(done / taken)


@cache
def _cast() -> tuple[list[LocalSigner], list[SimulatedNotary], AuctionEpoch]:
    """Return bidders, notaries and an epoch of made-up keys that guard nothing."""
    nodes = [LocalSigner(sha256(b"measured node %d" % number)) for number in range(SEATS)]
    bls = [BlsSigner(1_000 + number) for number in range(SEATS)]
    seats = tuple(
        Seat(account_id_of(node.public_key), node.public_key, key.public_key, number.to_bytes(1312), 10)
        for number, (node, key) in enumerate(zip(nodes, bls, strict=True))
    )
    terms = TargetTerms(
        target=_TARGET,
        kind="community",
        owner=None,
        base_fee_wei=50,
        fee_bin_wei=20,
        region=0,
        gas_limit=60_000_000,
        classes=(10, 20, 50, 100),
        reveal_ms=200,
        seal_ms=300,
        asset="BPI",
        wei_per_unit=1_000,
        forced_gas_bps=0,
        policy="auction-25",
        sla=None,
        tiers=(Tier(1, 100_000, 100_000),),
    )
    epoch = AuctionEpoch(_LEDGER, Committee(1, seats), 0, 600_000_000, {_TARGET: terms})
    notaries = [SimulatedNotary(node, key, 2_000) for node, key in zip(nodes, bls, strict=True)]
    return [LocalSigner(sha256(b"measured bidder %d" % number)) for number in range(ENTRIES)], notaries, epoch


def _bids(window: WindowId, signers: list[LocalSigner], terms: TargetTerms) -> list[SimulatedBid]:
    found = []
    for number, signer in enumerate(signers):
        commit, reveal = hidden_bid(signer, window, terms, ledger_id=_LEDGER, fee=51 + number * 20)
        found.append(SimulatedBid(commit, reveal, signer.public_key, window.opens_us, 1_000, number % SEATS))
    return found


def hidden_bid(
    signer: LocalSigner, window: WindowId, terms: TargetTerms, *, ledger_id: str, fee: int
) -> tuple[Commit, Reveal]:
    """Return a bidder's hidden bid for a window, and what reveals it.

    Args:
        fee: wei per gas, which decides the bucket.
    """
    entry = sign_native(
        signer,
        ledger_id=ledger_id,
        target=window.target,
        kind=EntryType.SETTLEMENT,
        nonce=window.index,
        fee=fee,
        gas=30_000,
        body=b"x" * 32,
    )
    waiting = make_entry(entry, terms.config(window.qlock_ms), arrival_seq=window.first_seq, arrival_ms=window.opens_ms)
    account, salt = account_id_of(signer.public_key), sha256(entry.raw)
    digest = commitment_of(window, account, waiting, salt)
    commit = sign_commit(signer, ledger_id=ledger_id, window=window, digest=digest, account=account, tier=1)
    return commit, Reveal(window, commit.commit_id, entry.raw, salt)
