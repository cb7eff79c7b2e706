"""The pinned vectors of the ledger's side of auctions, and the same once more with nothing but the text."""

import json
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import cbor2
import pytest
from blake3 import blake3

from scripts.auction_ledger_vectors import vectors as make_vectors
from tests.unit.primitives.vrf_oracle import output, prove

PATH = Path(__file__).parents[3] / "docs/spec/vectors/auction-ledger.json"
SEED = "bpci 2026 auction seed v1"


def octets(text):
    return bytes.fromhex(text.removeprefix("0x"))


def cbor(value):
    return cbor2.dumps(value, canonical=True)


def derive(context, data):
    return blake3(data, derive_key_context=context).digest()


def plain(value):
    """What JSON shows as 0x and hex, as bytes again."""
    if isinstance(value, str) and value.startswith("0x"):
        return octets(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value


@pytest.fixture(scope="module")
def vectors():
    return json.loads(PATH.read_text())


def test_the_code_makes_the_pinned_vectors():
    assert make_vectors() == PATH.read_text()


def test_terms_and_the_genesis_that_brings_them_follow_from_the_text(vectors):
    genesis = octets(vectors["genesis"])
    assert derive("bpci 2026 genesis v1", genesis) == octets(vectors["genesis_hash"])
    assert vectors["ledger_id"] == "vectors:" + vectors["genesis_hash"].removeprefix("0x")
    mock = derive("bpci 2026 auction mock ledger v1", vectors["ledger_id"].encode())
    assert vectors["mock_ledger_id"] == "mock:" + mock.hex()
    brought = cbor2.loads(genesis)["parameters"]["targets"]
    assert brought == [item["map"] for item in vectors["targets"]]
    assert [item["target"] for item in brought] == sorted(item["target"] for item in brought)
    for item in vectors["targets"]:
        assert derive("bpci 2026 target terms v1", cbor(item["map"])) == octets(item["digest"])


def race(output):
    """docs/spec/vrf.md, "The race", step by step."""
    n = int.from_bytes(output, "big") + 1
    whole = len(bin(n)) - 3
    mantissa = n * 2**128 // 2**whole
    log2 = whole * 2**96
    for place in range(95, -1, -1):
        mantissa = mantissa * mantissa // 2**128
        if mantissa >= 2**129:
            log2 += 2**place
            mantissa //= 2
    return 512 * 2**96 - log2


def test_races_follow_from_the_text(vectors):
    for item in vectors["races"]:
        assert race(octets(item["output"])) == int(item["race"])
    assert int(vectors["races"][0]["race"]) == 512 << 96
    assert int(vectors["races"][-1]["race"]) == 0


def test_seeds_tickets_and_committees_follow_from_the_text(vectors):
    seed = derive(SEED, octets(vectors["genesis_hash"]))
    for draw in vectors["draws"]:
        assert octets(draw["seed_before"]) == seed
        alpha = cbor([vectors["ledger_id"], draw["epoch"], seed])
        assert alpha == octets(draw["alpha"])
        for ticket in draw["tickets"]:
            proof = prove(octets(ticket["vrf_seed"]), alpha)
            assert (proof, output(proof)) == (octets(ticket["proof"]), octets(ticket["output"]))
            assert race(output(proof)) == int(ticket["race"])
        order = sorted(draw["tickets"], key=lambda item: (Fraction(int(item["race"]), item["weight"]), item["account"]))
        assert [ticket["account"] for ticket in order] == draw["order"]
        committee = plain(draw["committee"]["map"])
        assert committee["epoch"] == draw["epoch"]
        seats = [(seat["account"], seat["weight"]) for seat in committee["seats"]]
        assert seats == [(ticket["account"], ticket["weight"]) for ticket in order[: draw["size"]]]
        digest = derive("bpci 2026 auction committee v1", cbor(committee))
        assert digest == octets(draw["committee"]["digest"])
        seed = derive(SEED, seed + b"".join(sorted(octets(ticket["output"]) for ticket in draw["tickets"])))
        assert octets(draw["seed"]) == seed


def node(left, right):
    return sha256(b"\x01" + left + right).digest()


def test_outcomes_follow_from_the_text(vectors):
    found = vectors["settlement"]
    outcomes = plain(found["outcomes"])
    leaves = [
        sha256(b"\x00" + cbor([position, len(outcomes), outcome])).digest() for position, outcome in enumerate(outcomes)
    ]
    assert leaves == [octets(leaf) for leaf in found["leaves"]]
    left = node(node(leaves[0], leaves[1]), node(leaves[2], leaves[3]))
    assert node(left, leaves[4]) == octets(found["root"])
    first, second = found["parts"]
    assert cbor2.loads(octets(first["outcomes"])) == outcomes[:3]
    assert cbor2.loads(octets(second["outcomes"])) == outcomes[3:]
    assert (first["first"], second["first"], first["total"]) == (0, 3, 5)
    assert [octets(item) for item in first["proof"]] == [leaves[3], leaves[4]]
    assert sorted(map(octets, second["proof"])) == sorted([node(leaves[0], leaves[1]), leaves[2]])


POLICIES = {
    "auction-25": {"partner-chains": 2500, "company-api": 1875, "owner": 750, "community": 3000, "reserve": 1875},
    "roundtable-20": {
        "reserve": 8000,
        "validators": 800,
        "development": 500,
        "infrastructure": 300,
        "community-treasury": 300,
        "round-table": 100,
    },
    "treaty-80-20": {"community-auction": 8000, "participating-chains": 2000},
}


def largest_remainders(total, weights):
    whole = sum(weights.values())
    parts = {name: total * weight // whole for name, weight in weights.items()}
    rest = sorted(weights, key=lambda name: (-(total * weights[name] % whole), name))
    for name in rest[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def test_divisions_follow_from_the_text(vectors):
    assert {item["policy"] for item in vectors["shares"]} == set(POLICIES)
    for item in vectors["shares"]:
        wallets = largest_remainders(int(item["total"]), POLICIES[item["policy"]])
        c, partners, seats = item["contribution_bps"], item["partners"], item["seats"]
        given, staked = (sum(pair[at] for pair in partners.values()) for at in (0, 1))
        weights = {name: c * pair[0] * staked + (10_000 - c) * pair[1] * given for name, pair in partners.items()}
        if given == 0 or staked == 0:
            weights = {name: sum(pair) for name, pair in partners.items()}
        to_partners = {}
        if "partner-chains" in wallets and sum(weights.values()):
            to_partners = largest_remainders(wallets.pop("partner-chains"), weights)
        to_seats = {}
        if "reserve" in wallets and seats:
            pay = wallets["reserve"] * item["committee_bps"] // 10_000
            wallets["reserve"] -= pay
            to_seats = largest_remainders(pay, seats)
        for name, expected in (("wallets", wallets), ("to_partners", to_partners), ("to_seats", to_seats)):
            assert {key: int(amount) for key, amount in item[name].items()} == expected
        assert sum(wallets.values()) + sum(to_partners.values()) + sum(to_seats.values()) == int(item["total"])
