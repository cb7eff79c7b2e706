"""Owner and mode of files that are nobody else's, and their repair without being led astray.

Whoever owns a directory can put links into it, so nothing is changed through a name: a file is opened without
following links, looked at, and changed by its descriptor; a file with a second name is left alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exposure:
    """One file or directory that others may use, or that belongs to somebody else."""

    path: Path
    owner: int
    """Whose it is."""
    wanted_owner: int
    mode: int
    """Permission bits as they are."""
    wanted_mode: int

    @property
    def is_foreign(self) -> bool:
        """Whether it belongs to another user than it should."""
        return self.owner != self.wanted_owner


def exposures(top: Path, owner: int) -> Iterator[Exposure]:
    """Yield what in a directory, itself included, does not belong to ``owner``, shuts it out, or lets others in.

    Below a directory that nobody else may enter, wide modes let nobody in, and are left as they are.

    Raises:
        OSError: it can't be looked at.
    """
    is_enclosed = not stat.S_IMODE(top.lstat().st_mode) & 0o077
    for path in (top, *_walk(top)):
        found = path.lstat()
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            continue
        mode = stat.S_IMODE(found.st_mode)
        wanted = (mode | (0o700 if stat.S_ISDIR(found.st_mode) else 0o400)) & 0o700
        lets_in = bool(mode & 0o077) and not is_enclosed
        if found.st_uid != owner or lets_in or mode & wanted != wanted:
            yield Exposure(path, found.st_uid, owner, mode, wanted)


def _walk(top: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for directory, names, files in os.walk(top, onerror=fail):
        yield from (Path(directory) / name for name in (*names, *files))


def enclose(exposure: Exposure) -> None:
    """Give a file or directory the owner and the mode that it should have.

    Raises:
        OSError: not permitted, or it is a link, or has a second name.
    """
    descriptor = os.open(exposure.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink != 1:
            raise OSError(31, "it has a second name", str(exposure.path))
        if found.st_uid != exposure.wanted_owner:
            os.fchown(descriptor, exposure.wanted_owner, -1)
        os.fchmod(descriptor, exposure.wanted_mode)
    finally:
        os.close(descriptor)
