"""JSON from outside: bounded in size and depth before it is decoded, strict in what the decoder leaves open.

Python's decoder calls itself for every level of nesting. Where a library has raised the interpreter's recursion limit,
as pairing arithmetic in Python does, a megabyte of brackets ends the process instead of raising an error; so depth is
measured first, without recursion. Decoding refuses what different readers understand differently: text that is not
UTF-8, names that occur twice in an object, NaN and the infinities, and numbers with a fraction unless they are asked
for. What the members mean is the caller's question.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from bpci_node.errors import FormatError

MAX_DEPTH = 32
"""Nesting of arrays and objects that is still read."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or one that never ends: without backtracking, so that time grows with length alone."""
_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(data: bytes, *, max_bytes: int, allow_fractions: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        max_bytes: longest input that is looked at.
        allow_fractions: whether numbers may have a fraction or an exponent; they become floats.
    Raises:
        FormatError: longer than ``max_bytes`` (``format.size``); nested deeper than :data:`MAX_DEPTH`, or not JSON of
            the permitted form (``format.json``).
    Source: RFC 8259; RFC 7493 for what is refused beyond it.
    """
    if len(data) > max_bytes:
        raise FormatError(f"the JSON text has {len(data)} bytes, at most {max_bytes} are read", code="format.size")
    if not _is_shallow(data):
        raise FormatError(f"the JSON text is nested deeper than {MAX_DEPTH}, or cut off", code="format.json")
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_number,
            parse_float=None if allow_fractions else _refuse_number,
        )
    except ValueError as error:
        raise FormatError("the text is not JSON of the permitted form", code="format.json") from error


def _is_shallow(data: bytes) -> bool:
    """Tell whether the brackets outside of strings pair up at most :data:`MAX_DEPTH` deep.

    Every round takes the innermost pairs away, and so one level of nesting. Whatever the decoder would read before its
    first complaint parts into strings and brackets as it does here, so it never goes deeper than what is counted.
    """
    brackets = _STRING.sub(b"", data).translate(_BRACKETS, _OTHERS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            break
        brackets = brackets.replace(b"()", b"")
    return not brackets


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names something twice")
    return found


def _refuse_number(_text: str) -> NoReturn:
    raise ValueError("a number of another form")
