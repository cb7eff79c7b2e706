"""The pinned vectors of auctions, and the same once more with nothing but the text of the specification."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from blake3 import blake3
from Crypto.Hash import keccak
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from scripts.auction_vectors import vectors as make_vectors

PATH = Path(__file__).parents[3] / "docs/spec/vectors/auction.json"


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def cbor(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def derive(context: str, data: bytes) -> bytes:
    return blake3(data, derive_key_context=context).digest()


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != name}


def check(key: bytes, context: str, value: Any, signature: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(key).verify(signature, derive(context, cbor(value)))


def check_batched(key: bytes, context: str, value: dict[str, Any]) -> None:
    """Check one statement of a batch of three: the tree is written out."""
    signed = value["signed"]
    assert signed["size"] == 3
    path = [signed["path"][at : at + 32] for at in range(0, len(signed["path"]), 32)]
    root = root_of_three(sha256(b"\x00" + cbor(without(value, "signed"))).digest(), signed["index"], path)
    check(key, context, [3, root], signed["signature"])


def root_of_three(leaf: bytes, index: int, path: list[bytes]) -> bytes:
    def node(left: bytes, right: bytes) -> bytes:
        return sha256(b"\x01" + left + right).digest()

    if index == 2:
        (left,) = path
        return node(left, leaf)
    sibling, right = path
    return node(node(leaf, sibling) if index == 0 else node(sibling, leaf), right)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    return json.loads(PATH.read_text())


def test_the_code_makes_the_pinned_vectors() -> None:
    assert make_vectors() == PATH.read_text()


def test_phases_follow_from_the_text(vectors: dict[str, Any]) -> None:
    terms = vectors["terms"]["map"]
    for item in vectors["windows"]:
        _, qlock_ms, index = item["window"]
        opens = index * qlock_ms * 1_000
        assert opens <= item["time_us"] < opens + qlock_ms * 1_000
        assert item["opens_us"] == opens
        assert item["closes_us"] == opens + qlock_ms * 1_000
        assert item["reveal_ends_us"] == item["closes_us"] + terms["reveal_ms"] * 1_000
        assert item["seal_ends_us"] == item["reveal_ends_us"] + terms["seal_ms"] * 1_000
        assert int(item["first_seq"]) == index * 2**20


def test_commits_and_receipts_follow_from_the_text(vectors: dict[str, Any]) -> None:
    ledger_id, window = vectors["ledger_id"], vectors["window"]
    coordinator = Ed25519PrivateKey.from_private_bytes(octets(vectors["coordinator_seed"])).public_key()
    running = derive("bpci 2026 auction commit order start v1", cbor([ledger_id, vectors["epoch"], *window]))
    for position, item in enumerate(vectors["bids"]):
        commit = cbor2.loads(octets(item["commit"]))
        assert set(commit) == {"v", "window", "digest", "account", "tier", "signature"}
        parts = [
            "bpci 2026 auction commitment v1",
            *window,
            commit["account"],
            octets(item["bucket_key"]),
            octets(item["sender"]),
            item["nonce"],
            sha256(octets(item["raw"])).digest(),
            octets(item["salt"]),
        ]
        assert commit["digest"] == keccak.new(digest_bits=256, data=cbor(parts)).digest() == octets(item["digest"])
        unsigned = without(commit, "signature")
        key = octets(item["bidder_key"])
        check(key, "bpci 2026 auction commit v1", unsigned | {"ledger_id": ledger_id}, commit["signature"])
        name = derive("bpci 2026 auction commit id v1", cbor(unsigned))
        assert name == octets(item["commit_id"])
        seq = window[2] * 2**20 + position
        after = derive("bpci 2026 auction commit order v1", running + name + seq.to_bytes(8, "big"))
        receipt = cbor2.loads(octets(item["receipt"]))
        assert without(receipt, "signed") == {
            "v": 1,
            "ledger_id": ledger_id,
            "epoch": vectors["epoch"],
            "window": window,
            "commit_id": name,
            "seq": seq,
            "previous": running,
            "running_hash": after,
            "coordinator": coordinator.public_bytes_raw(),
        }
        check_batched(coordinator.public_bytes_raw(), "bpci 2026 auction commit receipt v1", receipt)
        running = after
    commit_set = cbor2.loads(octets(vectors["commit_set"]["cbor"]))
    assert commit_set["running_hash"] == running


def test_parcels_follow_from_the_text(vectors: dict[str, Any]) -> None:
    for item in vectors["parcels"]:
        raws, encoded = [octets(raw) for raw in item["raws"]], octets(item["encoded"])
        assert encoded == cbor([1, int(item["payment"]), raws])
        assert encoded[0] == 0x83
        commit, reveal = cbor2.loads(octets(item["commit"])), cbor2.loads(octets(item["reveal"]))
        parts = [*vectors["window"], commit["account"], sha256(encoded).digest(), octets(item["salt"])]
        digest = keccak.new(digest_bits=256, data=cbor(["bpci 2026 auction parcel commitment v1", *parts])).digest()
        assert commit["digest"] == digest == octets(item["digest"])
        assert commit.keys() == cbor2.loads(octets(vectors["bids"][0]["commit"])).keys()
        name = derive("bpci 2026 auction commit id v1", cbor(without(commit, "signature")))
        assert name == octets(item["commit_id"]) == reveal["commit_id"]
        assert (reveal["raw"], reveal["salt"]) == (encoded, octets(item["salt"]))
        assert {cbor2.loads(octets(leaf))[7] for leaf in item["leaves"]} == {vectors["window"][2] * 2**20}


def test_the_set_follows_from_the_text(vectors: dict[str, Any]) -> None:
    commit_set = cbor2.loads(octets(vectors["commit_set"]["cbor"]))
    unsigned = without(commit_set, "signature")
    check(commit_set["coordinator"], "bpci 2026 auction commit set v1", unsigned, commit_set["signature"])
    assert derive("bpci 2026 auction commit set digest v1", cbor(unsigned)) == octets(vectors["commit_set"]["digest"])
    assert commit_set["count"] == 3
    for position, item in enumerate(vectors["bids"]):
        seq = vectors["window"][2] * 2**20 + position
        leaf = sha256(b"\x00" + octets(item["commit_id"]) + seq.to_bytes(8, "big")).digest()
        assert root_of_three(leaf, position, [octets(part) for part in item["path"]]) == commit_set["root"]


def test_reveals_receipts_and_the_list_follow_from_the_text(vectors: dict[str, Any]) -> None:
    notary = Ed25519PrivateKey.from_private_bytes(octets(vectors["notary_seed"])).public_key().public_bytes_raw()
    terms, set_digest = vectors["terms"]["map"], octets(vectors["commit_set"]["digest"])
    for position, item in enumerate(vectors["bids"]):
        assert cbor2.loads(octets(item["reveal"])) == {
            "v": 1,
            "window": vectors["window"],
            "commit_id": octets(item["commit_id"]),
            "raw": octets(item["raw"]),
            "salt": octets(item["salt"]),
        }
        _, _, sender, nonce, fee, gas, ts, arrival_seq, _, _ = cbor2.loads(octets(item["leaf"]))
        assert (sender, nonce) == (octets(item["sender"]), item["nonce"])
        assert arrival_seq == vectors["window"][2] * 2**20 + position
        assert ts == vectors["window"][2] * vectors["window"][1]
        above = max(0, fee - terms["base_fee_wei"]) * gas
        assert int(item["payment"]) == (above + terms["wei_per_unit"] - 1) // terms["wei_per_unit"]
        receipt = cbor2.loads(octets(item["reveal_receipt"]))
        assert (receipt["set_digest"], receipt["commit_id"]) == (set_digest, octets(item["commit_id"]))
        check_batched(notary, "bpci 2026 auction reveal receipt v1", receipt)
    listed = cbor2.loads(octets(vectors["reveal_list"]["cbor"]))
    unsigned = without(listed, "signature")
    check(notary, "bpci 2026 auction reveal list v1", unsigned, listed["signature"])
    digest = derive("bpci 2026 auction reveal list digest v1", cbor(unsigned))
    assert digest == octets(vectors["reveal_list"]["digest"])
    assert listed["revealed"] == b"\x05"
    assert vectors["reveal_list"]["positions"] == [0, 2]


def test_what_is_refused_and_forfeited(vectors: dict[str, Any]) -> None:
    codes = [item["code"] for item in vectors["refused"]]
    assert codes == ["reveal.mismatch", "reveal.mismatch", "reveal.mismatch", "reveal.tier"]
    for item in vectors["forfeits"]:
        bps = min(10_000, item["base_bps"] + 2_500 * item["earlier"])
        assert int(item["forfeit"]) == int(item["bond"]) * bps // 10_000
