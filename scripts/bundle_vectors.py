"""Write ``docs/spec/vectors/bundle-2.json``: selections, a committee's certificate, and bundles of version 2.

``PYTHONPATH=appliance:. python scripts/bundle_vectors.py``.
ML-DSA-44 signatures differ from run to run, and so do the bytes of the bundles; headers do not.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.candidates import Candidate, Origin, public_candidate
from bpci_node.auction.commit import sign_commit
from bpci_node.auction.header import NO_PARENT
from bpci_node.auction.light import FinalHeader
from bpci_node.auction.outcome import encode_outcomes
from bpci_node.auction.outcome_list import Stake, outcomes_of
from bpci_node.auction.parcel import Parcel, encode_parcel, parcel_commitment
from bpci_node.auction.reveal import Reveal, check_reveal
from bpci_node.auction.seal_auction import WindowFacts, draft_window, prove_window
from bpci_node.auction.window import WindowId
from bpci_node.auction.window_selection import select_window
from bpci_node.chain.account import account_id_of
from bpci_node.chain.target_terms import Tier
from bpci_node.mempool.classes import EntryType
from bpci_node.mempool.entry import make_entry
from bpci_node.mempool.native import NativeEntry, sign_native
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import LocalSigner
from scripts.auction_scene import Members, members, target_terms

OUT = Path(__file__).resolve().parent.parent / "docs" / "spec" / "vectors" / "bundle-2.json"
LEDGER_ID = "vectors:" + "5a" * 32
WINDOW = WindowId("eip155:1", 50, 9)
TERMS = target_terms(gas_limit=210_000, classes=(50,), forced_gas_bps=2_000, tiers=(Tier(0, 10**6, 10**6),))


def group(epoch: int) -> Members:
    """Return the committee of an epoch."""
    return members(epoch, 10 * epoch, (100,) * 4)


def native(number: int, fee: int, *, nonce: int = 0, gas: int = 30_000) -> NativeEntry:
    """Return an entry of a key of that number."""
    signer = LocalSigner(sha256(b"sender %d" % number))
    kind = EntryType.SETTLEMENT
    return sign_native(
        signer, ledger_id=LEDGER_ID, target=WINDOW.target, kind=kind, nonce=nonce, fee=fee, gas=gas, body=b"x"
    )


def hidden(tx: NativeEntry, number: int, origin: Origin = Origin.REVEALED) -> Candidate:
    """Return the candidate behind commit ``number`` of the window."""
    seq = WINDOW.first_seq + number
    entry = make_entry(tx, TERMS.config(WINDOW.qlock_ms), arrival_seq=seq, arrival_ms=WINDOW.opens_ms)
    return Candidate(entry, origin, sha256(b"commit %d" % seq))


def public(tx: NativeEntry, *, is_forced: bool) -> Candidate:
    """Return the candidate of an entry of the public pool."""
    return public_candidate(tx, WINDOW, TERMS, LEDGER_ID, is_forced=is_forced)


def candidates() -> list[Candidate]:
    """Every door, every cause."""
    return [
        hidden(native(1, 90), 0),
        hidden(native(2, 120), 1),
        hidden(native(3, 400, gas=190_000), 2),
        hidden(native(1, 80), 3),
        hidden(native(4, 60), 4, Origin.CARRIED),
        public(native(5, 70), is_forced=True),
        public(native(3, 900, nonce=1), is_forced=True),
        public(native(6, 40), is_forced=True),
        public(native(7, 95), is_forced=False),
        public(native(8, 96), is_forced=False),
    ]


def parcels() -> list[Parcel]:
    """Two builders: one that takes an entry of the pool along and pays more, and one that loses."""
    found = []
    for number, (payment, entries) in enumerate(((900, [native(9, 55), native(7, 95)]), (800, [native(7, 95)])), 5):
        signer = LocalSigner(sha256(b"builder %d" % number))
        account, salt = account_id_of(signer.public_key), sha256(b"salt %d" % number)
        data = encode_parcel(payment, [entry.raw for entry in entries])
        digest = parcel_commitment(WINDOW, account, data, salt)
        commit = sign_commit(signer, ledger_id=LEDGER_ID, window=WINDOW, digest=digest, account=account, tier=0)
        reveal = Reveal(WINDOW, commit.commit_id, data, salt)
        opened = check_reveal(reveal, commit, TERMS, LEDGER_ID, arrival_seq=WINDOW.first_seq + number)
        if not isinstance(opened, Parcel):
            raise TypeError("a parcel was revealed")
        found.append(opened)
    return found


def name_of(candidate: Candidate) -> str:
    """Return the transaction's id in hex."""
    return candidate.entry.leaf.txid.hex()


def sealed() -> tuple[list[AuctionBundle], dict[str, Any]]:
    """Return the window's bundle and the handover behind it, and the vector of the selection."""
    first, following = group(1), group(2).committee
    found = candidates()
    bought = parcels()
    selection = select_window(found, TERMS, parcels=bought)
    account = account_id_of(LocalSigner(bytes(31) + b"\x07").public_key)
    stakes = [Stake(item.commit_id, account, 0) for item in found if item.commit_id is not None]
    stakes += [Stake(item.commit.commit_id, item.commit.account, item.commit.tier) for item in bought]
    outcomes = outcomes_of(stakes, selection, TERMS, lambda _: 0)
    forced = tuple(item.entry.leaf.txid for item in found if item.origin is Origin.FORCED)
    facts = WindowFacts(LEDGER_ID, 1, WINDOW, 1, NO_PARENT, 900_000, sha256(b"set"), 7, 6, (), forced)
    draft = draft_window(selection, outcomes, TERMS, facts)
    digest = draft.header.digest()
    window = prove_window(draft, first.certify(digest, (0, 1, 3)), first.quantum[0])
    last = WindowId(WINDOW.target, WINDOW.qlock_ms, WINDOW.index + 1)
    after = WindowFacts(LEDGER_ID, 1, last, 2, digest, 950_000, None, 0, 0, next_committee=following)
    empty = draft_window(select_window([], TERMS), (), TERMS, after)
    handover = prove_window(empty, first.certify(empty.header.digest(), (0, 2, 3)), first.quantum[0])
    vector = {
        "terms": TERMS.as_map() | {"classes": list(TERMS.classes)},
        "candidates": [
            {
                "origin": int(item.origin),
                "raw": item.entry.transaction.raw.hex(),
                "arrival_seq": item.entry.leaf.arrival_seq,
                "ts": item.entry.leaf.ts,
                "commit_id": None if item.commit_id is None else item.commit_id.hex(),
                "txid": name_of(item),
            }
            for item in found
        ],
        "parcels": [
            {
                "raw": encode_parcel(item.payment, [entry.transaction.raw for entry in item.entries]).hex(),
                "account": item.commit.account,
                "tier": item.commit.tier,
                "salt": item.salt.hex(),
                "arrival_seq": item.entries[0].leaf.arrival_seq,
                "commit": item.commit.encode().hex(),
                "commit_id": item.commit.commit_id.hex(),
            }
            for item in bought
        ],
        "parcel": None if selection.parcel is None else selection.parcel.commit.commit_id.hex(),
        "winners": [name_of(item) for item in selection.winners],
        "carried": [name_of(item) for item in selection.carried],
        "lost": [name_of(item) for item in selection.lost],
        "causes": {name_of(item.candidate): int(item.cause) for item in selection.excluded},
        "outcomes": encode_outcomes(outcomes).hex(),
    }
    return [window, handover], vector


def refused(bundle: AuctionBundle) -> list[dict[str, str]]:
    """Return bundles that must be refused, each with its code."""
    body = bundle.body
    if body is None:
        raise ValueError("the window's bundle has its body")
    swapped = replace(body, entries=(body.entries[1], body.entries[0], *body.entries[2:]))
    cases = {
        "certificate.weight": replace(bundle, certificate=replace(bundle.certificate, bitmap=b"\x03")),
        "certificate.signature": replace(bundle, header=replace(bundle.header, time_us=1)),
        "bundle.signature": replace(bundle, post_quantum=bytes(2420)),
        "bundle.terms": replace(bundle, terms=replace(TERMS, gas_limit=220_000)),
        "bundle.proof": replace(bundle, buckets=(bundle.buckets[0]._replace(gas_sum=1), *bundle.buckets[1:])),
        "bundle.entries_root": replace(bundle, body=swapped),
        "bundle.cause": replace(bundle, body=replace(body, causes=body.causes[::-1])),
        "bundle.parcel": replace(bundle, body=replace(body, parcel=body.parcel and body.parcel._replace(payment=901))),
        "bundle.forced": replace(bundle, forced=bundle.forced[1:]),
    }
    return [{"code": code, "bundle": case.encode().hex()} for code, case in cases.items()]


def main() -> None:
    """Write the file."""
    bundles, selection = sealed()
    committee = group(1).committee
    value = {
        "selection": selection,
        "committee": {
            "epoch": committee.epoch,
            "digest": committee.digest().hex(),
            "seats": [
                {name: item.hex() if isinstance(item, bytes) else item for name, item in seat.as_map().items()}
                for seat in committee.seats
            ],
        },
        "headers": [{"encoded": item.header.encode().hex(), "digest": item.header.digest().hex()} for item in bundles],
        "final_headers": [FinalHeader.of(item).encode().hex() for item in bundles],
        "bundles": [item.encode().hex() for item in bundles],
        "refused": refused(bundles[0]),
    }
    OUT.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main()
