"""What chrony says of the source that it follows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tracking:
    """What ``chronyc -c tracking`` says."""

    is_synchronized: bool
    """Whether it follows a source."""
    source: str
    """Name or address of the source; empty for none."""


def read_tracking(data: bytes) -> Tracking | None:
    """Return what chrony says, ``None`` if it says nothing that can be read.

    Source: chronyc(1), ``tracking``: 14 values, the second is the source's name, the last the leap status.
    """
    values = data.decode(errors="replace").strip().split(",")
    if len(values) != 14:
        return None
    return Tracking(values[13] != "Not synchronised", "".join(char for char in values[1] if char.isprintable()))
