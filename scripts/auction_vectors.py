"""Write the vectors of windows, commits and reveals: ``PYTHONPATH=appliance:. python scripts/auction_vectors.py``."""

from __future__ import annotations

import json
from typing import Any

from bpci_node.auction.batch_signature import BatchSignature
from bpci_node.auction.commit import Commit, sign_commit
from bpci_node.auction.commit_receipt import Arrival, issue_commit_receipts, next_running_hash, order_start
from bpci_node.auction.commit_set import draft_set, set_leaves, sign_set
from bpci_node.auction.offences import forfeit_of
from bpci_node.auction.parcel import Parcel, encode_parcel, parcel_commitment
from bpci_node.auction.reveal import Reveal, check_reveal, commitment_of, payment_of
from bpci_node.auction.reveal_receipt import RevealReceipt, bits_of, issue_reveal_receipts, sign_list
from bpci_node.auction.window import WindowId, phases_of, window_at
from bpci_node.chain.account import account_id_of
from bpci_node.errors import BpciError
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import Entry, Signed, make_entry
from bpci_node.mempool.native import sign_native
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.merkle import audit_path
from scripts.auction_scene import target_terms
from scripts.make_vectors import DIRECTORY, hexed
from scripts.mempool_vectors import transaction

LEDGER_ID = "vectors:" + "5a" * 32
EPOCH = 3
WINDOW = WindowId("eip155:1", 20, 90_000_001)
COORDINATOR, NOTARY = LocalSigner(b"\x0a" * 32), LocalSigner(b"\x0b" * 32)
BIDDERS = [LocalSigner(bytes([number]) * 32) for number in (1, 2, 3)]
TERMS = target_terms(classes=(10, 20))


def bids() -> list[tuple[Signed, Commit, Reveal]]:
    """Two transactions and a native entry, each with its commit and what opens it."""
    native = sign_native(
        BIDDERS[2],
        ledger_id=LEDGER_ID,
        target=WINDOW.target,
        kind=EntryType.POF_UPDATE,
        nonce=4,
        fee=70,
        gas=40_000,
        body=b"update",
    )
    made: list[tuple[Signed, Commit, Reveal]] = []
    for signer, entry, tier in zip(
        BIDDERS, (transaction(1, 0, 60), transaction(2, 9, 51), native), (1, 1, 2), strict=True
    ):
        account = account_id_of(signer.public_key)
        waiting = make_entry(
            entry, TERMS.config(WINDOW.qlock_ms), arrival_seq=WINDOW.first_seq, arrival_ms=WINDOW.opens_ms
        )
        salt = sha256(b"salt" + entry.raw)
        digest = commitment_of(WINDOW, account, waiting, salt)
        commit = sign_commit(signer, ledger_id=LEDGER_ID, window=WINDOW, digest=digest, account=account, tier=tier)
        made.append((entry, commit, Reveal(WINDOW, commit.commit_id, entry.raw, salt)))
    return made


def windows() -> list[dict[str, Any]]:
    """Moments, the windows that they belong to, and their phases."""
    found = []
    for qlock_ms, time_us in ((10, 0), (10, 9_999), (20, 20_000), (100, 1_800_000_123_456)):
        window = window_at(WINDOW.target, qlock_ms, time_us)
        phases = phases_of(window, TERMS)
        found.append(
            {
                "time_us": time_us,
                "window": window.as_list(),
                "first_seq": str(window.first_seq),
                "opens_us": phases.opens_us,
                "closes_us": phases.closes_us,
                "reveal_ends_us": phases.reveal_ends_us,
                "seal_ends_us": phases.seal_ends_us,
            }
        )
    return found


def refusals(made: list[tuple[Signed, Commit, Reveal]]) -> list[dict[str, Any]]:
    """Reveals that do not open their commit, each with its code."""
    _, commit, reveal = made[0]
    account = account_id_of(BIDDERS[1].public_key)
    copied = sign_commit(BIDDERS[1], ledger_id=LEDGER_ID, window=WINDOW, digest=commit.digest, account=account, tier=1)
    dear = transaction(1, 0, 1_000)
    waiting = make_entry(dear, TERMS.config(20), arrival_seq=0, arrival_ms=0)
    digest = commitment_of(WINDOW, commit.account, waiting, bytes(32))
    above = sign_commit(BIDDERS[0], ledger_id=LEDGER_ID, window=WINDOW, digest=digest, account=commit.account, tier=1)
    cases = [
        ("another salt", commit, Reveal(WINDOW, commit.commit_id, reveal.raw, bytes(32))),
        ("another transaction", commit, Reveal(WINDOW, commit.commit_id, made[1][2].raw, reveal.salt)),
        ("a copied digest", copied, Reveal(WINDOW, copied.commit_id, reveal.raw, reveal.salt)),
        ("more than the tier covers", above, Reveal(WINDOW, above.commit_id, dear.raw, bytes(32))),
    ]
    found = []
    for what, item, opened in cases:
        try:
            check_reveal(opened, item, TERMS, LEDGER_ID, arrival_seq=WINDOW.first_seq)
        except BpciError as error:
            found.append({"what": what, "commit": item.encode(), "reveal": opened.encode(), "code": error.code})
    return found


def parcels() -> list[dict[str, Any]]:
    """A builder's parcel of a transaction and a native entry."""
    made = bids()
    signer, salt, payment = BIDDERS[0], sha256(b"salt of a parcel"), 49_000
    account = account_id_of(signer.public_key)
    raws = [made[2][0].raw, made[0][0].raw]
    data = encode_parcel(payment, raws)
    digest = parcel_commitment(WINDOW, account, data, salt)
    commit = sign_commit(signer, ledger_id=LEDGER_ID, window=WINDOW, digest=digest, account=account, tier=2)
    reveal = Reveal(WINDOW, commit.commit_id, data, salt)
    opened = check_reveal(reveal, commit, TERMS, LEDGER_ID, arrival_seq=WINDOW.first_seq)
    if not isinstance(opened, Parcel):
        raise TypeError("a parcel was revealed")
    return [
        {
            "bidder_key": signer.public_key,
            "payment": str(payment),
            "raws": raws,
            "encoded": data,
            "salt": salt,
            "digest": digest,
            "commit": commit.encode(),
            "commit_id": commit.commit_id,
            "reveal": reveal.encode(),
            "leaves": [entry.leaf.encode() for entry in opened.entries],
        }
    ]


def entry_of(reveal: Reveal, commit: Commit, position: int) -> Entry:
    """Return the entry that a reveal of one brings."""
    opened = check_reveal(reveal, commit, TERMS, LEDGER_ID, arrival_seq=WINDOW.first_seq + position)
    if isinstance(opened, Parcel):
        raise TypeError("one entry was revealed")
    return opened


def auction() -> dict[str, Any]:
    """Everything of the file."""
    made = bids()
    names = [commit.commit_id for _, commit, _ in made]
    running, arrivals = order_start(LEDGER_ID, EPOCH, WINDOW), []
    for position, (_, commit, _) in enumerate(made):
        seq = WINDOW.first_seq + position
        after = next_running_hash(running, commit.commit_id, seq)
        arrivals.append(Arrival(commit, commit.commit_id, seq, running, after))
        running = after
    closes = phases_of(WINDOW, TERMS).closes_us
    commit_set = sign_set(
        COORDINATOR,
        draft_set(LEDGER_ID, EPOCH, WINDOW, names, closed_us=closes + 7, coordinator=COORDINATOR.public_key),
    )
    unsigned = [
        RevealReceipt(
            LEDGER_ID, EPOCH, WINDOW, commit_set.digest(), name, 1, closes + 100, BatchSignature(0, 1, b"", b"")
        )
        for name in names
    ]
    reveals = sign_list(
        NOTARY,
        ledger_id=LEDGER_ID,
        epoch=EPOCH,
        window=WINDOW,
        set_digest=commit_set.digest(),
        seat=1,
        revealed=bits_of([0, 2], 3),
    )
    receipts = issue_commit_receipts(COORDINATOR, LEDGER_ID, EPOCH, arrivals)
    return {
        "about": "docs/spec/auction.md; Ed25519 seeds are one byte repeated, Ethereum keys are small integers",
        "ledger_id": LEDGER_ID,
        "epoch": EPOCH,
        "window": WINDOW.as_list(),
        "coordinator_seed": b"\x0a" * 32,
        "notary_seed": b"\x0b" * 32,
        "terms": {"map": TERMS.as_map(), "digest": TERMS.digest()},
        "windows": windows(),
        "bids": [
            {
                "bidder_key": signer.public_key,
                "raw": entry.raw,
                "salt": reveal.salt,
                "bucket_key": revealed.bucket_key,
                "sender": entry.sender,
                "nonce": entry.nonce,
                "digest": commit.digest,
                "commit": commit.encode(),
                "commit_id": commit.commit_id,
                "receipt": receipt.encode(),
                "path": audit_path(set_leaves(WINDOW, names), position),
                "reveal": reveal.encode(),
                "leaf": revealed.leaf.encode(),
                "payment": str(payment_of(revealed, TERMS)),
                "reveal_receipt": acknowledged.encode(),
            }
            for position, (signer, (entry, commit, reveal), receipt, acknowledged) in enumerate(
                zip(BIDDERS, made, receipts, issue_reveal_receipts(NOTARY, unsigned), strict=True)
            )
            for revealed in [entry_of(reveal, commit, position)]
        ],
        "parcels": parcels(),
        "commit_set": {"cbor": commit_set.encode(), "digest": commit_set.digest()},
        "reveal_list": {"cbor": reveals.encode(), "digest": reveals.digest(), "positions": reveals.positions()},
        "refused": refusals(made),
        "forfeits": [
            {"bond": "999", "base_bps": 5_000, "earlier": earlier, "forfeit": str(forfeit_of(999, 5_000, earlier))}
            for earlier in range(4)
        ],
    }


def vectors() -> str:
    """Return the text of ``docs/spec/vectors/auction.json``."""
    return json.dumps(hexed(auction()), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (DIRECTORY / "auction.json").write_text(vectors(), encoding="utf-8")
