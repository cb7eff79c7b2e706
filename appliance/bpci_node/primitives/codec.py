"""Canonical CBOR: the one form in which anything is signed, hashed, stored or sent.

The subset: ``None``, booleans, integers of -2**63 to 2**64-1, byte strings, text strings, lists, and maps with text
keys. No floats, no tags, no indefinite lengths. Key order is that of RFC 8949 section 4.2.1. Decoding refuses every
encoding that :func:`encode` would not have produced, so one value has exactly one encoding.
"""

from __future__ import annotations

from typing import Any, NoReturn

import cbor2

from bpci_node.errors import FormatError

MAX_DEPTH = 16
"""Nesting of lists and maps that is still read."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1

_UNBOUNDED = 2**62
"""Room for values of our own, which nobody has folded up."""


def _refuse_tag(*_: Any) -> NoReturn:
    raise FormatError("tags are outside the subset", code="format.cbor")


_TAGS = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse_tag
)
"""Every tag that cbor2 would act upon, such as compiling a regular expression: none of them is to run."""


def encode(value: Any) -> bytes:
    """Return the canonical encoding of ``value``.

    Raises:
        FormatError: a type, range or depth outside the subset (``format.value``).
    Source: RFC 8949, section 4.2.1.
    """
    _check(value, MAX_DEPTH, _UNBOUNDED)
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
        value = cbor2.loads(data, semantic_decoders=_TAGS, allow_indefinite=False)
        # A canonical encoding is at least as long as what it holds. Without this bound a few shared references would
        # unfold into more items than any machine can visit.
        _check(value, MAX_DEPTH, len(data))
        again = cbor2.dumps(value, canonical=True)
    except FormatError:
        raise
    except Exception as error:  # cbor2 raises many kinds on hostile input; all of them mean the same to a caller
        raise FormatError("not a CBOR value of the permitted subset", code="format.cbor") from error
    if again != data:
        raise FormatError("not the canonical encoding of its value", code="format.cbor")
    return value


def _check(value: Any, depth: int, room: int) -> int:
    """Check one value and return how much of ``room`` it leaves: items and characters count one each."""
    kind = type(value)
    room -= 1
    if kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise FormatError("integer outside 64 bits", code="format.value")
    elif kind is bytes or kind is str:
        room -= len(value)
    elif kind is list or kind is dict:
        if depth == 0:
            raise FormatError(f"nested deeper than {MAX_DEPTH}", code="format.value")
        if kind is list:
            for item in value:
                room = _check(item, depth - 1, room)
        else:
            for key, item in value.items():
                if type(key) is not str:
                    raise FormatError("map key is not text", code="format.value")
                room = _check(item, depth - 1, room - 1 - len(key))
    elif kind is not bool and value is not None:
        raise FormatError(f"type {kind.__name__} is outside the subset", code="format.value")
    if room < 0:
        raise FormatError("not the canonical encoding of its value", code="format.cbor")
    return room
