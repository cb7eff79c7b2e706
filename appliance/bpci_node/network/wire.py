"""Bytes on the wire: ``0x`` hexadecimal in JSON, media types, and the JSON view of a decoded CBOR value."""

from __future__ import annotations

import re
from typing import Any

from bpci_node.errors import FormatError

CBOR = "application/cbor"
JSON = "application/json"
PROBLEM = "application/problem+json"
AUTH_HEADER = "BPCI-Auth"

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")


def hex_of(data: bytes) -> str:
    """Return the JSON view of bytes: ``0x`` and lower-case hexadecimal digits."""
    return "0x" + data.hex()


def bytes_of(text: Any, *, what: str) -> bytes:
    """Return the bytes of a JSON view.

    Raises:
        FormatError: not ``0x`` and an even number of lower-case hexadecimal digits (``format.hex``).
    """
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise FormatError(
            f"{what} must be 0x and an even number of hexadecimal digits in lower case", code="format.hex"
        )
    return bytes.fromhex(text[2:])


def json_view(value: Any) -> Any:
    """Return ``value`` with every byte string as ``0x`` hexadecimal; for values of the canonical subset."""
    if isinstance(value, bytes):
        return hex_of(value)
    if isinstance(value, dict):
        return {key: json_view(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_view(item) for item in value]
    return value
