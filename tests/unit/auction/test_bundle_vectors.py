import json
from pathlib import Path

import pytest

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.auction.candidates import Candidate, Origin
from bpci_node.auction.commit import Commit
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.light import FinalHeader, begin
from bpci_node.auction.outcome import decode_outcomes, outcomes_root
from bpci_node.auction.reveal import Reveal, check_reveal
from bpci_node.auction.verify_auction import verify_auction
from bpci_node.auction.window_selection import select_window
from bpci_node.chain.committee import Committee
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import ProofError
from bpci_node.mempool.entry import decode_entry, make_entry
from bpci_node.primitives import codec

VECTORS = json.loads((Path(__file__).parents[3] / "docs/spec/vectors/bundle-2.json").read_text())
LEDGER_ID = AuctionHeader.decode(bytes.fromhex(VECTORS["headers"][0]["encoded"])).ledger_id
HEX = ("node_key", "bls_key", "ml_dsa_key")
COMMITTEE = Committee.from_map(
    {
        "v": 1,
        "epoch": VECTORS["committee"]["epoch"],
        "seats": [
            {name: bytes.fromhex(value) if name in HEX else value for name, value in seat.items()}
            for seat in VECTORS["committee"]["seats"]
        ],
    }
)


def test_the_selection_of_the_vectors_is_made():
    found = VECTORS["selection"]
    terms = TargetTerms.from_map(found["terms"])
    config = terms.config(terms.classes[0])
    candidates = []
    for item in found["candidates"]:
        tx = decode_entry(bytes.fromhex(item["raw"]))
        entry = make_entry(tx, config, arrival_seq=item["arrival_seq"], arrival_ms=item["ts"])
        assert entry.leaf.txid.hex() == item["txid"]
        commit_id = None if item["commit_id"] is None else bytes.fromhex(item["commit_id"])
        candidates.append(Candidate(entry, Origin(item["origin"]), commit_id))
    parcels = []
    for item in found["parcels"]:
        commit = Commit.from_map(codec.decode(bytes.fromhex(item["commit"]), max_bytes=1_000))
        reveal = Reveal(commit.window, commit.commit_id, bytes.fromhex(item["raw"]), bytes.fromhex(item["salt"]))
        parcels.append(check_reveal(reveal, commit, terms, LEDGER_ID, arrival_seq=item["arrival_seq"]))
        assert commit.commit_id.hex() == item["commit_id"]
    made = select_window(candidates, terms, parcels=parcels)
    assert made.parcel is not None
    assert [item.commit.commit_id.hex() for item in (made.parcel, *made.lost_parcels)] == [
        item["commit_id"] for item in found["parcels"]
    ]
    assert made.parcel.commit.commit_id.hex() == found["parcel"]
    for name in ("winners", "carried", "lost"):
        assert [item.entry.leaf.txid.hex() for item in getattr(made, name)] == found[name]
    assert {item.candidate.entry.leaf.txid.hex(): int(item.cause) for item in made.excluded} == found["causes"]
    assert set(found["causes"].values()) == {1, 2, 3, 4, 5}


def test_headers_have_their_bytes_and_digests():
    assert COMMITTEE.digest().hex() == VECTORS["committee"]["digest"]
    for item in VECTORS["headers"]:
        header = AuctionHeader.decode(bytes.fromhex(item["encoded"]))
        assert (header.encode().hex(), header.digest().hex()) == (item["encoded"], item["digest"])
    outcomes = decode_outcomes(bytes.fromhex(VECTORS["selection"]["outcomes"]))
    assert (
        outcomes_root(outcomes) == AuctionHeader.decode(bytes.fromhex(VECTORS["headers"][0]["encoded"])).outcomes_root
    )


def test_the_bundles_hold_in_full_and_are_followed():
    state = begin(AuctionBundle.decode(bytes.fromhex(VECTORS["bundles"][0])).header.ledger_id, "eip155:1", COMMITTEE)
    for data, final in zip(VECTORS["bundles"], VECTORS["final_headers"], strict=True):
        verified = verify_auction(bytes.fromhex(data), COMMITTEE, is_full=True)
        state = state.follow(FinalHeader.decode(bytes.fromhex(final)))
        assert state.digest == verified.digest
    assert state.following is not None


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["code"])
def test_what_must_be_refused_is_refused_with_its_code(case):
    with pytest.raises(ProofError) as caught:
        verify_auction(bytes.fromhex(case["bundle"]), COMMITTEE)
    assert caught.value.code == case["code"]
