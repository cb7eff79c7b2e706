from dataclasses import replace

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.target_terms import ServiceLevel, TargetTerms, Tier
from bpci_node.errors import FormatError

OWNER = account_id_of(bytes(32))
COMMUNITY = TargetTerms(
    target="eip155:1",
    kind="community",
    owner=None,
    base_fee_wei=10**9,
    fee_bin_wei=10**7,
    region=0,
    gas_limit=30_000_000,
    classes=(10, 100),
    reveal_ms=150,
    seal_ms=400,
    asset="BPI",
    wei_per_unit=10**9,
    forced_gas_bps=1000,
    policy="auction-25",
    sla=None,
    tiers=(Tier(0, 1000, 900), Tier(1, 10**6, 10**6)),
)
PARTNER = replace(COMMUNITY, kind="partner", owner=OWNER)
ENTERPRISE = replace(PARTNER, kind="enterprise", sla=ServiceLevel("gold", 500, 77))


@pytest.mark.parametrize("terms", [COMMUNITY, PARTNER, ENTERPRISE], ids=lambda terms: terms.kind)
def test_terms_come_back_from_their_map(terms):
    assert TargetTerms.from_map(terms.as_map()) == terms


def test_every_difference_shows_in_the_digest():
    others = [
        PARTNER,
        ENTERPRISE,
        replace(ENTERPRISE, sla=ServiceLevel("gold", 501, 77)),
        replace(COMMUNITY, target="eip155:10"),
        replace(COMMUNITY, tiers=COMMUNITY.tiers[:1]),
        replace(COMMUNITY, policy="treaty-80-20"),
    ]
    assert len({item.digest() for item in (COMMUNITY, *others)}) == len(others) + 1


def test_the_terms_name_how_entries_are_sorted():
    config = COMMUNITY.config(100)
    assert (config.id, config.base_fee_wei, config.fee_bin_wei, config.region, config.gas_limit, config.qlock_ms) == (
        *("eip155:1", 10**9, 10**7, 0, 30_000_000),
        100,
    )


def test_a_tier_is_found_by_its_number():
    assert COMMUNITY.tier(1) == Tier(1, 10**6, 10**6)
    assert COMMUNITY.tier(2) is None


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "private"},
        {"owner": OWNER},
        {"kind": "partner"},
        {"kind": "enterprise", "owner": OWNER},
        {"sla": {"tier": "gold", "deadline_ms": 1, "credit": 1}},
        {"target": "eip155:0"},
        {"target": "eip155:99999999999999999999"},
        {"classes": []},
        {"classes": [100, 10]},
        {"classes": [10, 10]},
        {"classes": [30]},
        {"classes": ["10"]},
        {"reveal_ms": 0},
        {"seal_ms": 10_001},
        {"asset": "bpi"},
        {"wei_per_unit": 0},
        {"forced_gas_bps": 10_001},
        {"policy": "mine"},
        {"policy": 7},
        {"gas_limit": 20_999},
        {"tiers": []},
        {"tiers": [{"number": 1, "bond": 5, "cap": 5}, {"number": 0, "bond": 5, "cap": 5}]},
        {"tiers": [{"number": 0, "bond": 5, "cap": 6}]},
        {"tiers": [{"number": 256, "bond": 5, "cap": 5}]},
        {"v": 2},
        {"more": 1},
    ],
    ids=lambda change: "-".join(f"{name}={value}" for name, value in change.items() if name != "owner")[:40],
)
def test_terms_outside_their_form_are_refused(change):
    with pytest.raises(FormatError) as caught:
        TargetTerms.from_map(COMMUNITY.as_map() | change)
    assert caught.value.code in {"format.terms", "mempool.target"}
