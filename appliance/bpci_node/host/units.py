"""What the service manager says of its units, where it is systemd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json

MAX_BYTES = 4 << 20
"""Longest list of units that is read."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit."""

    name: str
    load: str
    """``loaded``, ``not-found``, ``masked``."""
    active: str
    """``active``, ``inactive``, ``failed``, ``activating``."""
    sub: str
    """More exactly: ``running``, ``auto-restart``, ``dead``."""


def read_units(data: bytes) -> list[Unit]:
    """Return the units of ``systemctl list-units --output=json``.

    Raises:
        FormatError: not such a list (``format.units``).
    Source: systemctl(1), systemd 246 and later.
    """
    try:
        value: Any = read_json(data, max_bytes=MAX_BYTES)
        return [Unit(*(str(item[key]) for key in ("unit", "load", "active", "sub"))) for item in value]
    except (FormatError, KeyError, TypeError) as error:
        raise FormatError("the service manager's list of units can't be read", code="format.units") from error


def read_properties(data: bytes) -> dict[str, str]:
    """Return the properties of ``systemctl show``, one ``Name=value`` on each line."""
    pairs = (line.partition("=") for line in data.decode(errors="replace").splitlines())
    return {name: value for name, separator, value in pairs if separator}
