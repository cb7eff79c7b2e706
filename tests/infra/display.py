"""The display and the keyboard of a machine: its screen is photographed and read with the console's own font."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Sequence

from image.qemu import Machine
from image.terminal import Terminal

KEYS = {"enter": "ret", "escape": "esc", "tab": "tab", "down": "down"}
PLAIN = {
    "-": "minus",
    "=": "equal",
    "[": "bracket_left",
    "]": "bracket_right",
    ";": "semicolon",
    "'": "apostrophe",
    "\\": "backslash",
    ",": "comma",
    ".": "dot",
    "/": "slash",
    "`": "grave_accent",
    " ": "spc",
}
SHIFTED = dict(zip('!@#$%^&*()_+{}:"|<>?~', "1234567890-=[];'\\,./`", strict=True))
"""Where characters are on a keyboard of the United States, which a machine has until its owner says otherwise."""
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


def chord_of(character: str) -> str:
    """Return the keys that give a character, by QEMU's names."""
    if character in SHIFTED:
        return f"shift+{chord_of(SHIFTED[character])}"
    if character.isupper():
        return f"shift+{character.lower()}"
    return PLAIN.get(character, character)


class Font:
    """Shapes of characters, 8 dots wide. Source: PC Screen Font version 1, as ``setfont`` reads it."""

    def __init__(self, packed: bytes) -> None:
        """Read a font file that ``gzip`` has packed."""
        data = gzip.decompress(packed)
        assert data[:2] == b"\x36\x04", "not a font of version 1"
        assert data[2] == 3, "not 512 characters with their names"
        self.height = data[3]
        shapes = [data[start : start + self.height] for start in range(4, 4 + 512 * self.height, self.height)]
        names = data[4 + 512 * self.height :].decode("utf-16-le").split("\uffff")
        self._characters: dict[bytes, str] = {}
        for shape, name in zip(shapes, names, strict=False):
            # After U+FFFE come combinations. Of all that look alike, Latin comes first.
            for character in name.split("\ufffe")[0]:
                self._characters[shape] = min(character, self._characters.get(shape, character))

    def character(self, shape: bytes) -> str:
        """Return the character of this shape; light on dark and dark on light are the same."""
        inverse = bytes(row ^ 0xFF for row in shape)
        return self._characters.get(shape) or self._characters.get(inverse) or UNREADABLE


class Display(Terminal):
    """What a person sees on the screen that hangs at the machine, and types on its keyboard."""

    def __init__(self, machine: Machine, font: Font) -> None:
        """Look at a machine that has a display; photographs of what was waited for stay in its directory."""
        self._machine, self._font = machine, font
        self._photograph = machine.directory / "display.ppm"
        self._kept = itertools.count(1)

    def text(self) -> str:
        """Return the lines of the screen; what is no character of the font is :data:`UNREADABLE`."""
        self._machine.qmp("screendump", filename=str(self._photograph))
        return read_screen(self._photograph.read_bytes(), self._font)

    def wait_for(self, pattern: str, timeout: float = 240) -> re.Match[str]:
        """Wait until the screen shows ``pattern``, and keep a photograph of it."""
        found = super().wait_for(pattern, timeout)
        self._machine.photograph(self._machine.directory / f"display-{next(self._kept):02}.png")
        return found

    def type(self, text: str) -> None:
        """Type text as a person would, key by key."""
        self._machine.press(*map(chord_of, text))

    def press(self, *keys: str) -> None:
        """Press named keys."""
        self._machine.press(*(KEYS[key] for key in keys))


def read_screen(photograph: bytes, font: Font) -> str:
    """Return the text on a photograph of a text console (PPM, three bytes a dot)."""
    kind, size, depth, dots = photograph.split(b"\n", 3)
    assert (kind, depth) == (b"P6", b"255")
    width, height = map(int, size.split())
    lines = []
    for top in range(0, height - font.height + 1, font.height):
        rows = [dots[row * width * 3 : (row + 1) * width * 3] for row in range(top, top + font.height)]
        cells = ([row[left * 3 : (left + 8) * 3] for row in rows] for left in range(0, width - 7, 8))
        lines.append("".join(map(font.character, map(shape_of, cells))).rstrip())
    return "\n".join(lines)


def shape_of(cell: Sequence[bytes]) -> bytes:
    """Return which dots of a cell, given by its rows, have another colour than its first one: a bit for each."""
    ground = cell[0][:3]
    if all(row == ground * 8 for row in cell):
        return bytes(len(cell))
    dots = ([row[start : start + 3] != ground for start in range(0, 24, 3)] for row in cell)
    return bytes(sum(dot << (7 - place) for place, dot in enumerate(row)) for row in dots)
