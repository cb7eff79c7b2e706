import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.block import Block, commands_root, decode_signed_block, sign_block, verify_block
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.merkle import EMPTY_ROOT


@pytest.fixture(scope="module")
def signed(world):
    block = Block(1, 2, world.genesis.hash, EMPTY_ROOT, EMPTY_ROOT, world.registry.public_key)
    return sign_block(world.registry, block)


def test_a_block_is_read_as_it_was_written(signed):
    again = decode_signed_block(signed.encode())
    assert again == signed
    verify_block(again)


def test_the_digest_of_a_block_does_not_cover_its_signature(world, signed):
    assert sign_block(world.other, signed.block).block.digest == signed.block.digest


def test_a_block_signed_by_another_than_its_proposer_is_refused(world, signed):
    with pytest.raises(ProofError) as caught:
        verify_block(sign_block(world.other, signed.block))
    assert caught.value.code == "proof.signature"


@pytest.mark.parametrize(
    "change",
    [{"v": 0}, {"v": 3}, {"height": 0}, {"time_ms": -1}, {"parent": bytes(31)}, {"state_root": ""}, {"more": 1}],
    ids=str,
)
def test_a_block_outside_its_form_is_refused(signed, change):
    outer = decode(signed.encode())
    outer["block"] |= change
    with pytest.raises(FormatError) as caught:
        decode_signed_block(encode(outer))
    assert caught.value.code == "format.block"


def test_commands_are_rooted_in_their_order():
    assert commands_root([]) == EMPTY_ROOT
    assert commands_root([b"a", b"b"]) != commands_root([b"b", b"a"])


@given(st.data())
def test_a_changed_byte_is_refused(signed, data):
    changed = bytearray(signed.encode())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BpciError):
        verify_block(decode_signed_block(bytes(changed)))


@settings(max_examples=1000)
@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_our_errors(data):
    with pytest.raises(BpciError):
        decode_signed_block(data)
