"""Names that institutions carry on the ledger: none that can be taken for another, or for somebody else's.

A name is in Latin or in Devanagari, never in both, and in Unicode's normal form NFKC. Two names are the same if their
skeletons are. The letters are listed by code point, so the verdict does not depend on a version of Unicode's tables.
"""

from __future__ import annotations

import re
import unicodedata

from bpci_node.chain.forms import Form, text
from bpci_node.errors import FormatError

_LATIN = r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0130\u0134-\u0137\u0139-\u013e\u0141-\u0148\u014a-\u017e"
_DEVANAGARI = r"\u0900-\u0939\u093c-\u0950"
_COMMON = r"0-9 .&'-"
_LATIN_NAME = re.compile(rf"[{_LATIN}{_COMMON}]*")
_DEVANAGARI_NAME = re.compile(rf"[{_DEVANAGARI}{_COMMON}]*")
_BETWEEN = re.compile(r"[ .&'-]{2}")
_ENDS = re.compile(r"[A-Za-z\u00c0-\u017e\u0904-\u0939].*[^ .&'-]", re.DOTALL)

MIN_CHARACTERS, MAX_CHARACTERS = 3, 40

LABEL: Form = text(re.compile(r"[^\x00-\x1f]{3,40}", re.DOTALL), "a name of 3 to 40 characters")
"""The form of a field with a name; :func:`check_label` says the rest."""

# Characters that look alike in common fonts, each to one of them. After case folding, so capital I is i.
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "2": "z", "8": "b", "đ": "d", "ħ": "h", "ł": "l"}) | {
    ord("ŧ"): "t",
    ord("ø"): "o",
    ord("æ"): "ae",
    ord("œ"): "oe",
    ord("ŋ"): "n",
    ord("þ"): "p",
    ord("ð"): "d",
}


def check_label(name: str) -> None:
    """Check that ``name`` may be a name on the ledger.

    Raises:
        FormatError: not in NFKC, of no script or of two, or with signs where letters belong (``format.name``).
    """
    if unicodedata.normalize("NFKC", name) != name:
        raise _wrong("it is not in Unicode's normal form NFKC")
    if not (_LATIN_NAME.fullmatch(name) or _DEVANAGARI_NAME.fullmatch(name)):
        raise _wrong("it is neither wholly Latin nor wholly Devanagari, besides digits and . & ' -")
    if _ENDS.fullmatch(name) is None or _BETWEEN.search(name.replace(" & ", "&")):
        raise _wrong("it begins with a letter, and signs stand singly between letters and digits")
    if len(skeleton(name)) < 2:
        raise _wrong("too little of it tells it from others")


def skeleton(name: str) -> str:
    """Return what is left of ``name`` when everything is folded that a reader may overlook.

    Case, accents, spaces and signs go; characters and pairs that look alike become one.
    """
    folded = unicodedata.normalize("NFD", name.casefold())
    bare = "".join(character for character in folded if not "\u0300" <= character <= "\u036f")
    alike = "".join(character for character in bare.translate(_ALIKE) if character not in " .&'-")
    return alike.replace("rn", "m").replace("vv", "w").replace("cl", "d")


def _wrong(reason: str) -> FormatError:
    return FormatError(
        f"this can't be a name on the ledger: {reason}", code="format.name", hint="Write it in one script, plainly."
    )
