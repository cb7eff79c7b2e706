"""How much room a file system has, for who writes as an ordinary user."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Space:
    """The file system that holds a path."""

    path: Path
    """The path that was asked about, or its nearest parent that can be seen."""
    device: int
    """Number of the file system, the same for all paths in it."""
    size_bytes: int
    """What ordinary users can ever store: used plus available."""
    available_bytes: int
    """What ordinary users can store still."""
    reserved_bytes: int
    """What root can store beyond that."""
    files: int
    """How many files it can ever hold; 0 when it sets no limit."""
    available_files: int
    """How many more it can hold."""
    is_read_only: bool


def read_space(path: Path) -> Space:
    """Return the room in the file system of ``path``, or of its nearest parent that can be seen.

    Raises:
        OSError: not even the root can be looked at.
    """
    for candidate in (path, *path.parents):
        try:
            numbers, device = os.statvfs(candidate), candidate.stat().st_dev
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        unit = numbers.f_frsize
        return Space(
            path=candidate,
            device=device,
            size_bytes=(numbers.f_blocks - numbers.f_bfree + numbers.f_bavail) * unit,
            available_bytes=numbers.f_bavail * unit,
            reserved_bytes=(numbers.f_bfree - numbers.f_bavail) * unit,
            files=numbers.f_files,
            available_files=numbers.f_favail,
            is_read_only=bool(numbers.f_flag & os.ST_RDONLY),
        )
    raise FileNotFoundError(2, "no part of the path can be seen", str(path))
