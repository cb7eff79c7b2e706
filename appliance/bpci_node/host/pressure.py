"""How much memory is missed: the kernel's pressure figures, and what is available.

Source: Documentation/accounting/psi.rst, proc_meminfo(5), Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bpci_node.host.context import read_text


@dataclass(frozen=True, slots=True)
class Pressure:
    """Shares of the last minute in which work waited for memory, thousandths."""

    some_milli: int
    """Some of it waited."""
    full_milli: int
    """All of it waited."""


def read_pressure(path: Path) -> Pressure | None:
    """Return what a pressure file says, ``None`` where the kernel keeps none."""
    shares: dict[str, int] = {}
    for line in (read_text(path) or "").splitlines():
        kind, *pairs = line.split()
        values = dict(pair.partition("=")[::2] for pair in pairs)
        whole, _, part = values.get("avg60", "").partition(".")
        if whole.isdigit():
            shares[kind] = int(whole) * 10 + int((part + "0")[0] if part.isdigit() else 0)
    if "some" not in shares:
        return None
    return Pressure(shares["some"], shares.get("full", 0))


def read_available(root: Path) -> tuple[int, int] | None:
    """Return the bytes that programs can still have, and all there are, or ``None`` if that can't be told."""
    found = {}
    for line in (read_text(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()[:1]
        if number and number[0].isdigit():
            found[name] = int(number[0]) * 1024
    if "MemAvailable" not in found or "MemTotal" not in found:
        return None
    return found["MemAvailable"], found["MemTotal"]


def read_kills(path: Path) -> int:
    """Return how many processes of a control group were killed for want of memory, by its ``memory.events``."""
    for line in (read_text(path) or "").splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.isdigit():
            return int(number)
    return 0
