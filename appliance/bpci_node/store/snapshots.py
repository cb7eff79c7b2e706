"""Snapshots of the ledger as files: one directory for each, with its manifest and its chunks.

Invariants: a directory that has its name holds a whole, synced snapshot; what was interrupted has another name and goes
at the next start. Two snapshots stay, so that who is reading the older one comes to its end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from bpci_node.errors import NotFoundError, StorageError
from bpci_node.store.database import full_error
from bpci_node.store.durable_file import sync_path

KEPT = 2
"""Snapshots that stay."""
LEAST_FREE_BYTES = 64 << 20
"""Room that a snapshot leaves on the disk: blocks and entries matter more."""

_MANIFEST = "manifest.cbor"
_PARTIAL = ".partial"


class SnapshotFiles:
    """The snapshots in one directory. Writing is for one thread; reading for any."""

    def __init__(self, directory: Path) -> None:
        """Look at what is there, and remove what was interrupted.

        Raises:
            StorageError: the directory can't be used (``storage.access``).
        """
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            for path in directory.glob("*" + _PARTIAL):
                shutil.rmtree(path)
            self._heights = tuple(
                sorted(int(path.name) for path in directory.iterdir() if path.name.isascii() and path.name.isdecimal())
            )
        except OSError as error:
            raise StorageError(
                f"cannot use the directory of snapshots {directory}: {error.strerror}",
                code="storage.access",
                hint="It must belong to the user that runs the node.",
            ) from error

    @property
    def heights(self) -> tuple[int, ...]:
        """Heights of which there is a snapshot, rising."""
        return self._heights

    def manifest(self, height: int) -> bytes:
        """Return the encoded manifest of the snapshot at ``height``.

        Raises:
            NotFoundError: there is none (``chain.snapshot``).
        """
        return self._read(height, _MANIFEST)

    def chunk(self, height: int, number: int) -> bytes:
        """Return an encoded chunk.

        Raises:
            NotFoundError: no such snapshot, or it has no chunk of that number (``chain.snapshot``).
        """
        return self._read(height, _name(number))

    def write(self, height: int, chunks: Iterable[bytes], make_manifest: Callable[[], bytes]) -> None:
        """Write a snapshot, durable on return, and remove those that are too many. Not for the event loop.

        Args:
            chunks: encoded, taken one at a time.
            make_manifest: called when all of them are written.
        Raises:
            StorageError: the disk is full or failed (``storage.full``); then there is no new snapshot.
        """
        partial = self._directory / f"{height}{_PARTIAL}"
        try:
            partial.mkdir(mode=0o700)
            for number, data in enumerate(chunks):
                usage = os.statvfs(self._directory)
                if usage.f_bavail * usage.f_frsize < LEAST_FREE_BYTES:
                    raise full_error(partial)  # noqa: TRY301 - what was written goes in one place
                _write(partial / _name(number), data)
            _write(partial / _MANIFEST, make_manifest())
            sync_path(partial)
            partial.rename(self._directory / str(height))
            sync_path(self._directory)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise full_error(partial) from error
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        heights = sorted({*self._heights, height})
        self._heights = tuple(heights[-KEPT:])
        for old in heights[:-KEPT]:
            shutil.rmtree(self._directory / str(old), ignore_errors=True)

    def remove_all(self) -> None:
        """Remove every snapshot: they are of a state that was given up."""
        heights, self._heights = self._heights, ()
        for height in heights:
            shutil.rmtree(self._directory / str(height), ignore_errors=True)

    def _read(self, height: int, name: str) -> bytes:
        if height not in self._heights:
            raise _unknown(height)
        try:
            return (self._directory / str(height) / name).read_bytes()
        except OSError as error:
            raise _unknown(height) from error


def _unknown(height: int) -> NotFoundError:
    return NotFoundError(
        f"there is no such part of a snapshot of block {height} here",
        code="chain.snapshot",
        hint="Ask for the list of snapshots again; older ones go when newer ones are made.",
    )


def _name(number: int) -> str:
    return f"{number:05d}.cbor"


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
