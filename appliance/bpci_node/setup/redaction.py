"""Taking secrets out of text that is going to be shown to strangers.

Three nets, each for what the others miss: by place (a value whose name says that it is secret), by form (keys in PEM,
password hashes, recovery phrases, credentials in URLs and headers), and by value (what this machine keeps as secrets,
wherever it turns up, also in hexadecimal and base64). A name that only might be secret counts as one: what is
lost to a helper by that is little, what would be lost to a thief is not.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import cache

from mnemonic import Mnemonic

GONE = "(removed)"
SHORTEST = 6
"""Values shorter than this are not looked for: they would be found everywhere."""
PHRASE_WORDS = 6
"""From so many words of the recovery phrases' list in a row on, they count as one."""

_NAME = (
    r"[\w.-]*(?:pass(?:word|phrase|wd)?|secret|token|phrase|mnemonic|credential|private|psk|hash|seed|cookie"
    r"|auth(?:orization)?|(?<![a-z])keys?)[\w.-]*"
)
_ASSIGNED = re.compile(
    rf"""(?imx)
    (?P<before>["']?(?<!did:)\b{_NAME}["']?\s*(?:=|:)\s*)        # password = , "token":
    (?P<value>\[[^\]]*\] | \"\"\".*?\"\"\" | "(?:[^"\\]|\\.)*" | '[^']*' | [^\s,}}\]]+(?:[ \t]+[^\s=:]+)*)
    """
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*(?:PRIVATE|SECRET)[A-Z0-9 ]*-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL
)
_CRYPT = re.compile(r"\$(?:y|gy|7|6|5|2[abxy]?|1|argon2\w*)\$[^\s:\"']{8,}")
_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@", re.IGNORECASE)
_HEADER = re.compile(r"(?im)\b(?P<before>(?:proxy-)?authorization\s*:\s*|\b(?:bearer|basic)\s+)[^\r\n\"']+")
_QUERY = re.compile(rf"(?i)(?P<before>[?&]{_NAME}=)[^&\s\"']+")
_RUNS = re.compile(rf"(?:\b[a-z]{{3,8}}\b[\s\d.,:;|'\"-]*){{{PHRASE_WORDS},}}")


def redact(text: str, values: Iterable[str] = ()) -> str:
    """Return ``text`` without what looks like a secret, and without ``values``.

    Args:
        values: see :func:`forms_of`; the longest are taken out first.
    """
    for value in sorted(set(values), key=len, reverse=True):
        text = text.replace(value, GONE)
    text = _PEM.sub(GONE, text)
    text = _URL.sub(rf"\g<scheme>{GONE}@", text)
    text = _HEADER.sub(rf"\g<before>{GONE}", text)
    text = _QUERY.sub(rf"\g<before>{GONE}", text)
    text = _ASSIGNED.sub(rf"\g<before>{GONE}", text)
    text = _CRYPT.sub(GONE, text)
    return _RUNS.sub(_without_phrase, text)


def is_secret_name(name: str) -> bool:
    """Tell whether a value of this name counts as a secret."""
    return re.fullmatch(_NAME, name, re.IGNORECASE) is not None


def forms_of(secret: bytes) -> set[str]:
    """Return how a secret may be written in a text: as it is, in hexadecimal, in base64; nothing if it is too short."""
    bare = secret.strip()
    if len(bare) < SHORTEST:
        return set()
    encoded = [base64.b64encode(bare).decode(), base64.urlsafe_b64encode(bare).decode()]
    found = {bare.hex(), bare.hex().upper(), *encoded, *(item.rstrip("=") for item in encoded)}
    try:
        found.add(bare.decode())
    except UnicodeDecodeError:
        return found
    # A file of several lines turns up line by line.
    return found | {line.strip() for line in bare.decode().splitlines() if len(line.strip()) >= 2 * SHORTEST}


@cache
def _words() -> frozenset[str]:
    return frozenset(Mnemonic("english").wordlist)


def _without_phrase(found: re.Match[str]) -> str:
    """Take a run of words out in which so many of the list stand in a row."""
    row = best = 0
    for word in re.findall(r"[a-z]{3,8}", found.group()):
        row = row + 1 if word in _words() else 0
        best = max(best, row)
    return GONE + " " if best >= PHRASE_WORDS else found.group()
