import pytest
import rlp as oracle
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.errors import FormatError
from bpci_node.primitives.rlp import Item, Span, encode, encode_integer, read_items

items = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=6), max_leaves=20)


def read(data: bytes) -> Item:
    """Decode one item with the code under test, deeply."""
    spans = list(read_items(data, 0, len(data)))
    if len(spans) != 1:
        raise FormatError("not one item", code="format.rlp")

    def value(span: Span) -> Item:
        if not span.is_list:
            return data[span.start : span.end]
        return [value(part) for part in read_items(data, span.start, span.end)]

    return value(spans[0])


@given(items)
def test_what_is_encoded_reads_back_and_equals_the_library(item: Item) -> None:
    data = encode(item)
    assert data == oracle.encode(item)
    assert read(data) == item


@given(st.integers(0, 2**256))
def test_integers_equal_the_library(value: int) -> None:
    assert encode_integer(value) == oracle.encode(value)


@given(st.binary(max_size=120))
def test_random_bytes_are_read_exactly_when_the_library_reads_them_canonically(data: bytes) -> None:
    try:
        expected = oracle.decode(data)
        is_canonical = oracle.encode(expected) == data
    except Exception:  # noqa: BLE001 - whatever the library raises, it does not read this
        is_canonical = False
    if is_canonical:
        assert read(data) == expected
    else:
        with pytest.raises(FormatError) as caught:
            read(data)
        assert caught.value.code == "format.rlp"


@pytest.mark.parametrize(
    "data",
    ["8101", "b801", "b800", "b90040" + "61" * 64, "f801c0", "bfffffffffffffffff", "c181", "c201", "c1b8", "81"],
)
def test_what_is_not_canonical_or_cut_off_is_refused(data: str) -> None:
    with pytest.raises(FormatError):
        read(bytes.fromhex(data))
