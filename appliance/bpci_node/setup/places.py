"""Keyboard layouts and time zones that this machine knows, for lists, completion and checks. Light to import."""

from __future__ import annotations

import re

from bpci_node.setup.answers import KEYMAP, TIMEZONE
from bpci_node.setup.system import System

ZONES = "/usr/share/zoneinfo"
LAYOUTS = (
    ("us", "English (US)"),
    ("gb", "English (UK)"),
    ("be", "Belgian"),
    ("br", "Brazilian"),
    ("ca", "Canadian"),
    ("cz", "Czech"),
    ("dk", "Danish"),
    ("nl", "Dutch"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("de", "German"),
    ("hu", "Hungarian"),
    ("it", "Italian"),
    ("jp", "Japanese"),
    ("no", "Norwegian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("es", "Spanish"),
    ("se", "Swedish"),
    ("ch", "Swiss German"),
    ("ch:fr", "Swiss French"),
    ("tr", "Turkish"),
)
"""XKB layouts with Latin letters: login names and passwords are typed with them. Others: the answers file."""


def is_layout(keymap: str) -> bool:
    """Tell whether ``keymap`` has the form of a layout, such as ``de`` or ``ch:fr``."""
    return bool(re.fullmatch(KEYMAP, keymap))


def is_zone(system: System, zone: str) -> bool:
    """Tell whether this machine knows the time zone."""
    return bool(re.fullmatch(TIMEZONE, zone)) and system.path(f"{ZONES}/{zone}").is_file()


def zones(system: System) -> list[str]:
    """Return the names of the time zones in which people live, in alphabetical order, and UTC."""
    names = {"UTC"}
    for line in system.read_text(f"{ZONES}/tzdata.zi").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "Z":
            names.add(rest.split(" ")[0])
        elif kind == "L":
            names.add(rest.split(" ")[1])
    return sorted(name for name in names if "/" in name or name == "UTC")
