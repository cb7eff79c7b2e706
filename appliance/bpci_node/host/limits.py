"""What the control groups of this process leave of the machine: processor quota and memory limit, versions 1 and 2.

A limit may be set on any group above, so all groups up to the visible root are looked at and the smallest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from bpci_node.host.context import read_number, read_text
from bpci_node.host.mounts import Mount, mounts

_NO_LIMIT_BYTES = 1 << 62  # version 1 writes the largest multiple of a page instead of "max"


def processor_quota_milli(root: Path = Path("/")) -> int | None:
    """Return how many thousandths of one processor may be used at once, or ``None`` without a quota."""

    def unified(group: Path) -> int | None:
        quota, _, period = (read_text(group / "cpu.max") or "max").partition(" ")
        return _milli(quota, period)

    def legacy(group: Path) -> int | None:
        quota, period = read_text(group / "cpu.cfs_quota_us"), read_text(group / "cpu.cfs_period_us")
        return _milli(quota or "", period or "")

    return _smallest(root, "cpu", unified, legacy)


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """Return the largest memory that may be used, or ``None`` without a limit."""

    def unified(group: Path) -> int | None:
        return read_number(group / "memory.max")

    def legacy(group: Path) -> int | None:
        limit = read_number(group / "memory.limit_in_bytes")
        return limit if limit is not None and limit < _NO_LIMIT_BYTES else None

    return _smallest(root, "memory", unified, legacy)


Reader = Callable[[Path], int | None]


def _smallest(root: Path, controller: str, unified: Reader, legacy: Reader) -> int | None:
    values = []
    for names, path in _memberships(root):
        for mount in mounts(root):
            if not names and mount.kind == "cgroup2":
                reader = unified
            elif controller in names and mount.kind == "cgroup" and controller in mount.options:
                reader = legacy
            else:
                continue
            values += [value for value in map(reader, _groups(root, mount, path)) if value is not None]
    return min(values, default=None)


def _memberships(root: Path) -> Iterator[tuple[tuple[str, ...], PurePosixPath]]:
    """Yield controllers (none for version 2) and path of each hierarchy that this process is in.

    Source: cgroups(7), ``/proc/pid/cgroup``.
    """
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            yield tuple(name for name in parts[1].split(",") if name), PurePosixPath(parts[2])


def _groups(root: Path, mount: Mount, path: PurePosixPath) -> Iterator[Path]:
    """Yield the directories from the process's own group up to the root of the hierarchy, as far as they are seen."""
    top = root / str(mount.point).lstrip("/")
    for part in (path, *path.parents):
        directory = top / str(part).lstrip("/")
        if directory.is_dir():
            yield directory


def _milli(quota: str, period: str) -> int | None:
    try:
        return int(quota) * 1000 // int(period) if int(quota) > 0 else None
    except (ValueError, ZeroDivisionError):
        return None
