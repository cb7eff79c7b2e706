"""What a check is: a name, a way to measure, and a way to hold the value against a profile.

Measuring knows no profile and judging touches no machine, so each can be tested without the other. A check may raise
while it measures; :mod:`bpci_node.host.runner` turns that into the verdict ``unknown``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpci_node.host.context import Context
from bpci_node.host.profiles import GB, GIB, Need, Profile
from bpci_node.host.result import Judgement, Measured, Requirement, Verdict


@dataclass(frozen=True, slots=True)
class Check:
    """One plug-in of the hardware validation."""

    id: str
    """Stable name, lower case with underscores."""
    title: str
    """Name for people, at most 18 characters."""
    measure: Callable[[Context], Measured]
    """Looks at the machine; raises ``CouldNotTellError`` when there is no evidence either way."""
    require: Callable[[Profile], Requirement]
    """Says what a profile asks."""
    judge: Callable[[Measured, Profile], Judgement]
    """Holds the value against a profile; pure."""


PASS = Judgement(Verdict.PASS)


def without(need: Need, hint: str) -> Judgement:
    """Return the judgement on a feature that the machine lacks."""
    if need is Need.NONE:
        return PASS
    return Judgement(Verdict.FAIL if need is Need.REQUIRED else Verdict.WARN, hint)


def wish(need: Need, what: str) -> Requirement:
    """Return the requirement that a feature be there, as strongly as the profile needs it."""
    if need is Need.NONE:
        return Requirement("not needed", needed=False)
    return Requirement(what if need is Need.REQUIRED else f"{what}, advised", needed=need is Need.REQUIRED)


def number(measured: Measured) -> int:
    """Return a measured value that is a number; one that has none counts as 0."""
    return measured.value if isinstance(measured.value, int) else 0


def in_gib(size_bytes: int) -> str:
    """Return a size of memory for people, with at most one decimal: ``7.6 GiB``."""
    return f"{_one_decimal(size_bytes, GIB)} GiB"


def in_gb(size_bytes: int) -> str:
    """Return a size of storage for people, with at most one decimal: ``500.1 GB``."""
    return f"{_one_decimal(size_bytes, GB)} GB"


def in_megabits(bits_per_second: int) -> str:
    """Return a rate for people: ``94.1 Mbit/s``."""
    return f"{_one_decimal(bits_per_second, 10**6)} Mbit/s"


def in_milliseconds(microseconds: int) -> str:
    """Return a duration for people: ``1.2 ms``."""
    return f"{microseconds / 1000:.2g} ms" if microseconds < 100_000 else f"{microseconds // 1000} ms"


def _one_decimal(value: int, unit: int) -> str:
    # Rounded down: what is shown never reaches a limit that the value itself misses.
    tenths = value * 10 // unit
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"
