"""Which file system holds a path, from the kernel's own table of mounts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bpci_node.host.context import read_text


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``/proc/self/mountinfo``."""

    device: str
    """``major:minor``; major 0 for file systems without a block device of their own."""
    point: PurePosixPath
    """Where it is mounted."""
    kind: str
    """File system, such as ``ext4``."""
    source: str
    """What is mounted, such as ``/dev/sda2``."""
    options: tuple[str, ...]
    """Options of the file system itself."""


def mounts(root: Path) -> list[Mount]:
    """Return all mounts, in the order in which they were made; empty if the table can't be read.

    Source: proc(5), ``/proc/pid/mountinfo``.
    """
    found = []
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        left, separator, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if not separator or len(before) < 6 or len(after) < 3:
            continue
        found.append(
            Mount(
                device=before[2],
                point=PurePosixPath(_unescape(before[4])),
                kind=after[0],
                source=_unescape(after[1]),
                options=tuple(after[2].split(",")),
            )
        )
    return found


def mount_of(root: Path, path: Path) -> Mount | None:
    """Return the mount that holds ``path`` (absolute, as seen from ``root``), or ``None`` if that can't be told."""
    best = None
    wanted = PurePosixPath(path)
    for mount in mounts(root):
        # Of several mounts on one point the last covers the others.
        if wanted.is_relative_to(mount.point) and (best is None or len(mount.point.parts) >= len(best.point.parts)):
            best = mount
    return best


def _unescape(text: str) -> str:
    # The kernel writes space, tab, newline and backslash in octal.
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
