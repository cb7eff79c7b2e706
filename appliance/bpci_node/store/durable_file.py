"""Files that are replaced whole or not at all, and stay so when the power goes."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put ``data`` in the place of what is at ``path``; durable on return.

    Args:
        mode: permissions of the file; while it is written its owner alone may read it.
    Raises:
        OSError: the disk is full, read-only or failing; what was there is there still.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Make what a file holds durable, or what was created, renamed or removed in a directory.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
