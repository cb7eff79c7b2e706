import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.chain.genesis import Genesis, decode_genesis
from bpci_node.errors import BpciError, FormatError
from bpci_node.primitives.codec import encode


def test_a_genesis_is_read_as_it_was_written(world):
    assert decode_genesis(world.genesis.encode()) == world.genesis


def test_the_ledgers_id_is_its_name_and_its_genesis_hash(world):
    assert world.genesis.ledger_id == "testnet:" + world.genesis.hash.hex()


@pytest.mark.parametrize("change", [{"name": "othernet"}, {"time_ms": 1}])
def test_whatever_differs_makes_another_ledger(world, change):
    fields = {"name": "testnet", "registry_key": world.registry.public_key, "time_ms": 0}
    assert Genesis(**fields).ledger_id != Genesis(**(fields | change)).ledger_id


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a" * 33, "é", "a:b", "a\n"])
def test_a_name_outside_its_form_makes_no_ledger(world, name):
    with pytest.raises(FormatError) as caught:
        Genesis(name, world.registry.public_key, 0)
    assert caught.value.code == "format.genesis"


def test_an_unusable_key_makes_no_ledger():
    with pytest.raises(FormatError) as caught:
        Genesis("testnet", bytes(32), 0)
    assert caught.value.code == "format.key"


@pytest.mark.parametrize(
    "change", [{"v": 2}, {"parameters": {"x": 1}}, {"parameters": None}, {"time_ms": -1}, {"x": 1}]
)
def test_a_genesis_outside_its_form_is_refused(world, change):
    with pytest.raises(FormatError) as caught:
        decode_genesis(encode(world.genesis.as_map() | change))
    assert caught.value.code == "format.genesis"


@given(st.binary(max_size=120))
def test_random_bytes_raise_nothing_but_our_errors(data):
    with pytest.raises(BpciError):
        decode_genesis(data)
