"""Base58 in Bitcoin's alphabet, as multibase ``z`` uses it: the text form of keys.

Source: draft-msporny-base58-03.
"""

from __future__ import annotations

from bpci_node.errors import FormatError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}

MAX_CHARACTERS = 128
"""Longest text that is decoded: the work grows with the square of the length."""


def encode(data: bytes) -> str:
    """Return the base58 text of ``data``; each leading zero byte becomes a leading ``1``."""
    number = int.from_bytes(data, "big")
    characters: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        characters.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return "1" * zeros + "".join(reversed(characters))


def decode(text: str) -> bytes:
    """Return the bytes of which ``text`` is the base58 text.

    Raises:
        FormatError: too long, or a character outside the alphabet (``format.base58``).
    """
    if len(text) > MAX_CHARACTERS:
        raise FormatError(f"base58 text is longer than {MAX_CHARACTERS} characters", code="format.base58")
    number = 0
    for position, character in enumerate(text):
        value = _VALUES.get(character)
        if value is None:
            raise FormatError(f"character {position + 1} is not base58", code="format.base58", position=position + 1)
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return b"\x00" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
