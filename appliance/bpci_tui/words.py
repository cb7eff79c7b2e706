"""The words of recovery phrases, and completing them: the first four letters of each are enough."""

from __future__ import annotations

from functools import cache

from mnemonic import Mnemonic

WORDS = 24


@cache
def word_list() -> tuple[str, ...]:
    """Return the English words of BIP-39, in alphabetical order."""
    return tuple(Mnemonic("english").wordlist)


def completed(text: str) -> list[str]:
    """Return the words that were typed, each completed where its beginning names only one of the list."""
    return [_complete(word) for word in text.lower().split()]


def _complete(start: str) -> str:
    if len(start) < 4:
        return start
    found = [word for word in word_list() if word.startswith(start)]
    return start if start in found or len(found) != 1 else found[0]
