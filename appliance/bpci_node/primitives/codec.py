"""Canonical CBOR: the one form in which anything is signed, hashed, stored or sent.

The subset: ``None``, booleans, integers of -2**63 to 2**64-1, byte strings, text strings, lists, and maps with text
keys. No floats, no tags, no indefinite lengths. Key order is that of RFC 8949 section 4.2.1. Decoding refuses every encoding
that :func:`encode` would not have produced, so one value has exactly one encoding.
"""

from __future__ import annotations

from typing import Any

import cbor2

from bpci_node.errors import FormatError

MAX_DEPTH = 16
"""Nesting of lists and maps that is still read."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def encode(value: Any) -> bytes:
    """Return the canonical encoding of ``value``.

    Raises:
        FormatError: a type, range or depth outside the subset (``format.value``).
    Source: RFC 8949, section 4.2.1.
    """
    _check(value, MAX_DEPTH)
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, *, max_bytes: int = 1 << 20) -> Any:
    """Return the value of which ``data`` is the canonical encoding.

    Args:
        max_bytes: longest input that is looked at.
    Raises:
        FormatError: too long, not CBOR, trailing bytes, outside the subset, or not canonical (``format.cbor``).
    """
    if len(data) > max_bytes:
        raise FormatError(f"encoded value has {len(data)} bytes, at most {max_bytes} are read", code="format.size")
    try:
        value = cbor2.loads(data)
        _check(value, MAX_DEPTH)
        again = cbor2.dumps(value, canonical=True)
    except FormatError:
        raise
    except Exception as error:  # cbor2 raises many kinds on hostile input; all of them mean the same to a caller
        raise FormatError("not a CBOR value of the permitted subset", code="format.cbor") from error
    if again != data:
        raise FormatError("not the canonical encoding of its value", code="format.cbor")
    return value


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise FormatError("integer outside 64 bits", code="format.value")
    elif kind is list or kind is dict:
        if depth == 0:
            raise FormatError(f"nested deeper than {MAX_DEPTH}", code="format.value")
        if kind is list:
            for item in value:
                _check(item, depth - 1)
        else:
            for key, item in value.items():
                if type(key) is not str:
                    raise FormatError("map key is not text", code="format.value")
                _check(item, depth - 1)
    elif kind is not bytes and kind is not str and kind is not bool and value is not None:
        raise FormatError(f"type {kind.__name__} is outside the subset", code="format.value")
