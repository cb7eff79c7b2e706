"""What this validator has signed about windows, in a file that no backup contains.

A vote is remembered here, synced, before its signature leaves. A second, different vote about the same thing is refused
for ever: by what is remembered, or because it is about a time that was forgotten already.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from struct import Struct
from zlib import crc32

from bpci_node.errors import RefusedError, StorageError
from bpci_node.store.durable_file import replace_file

_RECORD = Struct(">32s32sQ")
_CHECK = Struct(">I")
_SIZE = _RECORD.size + _CHECK.size
_MAGIC = b"bpcivot1"
_HEAD = Struct(">8sQI")
MAX_RECORDS = 50_000
"""Votes after which the older half is forgotten; nothing that old is voted on any more."""


class VoteGuard:
    """The guard of one validator; may be used from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``, or make it; its directory must be there.

        Raises:
            StorageError: it can't be read or written, or is something else (``storage.guard``).
        """
        self._path = path
        self._lock = threading.Lock()
        self._votes: dict[bytes, tuple[bytes, int]] = {}
        self._floor_us = 0
        try:
            if path.exists():
                self._load(path.read_bytes())
            self._rewrite()
        except OSError as error:
            raise self._failure(error) from error

    def remember(self, slot: bytes, digest: bytes, time_us: int) -> None:
        """Remember a vote before it is signed; nothing happens if it is there already.

        Args:
            slot: what it is about, 32 bytes: one slot, one vote.
            digest: what is signed, 32 bytes.
            time_us: ledger time at which the window closes; votes about times that are forgotten are refused.
        Raises:
            RefusedError: another vote was given there, or it is too old to be sure (``sign.conflict``).
            StorageError: the file can't be written (``storage.guard``).
        """
        with self._lock:
            kept = self._votes.get(slot)
            if kept is not None:
                if kept[0] != digest:
                    raise RefusedError("another vote was given for this window", code="sign.conflict")
                return
            if time_us < self._floor_us:
                raise RefusedError("what was voted on so long ago is forgotten", code="sign.conflict")
            try:
                if len(self._votes) >= MAX_RECORDS:
                    self._forget_half()
                    self._rewrite()
                self._append(slot, digest, time_us)
            except OSError as error:
                raise self._failure(error) from error
            self._votes[slot] = digest, time_us

    def _append(self, slot: bytes, digest: bytes, time_us: int) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(descriptor, _encode(slot, digest, time_us))
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def _forget_half(self) -> None:
        times = sorted(time_us for _, time_us in self._votes.values())
        self._floor_us = max(self._floor_us, times[len(times) // 2] + 1)
        self._votes = {slot: vote for slot, vote in self._votes.items() if vote[1] >= self._floor_us}

    def _load(self, data: bytes) -> None:
        head = data[: _HEAD.size]
        if len(head) < _HEAD.size or _HEAD.unpack(head)[0] != _MAGIC or crc32(head[:16]) != _HEAD.unpack(head)[2]:
            raise StorageError(
                f"{self._path} is not a guard of votes",
                code="storage.guard",
                hint="Don't delete it: it keeps this validator from contradicting itself.",
            )
        self._floor_us = _HEAD.unpack(head)[1]
        for at in range(_HEAD.size, len(data) - _SIZE + 1, _SIZE):
            record = data[at : at + _RECORD.size]
            if crc32(record) != _CHECK.unpack_from(data, at + _RECORD.size)[0]:
                if at + _SIZE < len(data):
                    raise StorageError(f"{self._path} is damaged", code="storage.guard")
                break  # the last record was being written when the power went: its signature never left
            slot, digest, time_us = _RECORD.unpack(record)
            self._votes[slot] = digest, time_us

    def _rewrite(self) -> None:
        head = _HEAD.pack(_MAGIC, self._floor_us, 0)[:16]
        body = b"".join(_encode(slot, *vote) for slot, vote in self._votes.items())
        replace_file(self._path, head + _CHECK.pack(crc32(head)) + body)

    def _failure(self, error: OSError) -> StorageError:
        return StorageError(f"the guard of votes {self._path} failed: {error.strerror}", code="storage.guard")


def _encode(slot: bytes, digest: bytes, time_us: int) -> bytes:
    record = _RECORD.pack(slot, digest, time_us)
    return record + _CHECK.pack(crc32(record))
