"""What the tests of windows share: a committee, terms, bidders, and bids that are really signed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bpci_node.auction.auction_epoch import AuctionEpoch
from bpci_node.auction.commit import Commit, sign_commit, verify_commit
from bpci_node.auction.commit_set import CommitSet, draft_set, sign_set
from bpci_node.auction.reveal import Reveal, commitment_of
from bpci_node.auction.window import WindowId
from bpci_node.chain.account import account_id_of
from bpci_node.errors import BpciError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import decode_entry, make_entry
from bpci_node.mempool.native import sign_native
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from scripts.auction_scene import classical_committee, target_terms

LEDGER_ID = "devnet:" + "ab" * 32
TARGET = "eip155:1"
EPOCH = 3
BEGINS_US, ENDS_US = 1_800_000_000, 2_400_000_000
NODES = [LocalSigner(sha256(b"node %d" % number)) for number in range(4)]
BLS = [BlsSigner(1_000 + number) for number in range(4)]
COORDINATOR = NODES[0]
TERMS = target_terms()
COMMITTEE = classical_committee(EPOCH, NODES, BLS)
FRAME = AuctionEpoch(LEDGER_ID, COMMITTEE, BEGINS_US, ENDS_US, {TARGET: TERMS})
WINDOW = WindowId(TARGET, 100, 18_000)
"""The first one of the epoch in its class: opens at ``BEGINS_US``."""


@dataclass(frozen=True)
class Bid:
    """A commit, and what opens it."""

    commit: Commit
    reveal: Reveal


def bidder(number: int) -> LocalSigner:
    return LocalSigner(sha256(b"bidder %d" % number))


def account(number: int) -> str:
    return account_id_of(bidder(number).public_key)


def bid(
    number: int = 1,
    window: WindowId = WINDOW,
    *,
    fee: int = 60,
    nonce: int = 0,
    tier: int = 1,
    raw: bytes | None = None,
    signer: LocalSigner | None = None,
    **changes: Any,
) -> Bid:
    """Return the bid of a bidder: a native entry, unless ``raw`` is something else."""
    key = signer or bidder(number)
    if raw is None:
        fields = {"ledger_id": LEDGER_ID, "target": TARGET, "gas": 30_000, "body": b"x"} | changes
        raw = sign_native(key, kind=EntryType.SETTLEMENT, nonce=nonce, fee=fee, **fields).raw
    entry = make_entry(
        decode_entry(raw), TERMS.config(window.qlock_ms), arrival_seq=window.first_seq, arrival_ms=window.opens_ms
    )
    salt = sha256(b"salt" + raw)
    digest = commitment_of(window, account_id_of(key.public_key), entry, salt)
    commit = sign_commit(
        key, ledger_id=LEDGER_ID, window=window, digest=digest, account=account_id_of(key.public_key), tier=tier
    )
    return Bid(commit, Reveal(window, commit.commit_id, raw, salt))


def refused(call: Callable[[], object]) -> str:
    """Return the code with which a call is refused."""
    with pytest.raises(BpciError) as caught:
        call()
    return caught.value.code


def check_signature(commit: Commit) -> None:
    """Verify a commit as a notary does; its account's only key is the bidder's."""
    keys = [bidder(number).public_key for number in range(40)]
    verify_commit(commit, ledger_id=LEDGER_ID, keys=[key for key in keys if account_id_of(key) == commit.account])


def closed(commits: list[Commit], window: WindowId = WINDOW, **changes: Any) -> CommitSet:
    """Return the coordinator's signed set of these commits."""
    draft = draft_set(
        LEDGER_ID,
        EPOCH,
        window,
        [commit.commit_id for commit in commits],
        closed_us=window.opens_us + window.qlock_ms * 1_000,
        coordinator=COORDINATOR.public_key,
    )
    return sign_set(COORDINATOR, replace(draft, **changes))
