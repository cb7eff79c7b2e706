import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.beginning import first_writes
from bpci_node.chain.genesis import Genesis, decode_genesis
from bpci_node.chain.guardians import load_guardians, load_parameter
from bpci_node.chain.parameters import PARAMETERS, Allocation, AssetRule, Schedule
from bpci_node.chain.state import State
from bpci_node.chain.targets import list_targets, terms_of
from bpci_node.errors import BpciError, FormatError
from bpci_node.primitives.codec import decode, encode


def test_a_genesis_with_parameters_is_read_as_it_was_written(economy):
    genesis = economy.genesis
    again = decode_genesis(genesis.encode())
    assert (again.version, again.hash, again.ledger_id) == (2, genesis.hash, genesis.ledger_id)
    assert first_writes(again) == first_writes(genesis)
    assert again.parameters.value("fee_min") == 2


def test_a_genesis_older_than_a_parameter_keeps_its_hash_and_takes_the_default(economy):
    older = economy.genesis.as_map()
    del older["parameters"]["values"]["jail_blocks"]
    found = decode_genesis(encode(older))
    assert found.encode() == encode(older)
    assert b"parameter/jail_blocks" not in first_writes(found)
    assert b"parameter/jail_blocks" in first_writes(economy.genesis)
    assert found.parameters.value("jail_blocks") == PARAMETERS["jail_blocks"].default
    assert load_parameter(State.of(first_writes(found).items()), "jail_blocks") == PARAMETERS["jail_blocks"].default


def test_what_begins_differently_is_another_ledger(economy):
    genesis = economy.genesis
    other = replace(genesis, parameters=replace(genesis.parameters, threshold=3))
    assert other.ledger_id != genesis.ledger_id
    assert Genesis(genesis.name, genesis.registry_key, genesis.time_ms).version == 1


def test_a_ledger_of_version_1_has_its_registry_as_guardian_and_the_defaults(world):
    state = world.machine().state
    assert load_guardians(state, world.genesis) == ((world.account(world.registry),), 1)
    assert load_parameter(state, "fee_min") == 0
    assert first_writes(world.genesis) == {}


BPI = AssetRule("BPI", 8, 100)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "net"},
        {"assets": ()},
        {"assets": (AssetRule("GEN", 8, 1),)},
        {"assets": (AssetRule("GEN", 8, 1), BPI)},
        {"assets": (BPI, BPI)},
        {"assets": (BPI, AssetRule("gen", 8, 1))},
        {"assets": (AssetRule("BPI", 19, 100),)},
        {"assets": (AssetRule("BPI", 8, 0),)},
        {"allocations": (Allocation("bpa1" + "a" * 32, "BPI", 101, None),)},
        {"allocations": (Allocation("bpa1" + "a" * 32, "GEN", 1, None),)},
        {"allocations": (Allocation("bpa1" + "a" * 32, "BPI", 0, None),)},
        {"allocations": (Allocation("nobody", "BPI", 1, None),)},
        {"guardians": ()},
        {"guardians": (bytes(32),)},
        {"threshold": 1},
        {"threshold": 4},
        {"values": {"fee_min": -1}},
        {"values": {"price_of_tea": 1}},
    ],
    ids=str,
)
def test_parameters_that_contradict_themselves_make_no_ledger(economy, change):
    sound = replace(economy.genesis.parameters, assets=(BPI,), allocations=())
    with pytest.raises(FormatError):
        replace(sound, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"network": 1},
        {"assets": {}},
        {"assets": [{"id": "BPI", "decimals": 8}]},
        {"allocations": [{"to": "x", "asset": "BPI", "amount": 1, "vesting": None}]},
        {"guardians": ["key"]},
        {"threshold": None},
        {"values": {"jail_blocks": -1}},
        {"more": 1},
    ],
    ids=str,
)
def test_parameters_outside_their_form_are_refused(economy, change):
    value = decode(economy.genesis.encode())
    value["parameters"] |= change
    with pytest.raises(FormatError):
        decode_genesis(encode(value))


def test_vesting_allocations_are_numbered_grants(economy):
    grants = [key for key in first_writes(economy.genesis) if key.startswith(b"vesting/")]
    assert grants == [f"vesting/{economy.account(economy.other)}/".encode() + (3).to_bytes(16)]
    assert economy.genesis.parameters.allocations[3].vesting == Schedule(
        economy.genesis.time_ms, economy.genesis.time_ms + 1000, economy.genesis.time_ms + 10_000
    )


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_changed_byte_makes_another_ledger_or_none(economy, data):
    original = economy.genesis.encode()
    changed = bytearray(original)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(BpciError):
        assert decode_genesis(bytes(changed)).hash != economy.genesis.hash


def test_a_genesis_names_targets_which_are_auctioned_from_the_first_epoch_on(house):
    without = house.genesis
    terms = (house.terms(), house.terms(target="eip155:10"))
    genesis = replace(without, parameters=replace(without.parameters, targets=terms))
    again = decode_genesis(genesis.encode())
    assert (again.hash, again.parameters.targets) == (genesis.hash, terms)
    assert genesis.hash != without.hash
    state = State.of(first_writes(again).items())
    assert list_targets(state) == ("eip155:1", "eip155:10")
    assert [terms_of(state, found.target, epoch) for found in terms for epoch in (0, 7)] == [
        found for found in terms for _ in range(2)
    ]


def test_a_genesis_without_targets_has_no_field_for_them_and_keeps_its_hash(economy):
    value = decode(economy.genesis.encode())
    assert "targets" not in value["parameters"]
    value["parameters"]["targets"] = []
    with pytest.raises(FormatError) as caught:
        decode_genesis(encode(value))
    assert caught.value.code == "format.genesis"


@pytest.mark.parametrize("names", [("eip155:10", "eip155:1"), ("eip155:1", "eip155:1")], ids="-".join)
def test_targets_of_a_genesis_come_in_order_and_once(house, names):
    parameters = house.genesis.parameters
    with pytest.raises(FormatError):
        replace(parameters, targets=tuple(house.terms(target=name) for name in names))


def test_a_target_of_a_genesis_is_paid_in_an_asset_of_its_table(house):
    with pytest.raises(FormatError):
        replace(house.genesis.parameters, targets=(house.terms(asset="ABC"),))


@pytest.mark.parametrize("change", [{"policy": "mine"}, {"v": 2}, {"more": 1}, {"tiers": []}], ids=str)
def test_a_target_of_a_genesis_outside_its_form_is_refused(house, change):
    parameters = house.genesis.parameters
    genesis = replace(house.genesis, parameters=replace(parameters, targets=(house.terms(),)))
    value = decode(genesis.encode())
    value["parameters"]["targets"][0] |= change
    with pytest.raises(FormatError) as caught:
        decode_genesis(encode(value))
    assert caught.value.code == "format.genesis"
