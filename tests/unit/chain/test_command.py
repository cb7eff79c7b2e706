import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.command import MAX_COMMAND_BYTES, decode_signed_command, sign_command
from bpci_node.errors import BpciError, FormatError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import verify_signature


def test_what_is_sent_is_read_again(world):
    signed = sign_command(world.node, world.command())
    again = decode_signed_command(signed.encode())
    assert again == signed
    verify_signature(world.node.public_key, again.command.digest, again.signatures[0].sig)


def test_the_id_of_a_command_is_the_same_whoever_signs_it(world):
    command = world.command()
    assert sign_command(world.node, command).command.digest == sign_command(world.other, command).command.digest


CHANGES = [
    {"v": 2},
    {"v": True},
    {"ledger_id": "testnet"},
    {"ledger_id": "Testnet:" + "0" * 64},
    {"ledger_id": "testnet:" + "0" * 63},
    {"ledger_id": 1},
    {"sender": ""},
    {"sender": "bpa1" + "a" * 31},
    {"sender": "bpa1" + "A" * 32},
    {"sender": "bpa1" + "a" * 32 + "\n"},
    {"sender": b"bpa1"},
    {"nonce": -1},
    {"nonce": 2**63},
    {"nonce": True},
    {"nonce": None},
    {"expires_height": 0},
    {"expires_height": "10"},
    {"fee": -1},
    {"fee": 2**63},
    {"fee": "0"},
    {"kind": "register"},
    {"kind": "registry.Register"},
    {"kind": "registry.regist\u0435r_node"},  # with a Cyrillic letter
    {"kind": 1},
    {"body": None},
    {"body": []},
    {"memo": "hello"},
    {"signature": b""},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_field_outside_its_form_is_refused(world, change):
    outer = decode(world.signed())
    outer["command"] |= change
    with pytest.raises(FormatError) as caught:
        decode_signed_command(encode(outer))
    assert caught.value.code == "format.command"


@pytest.mark.parametrize("name", ["v", "ledger_id", "sender", "nonce", "expires_height", "fee", "kind", "body"])
def test_a_missing_field_is_refused_by_name(world, name):
    outer = decode(world.signed())
    del outer["command"][name]
    with pytest.raises(FormatError, match=repr(name)):
        decode_signed_command(encode(outer))


@pytest.mark.parametrize(
    "signatures",
    [
        None,
        [],
        [{}],
        ["sig"],
        [{"alg": "rsa", "key_id": 0, "sig": 0}],
        [{"alg": "rsa"}],
        [{"key_id": "did:key:zzz"}],
        [{"key_id": "did:web:example.org"}],
        [{"sig": bytes(63)}],
        [{"sig": "aa"}],
        [{"more": 1}],
        [{}, {}],
    ],
    ids=str,
)
def test_signatures_outside_their_form_are_refused(world, signatures):
    outer = decode(world.signed())
    if isinstance(signatures, list):
        good = outer["signatures"][0]
        signatures = [good | item if isinstance(item, dict) and item else item for item in signatures]
        if signatures == [{}, {}]:
            signatures = [good, good]
    with pytest.raises(FormatError) as caught:
        decode_signed_command(encode(outer | {"signatures": signatures}))
    assert caught.value.code == "format.command"


def test_what_is_not_canonical_is_refused(world):
    signed = world.signed()
    # The outer map's two keys, exchanged.
    split = signed.index(b"\x6asignatures")
    exchanged = signed[:1] + signed[split:] + signed[1:split]
    for wrong in (exchanged, signed + b"\x00", signed[:-1], b"\xd9\xd9\xf7" + signed):
        with pytest.raises(FormatError) as caught:
            decode_signed_command(wrong)
        assert caught.value.code == "format.cbor"


def test_a_command_longer_than_allowed_is_refused(world):
    with pytest.raises(FormatError) as caught:
        decode_signed_command(world.signed(body={"filler": bytes(MAX_COMMAND_BYTES)}))
    assert caught.value.code == "format.size"


@settings(max_examples=3000)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_our_errors(data):
    with pytest.raises(BpciError):
        decode_signed_command(data)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=70) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
names = ["v", "ledger_id", "sender", "nonce", "expires_height", "fee", "kind", "body"]


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(names), json_like),
    st.dictionaries(st.sampled_from(["alg", "key_id", "sig"]), json_like),
)
def test_well_formed_cbor_of_any_content_raises_nothing_but_our_errors(world, command, signature):
    outer = decode(world.signed())
    value = {"command": outer["command"] | command, "signatures": [outer["signatures"][0] | signature]}
    machine = world.machine()
    if value == outer:
        return
    with pytest.raises(BpciError):
        machine.check(encode(value), machine.time_ms + 1)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_changed_byte_never_passes(world, data):
    signed = bytearray(world.signed())
    signed[data.draw(st.integers(0, len(signed) - 1))] ^= data.draw(st.integers(1, 255))
    machine = world.machine()
    with pytest.raises(BpciError):
        machine.check(bytes(signed), machine.time_ms + 1)
