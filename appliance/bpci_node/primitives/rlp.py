"""Recursive length prefix (RLP), Ethereum's encoding, read strictly and lazily.

Reading yields positions instead of copies, one item at a time, so a caller that knows what shape it expects stops at
the first wrong item: the cost of hostile input is bounded by what is right about it. Every value has one accepted
encoding: no leading zeros in lengths, no long form where a short one exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from bpci_node.errors import FormatError

Item: TypeAlias = "bytes | list[Item]"
"""What is encoded: bytes, or a list of items."""


class Span(NamedTuple):
    """Where the payload of one item lies."""

    is_list: bool
    """True for a list, False for a byte string."""
    start: int
    """First byte of the payload."""
    end: int
    """One past its last byte; the next item begins here."""


def read_items(data: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield the items that lie one after another in ``data[start:end]``.

    Raises:
        FormatError: an item is not canonical, or reaches beyond ``end`` (``format.rlp``).
    Source: Ethereum Yellow Paper, appendix B.
    """
    while start < end:
        first = data[start]
        if first < 0x80:
            span = Span(is_list=False, start=start, end=start + 1)
        elif first < 0xB8:
            span = Span(is_list=False, start=start + 1, end=start + 1 + first - 0x80)
            if first == 0x81 and span.end <= end and data[span.start] < 0x80:
                raise FormatError("RLP: a single byte has no length", code="format.rlp")
        elif first < 0xC0:
            span = _read_long(data, start, end, first - 0xB7, is_list=False)
        elif first < 0xF8:
            span = Span(is_list=True, start=start + 1, end=start + 1 + first - 0xC0)
        else:
            span = _read_long(data, start, end, first - 0xF7, is_list=True)
        if span.end > end:
            raise FormatError("RLP: an item reaches beyond its list", code="format.rlp")
        yield span
        start = span.end


def encode(item: Item) -> bytes:
    """Return the encoding of ``item``."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _header(0x80, len(item)) + item
    return encode_list(b"".join([encode(part) for part in item]))


def encode_list(payload: bytes) -> bytes:
    """Return the list whose items' encodings, joined, are ``payload``."""
    return _header(0xC0, len(payload)) + payload


def encode_integer(value: int) -> bytes:
    """Return the encoding of ``value`` (>= 0): big-endian without leading zeros, zero being empty."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _header(offset: int, length: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(digits)]) + digits


def _read_long(data: bytes, position: int, end: int, width: int, *, is_list: bool) -> Span:
    start = position + 1 + width
    if start > end or data[position + 1] == 0:
        raise FormatError("RLP: a length is cut off or begins with zero", code="format.rlp")
    length = int.from_bytes(data[position + 1 : start], "big")
    if length < 56:
        raise FormatError("RLP: a long length where a short one exists", code="format.rlp")
    return Span(is_list, start, start + length)
