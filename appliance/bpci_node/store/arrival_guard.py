"""How far arrivals were acknowledged, remembered beside the database in a file that no backup contains.

A log that was deleted or cut, and a database restored from a backup, look like a sound database of some time ago; a
node that went on from there would sign one arrival number twice. The guard is written after each commit and not synced:
a power cut may leave it behind the database, which says nothing; only a guard that is ahead does.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from zlib import crc32

from bpci_node.errors import StorageError
from bpci_node.store.durable_file import sync_path

_SLOT = Struct(">8sQ32s")
_CHECK = Struct(">I")
_MAGIC = b"bpciarr1"
_SLOT_BYTES = 64


class ArrivalGuard:
    """The guard of one target."""

    __slots__ = ("_noted", "_path", "_slot_at")

    def __init__(self, path: Path) -> None:
        """Use the file at ``path``, which need not exist yet; its directory must."""
        self._path = path
        self._noted = -1
        self._slot_at = 0

    def last(self) -> tuple[int, bytes] | None:
        """Return the last arrival number that was acknowledged and the running hash after it; ``None`` without a file.

        Raises:
            StorageError: the file can't be read, or holds something else (``storage.guard``).
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._path} can't be read: {error.strerror}", code="storage.guard") from error
        found = [slot for at in (0, _SLOT_BYTES) if (slot := _read_slot(data[at : at + _SLOT_BYTES])) is not None]
        if not found:
            raise StorageError(
                f"{self._path} is not a guard of arrivals",
                code="storage.guard",
                hint="Don't delete it: it keeps this node from acknowledging one arrival number twice.",
            )
        return max(found)

    def create(self, arrival_seq: int, running_hash: bytes) -> None:
        """Make the file, synced: from now on one that is missing was taken away.

        Raises:
            StorageError: it can't be written (``storage.guard``).
        """
        for _ in range(2):
            self._noted = -1
            self.note(arrival_seq, running_hash)
        try:
            sync_path(self._path)
            sync_path(self._path.parent)
        except OSError as error:
            raise StorageError(f"{self._path} can't be written: {error.strerror}", code="storage.guard") from error

    def note(self, arrival_seq: int, running_hash: bytes) -> None:
        """Remember an arrival that is committed; nothing happens if it is the one noted last.

        Raises:
            StorageError: the file can't be written (``storage.guard``).
        """
        if arrival_seq == self._noted:
            return
        slot = _SLOT.pack(_MAGIC, arrival_seq, running_hash)
        slot += _CHECK.pack(crc32(slot))
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, slot.ljust(_SLOT_BYTES, b"\0"), self._slot_at)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"{self._path} can't be written: {error.strerror}", code="storage.guard") from error
        # Two slots in turn: a write that is cut leaves the other one.
        self._slot_at = _SLOT_BYTES - self._slot_at
        self._noted = arrival_seq


def _read_slot(data: bytes) -> tuple[int, bytes] | None:
    if len(data) < _SLOT.size + _CHECK.size:
        return None
    magic, arrival_seq, running_hash = _SLOT.unpack_from(data)
    (check,) = _CHECK.unpack_from(data, _SLOT.size)
    if magic != _MAGIC or crc32(data[: _SLOT.size]) != check:
        return None
    return arrival_seq, running_hash
