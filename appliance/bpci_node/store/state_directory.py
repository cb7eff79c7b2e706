"""A node's state directory for who restores or updates it: kept from nodes, and changed for another one."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bpci_node.store.database import DirectoryLock

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that can't exchange two names. Source: renameat2(2)."""


@contextmanager
def held(state_dir: Path) -> Iterator[None]:
    """Keep every node out of ``state_dir``, which exists, until the block ends.

    Raises:
        StorageError: a node uses it (``storage.locked``), or it can't be written (``storage.access``).
    """
    lock = DirectoryLock(state_dir)
    try:
        # Where root came before the node did, the file must not keep the node out for good.
        path, owner = state_dir / "lock", state_dir.stat()
        found = path.stat()
        if (found.st_uid, found.st_gid) != (owner.st_uid, owner.st_gid):
            with suppress(PermissionError):
                os.chown(path, owner.st_uid, owner.st_gid)
        yield
    finally:
        lock.release()


def exchange(first: Path, second: Path) -> bool:
    """Let two names of one file system change places, in one step; tell whether it can do that.

    Raises:
        OSError: one is not there, or the disk failed.
    Source: renameat2(2), ``RENAME_EXCHANGE``; glibc 2.28 and later.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in _UNKNOWN:
        return False
    raise OSError(error, os.strerror(error), str(first))
