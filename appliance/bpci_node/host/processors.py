"""Processors: how many there are, how many may be used, and which instructions they know."""

from __future__ import annotations

from pathlib import Path

from bpci_node.host.context import read_text


def parse_list(text: str) -> set[int]:
    """Return the numbers of a kernel list such as ``0-3,8``; empty for anything else.

    Source: Linux, Documentation/admin-guide/kernel-parameters.rst, "cpu lists".
    """
    numbers: set[int] = set()
    try:
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    except ValueError:
        return set()
    return numbers


def online(root: Path = Path("/")) -> set[int]:
    """Return the numbers of the processors that run; empty if that can't be read."""
    return parse_list(read_text(root / "sys/devices/system/cpu/online") or "")


def allowed(root: Path = Path("/")) -> set[int]:
    """Return the numbers of the processors that this process may run on (affinity and cpuset); empty if not known."""
    for line in (read_text(root / "proc/self/status") or "").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            return parse_list(line.partition(":")[2].strip())
    return set()


def physical_cores(root: Path, numbers: set[int]) -> int | None:
    """Return how many cores these processors are threads of, or ``None`` if the topology is not told."""
    cores = set()
    for number in numbers:
        topology = root / f"sys/devices/system/cpu/cpu{number}/topology"
        siblings = read_text(topology / "core_cpus_list") or read_text(topology / "thread_siblings_list")
        if not siblings:
            return None
        cores.add(siblings)
    return len(cores) or None


def instructions(root: Path = Path("/")) -> set[str]:
    """Return the features that every processor has, as ``/proc/cpuinfo`` names them."""
    common: set[str] | None = None
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            words = set(value.split())
            common = words if common is None else common & words
    return common or set()
