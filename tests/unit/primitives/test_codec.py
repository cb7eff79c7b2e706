import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.errors import FormatError
from bpci_node.primitives import codec
from bpci_node.primitives.codec import MAX_DEPTH, decode, encode

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
)


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def same(one, other):
    """Equality that tells ``True`` from 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@given(values)
def test_what_is_encoded_is_read_again(value):
    assert same(decode(encode(value)), value)


@given(st.dictionaries(st.text(max_size=8), st.integers(0, 99), max_size=8))
def test_the_order_in_which_a_map_was_filled_does_not_show(value):
    assert encode(value) == encode(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        # RFC 8949, appendix A.
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000000000000, "1b000000e8d4a51000"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-1000, "3903e7"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        (b"\x01\x02\x03\x04", "4401020304"),
        ("IETF", "6449455446"),
        ("水", "63e6b0b4"),
        ([1, [2, 3], [4, 5]], "8301820203820405"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
        ({"aa": 2, "b": 1}, "a261620162616102"),
    ],
)
def test_encodings_are_those_of_the_standard(value, encoded):
    assert encode(value).hex() == encoded
    assert same(decode(bytes.fromhex(encoded)), value)


@pytest.mark.parametrize(
    "encoded",
    [
        "",  # nothing
        "0000",  # two values
        "1800",  # an integer longer than needed
        "1900ff",
        "5800",  # a length longer than needed
        "a2616201616101",  # keys out of order
        "a261610161610 2".replace(" ", ""),  # a key twice
        "5f4101ff",  # indefinite lengths
        "7f6161ff",
        "9f01ff",
        "bf616101ff",
        "f97e00",  # floats
        "f93c00",
        "fb3ff0000000000000",
        "f7",  # undefined
        "e0",  # simple value
        "c074323031332d30332d32315432303a30343a30305a",  # tags: a time
        "c249010000000000000000",  # a big integer
        "d81c80",  # a shareable value
        "d81d00",  # a reference
        "a10102",  # a key that is not text
        "3bffffffffffffffff",  # below -2**63
        "61ff",  # not UTF-8
        "9bffffffffffffffff",  # lengths beyond the input
        "5bffffffffffffffff",
        "bbffffffffffffffff",
        "81",
        "1c",  # reserved
        "ff",
    ],
)
def test_what_is_not_the_one_encoding_is_refused(encoded):
    with pytest.raises(FormatError) as caught:
        decode(bytes.fromhex(encoded))
    assert caught.value.code in {"format.cbor", "format.value"}


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        2**64,
        -(2**63) - 1,
        {1: 2},
        {b"a": 1},
        {None: 1},
        (1, 2),
        {1, 2},
        bytearray(b"a"),
        object(),
        [1.5],
        {"a": {"b": float("nan")}},
    ],
)
def test_what_is_outside_the_subset_is_not_encoded(value):
    with pytest.raises(FormatError) as caught:
        encode(value)
    assert caught.value.code == "format.value"


def test_nesting_has_a_limit_on_both_sides():
    deep = nested(MAX_DEPTH)
    assert decode(encode(deep)) == deep
    with pytest.raises(FormatError):
        encode([deep])
    with pytest.raises(FormatError):
        decode(cbor2.dumps([deep], canonical=True))
    with pytest.raises(FormatError):
        decode(b"\x81" * 100_000 + b"\x00")


def folded(levels, width):
    """A list of lists, each of which refers to the one before it ``width`` times: 3 bytes a reference."""
    encoded = bytes([0x80 | levels]) + b"\xd8\x1c\x80"
    for level in range(levels - 1):
        encoded += b"\xd8\x1c" + bytes([0x80 | width]) + (b"\xd8\x1d" + bytes([level])) * width
    return encoded


def test_a_value_folded_up_by_references_is_refused_before_it_unfolds(monkeypatch):
    bomb = folded(14, 20)
    with pytest.raises(FormatError):
        decode(bomb)
    # The bound holds by itself, should the library learn another way of folding.
    monkeypatch.setattr(codec, "_TAGS", {})
    with pytest.raises(FormatError):
        decode(bomb)


@pytest.mark.parametrize("content", ["00", "6161", "4161", "80", "820102", "a0"])
def test_no_tag_is_acted_upon(content):
    for tag in (*range(300), 1004, 43000, 55799):
        head = bytes([0xC0 | tag]) if tag < 24 else b"\xd9" + tag.to_bytes(2, "big")
        with pytest.raises(FormatError):
            decode(head + bytes.fromhex(content))


def test_length_is_looked_at_before_anything_else():
    with pytest.raises(FormatError) as caught:
        decode(b"\xff" * 101, max_bytes=100)
    assert caught.value.code == "format.size"


@settings(max_examples=2000)
@given(st.binary(max_size=80))
def test_any_bytes_are_canonical_or_refused(data):
    try:
        value = decode(data)
    except FormatError:
        return
    assert encode(value) == data


@settings(max_examples=500)
@given(values, st.data())
def test_a_changed_byte_gives_another_value_or_none(value, data):
    encoded = bytearray(encode(value))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode(bytes(encoded))
    except FormatError:
        return
    assert not same(changed, value)
