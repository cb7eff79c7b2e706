"""One work on backups at a time on a machine; who would end it, such as a restart, can wait for its end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bpci_node.errors import LimitError

DIRECTORY = "/var/lib/bpci/backup"
"""Scratch places, the memory of what was done, and what restic keeps to be quicker."""
_NAME = "lock"
_DIRECTORY_MODE, _MODE = 0o750, 0o640
"""The group of the node may see that work is under way, whichever of its users or root began it."""


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep other works on backups out until the block ends.

    Args:
        directory: :data:`DIRECTORY` below the machine's root; it is made if need be.
    Raises:
        LimitError: one is under way (``backup.busy``).
        OSError: the disk is full or failing.
    """
    directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    descriptor = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        # Whatever the mask of who made them; who did not make them finds them right.
        with suppress(PermissionError):
            os.fchmod(descriptor, _MODE)
            directory.chmod(_DIRECTORY_MODE)
        if not _take(descriptor):
            raise LimitError(
                "a backup, drill or restore is under way on this machine",
                code="backup.busy",
                hint="Wait until it is done: 'bpci backup status'.",
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def kept_off(directory: Path) -> Iterator[bool]:
    """Keep works on backups from beginning until the block ends; give whether none is under way.

    Nothing is made here: without a lock no backup was ever made, and for one that can't be seen nobody waits.
    """
    try:
        descriptor = os.open(directory / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield True
        return
    try:
        yield _take(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
