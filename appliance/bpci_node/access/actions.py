"""The log of actions: who did what, as what, from where, and what came of it; each record names the one before.

Invariants: a record is written whole and durable before :meth:`ActionLog.append` returns; what a killed process left
of a record is cut off, and that is a record too; every record carries the digest of its predecessor, so that one which
was changed, taken out or put in is noticed by :func:`verify`. Records that were cut off at the end are noticed only by
who kept a later digest: each is written to the journal of the machine as well.

When a file is full the log goes on in a new one, whose first record names the last of the old one. The oldest files go
when there are more than :data:`MAX_FILES`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bpci_node.access.accounts import give_to_owner, locked
from bpci_node.errors import BpciError, ProofError, StorageError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.json_text import read_json
from bpci_node.store.durable_file import sync_path

FILE = "actions.log"
LOCK = ".actions.lock"
CONTEXT = "bpci 2026 access action v1"
MAX_FILE_BYTES = 4 << 20
MAX_FILES = 8
"""Full ones that are kept besides the one that is written to."""
MAX_TEXT = 200
MAX_RECORD_BYTES = 1 << 14
"""Six texts of :data:`MAX_TEXT` characters, each of which JSON may write with twelve, and the rest."""
START = bytes(32)
"""What stands for the record before the first one."""
_FIELDS = ("v", "n", "time_ms", "who", "role", "source", "what", "about", "result", "previous", "digest")
_TEXTS = ("who", "role", "source", "what", "about", "result")


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be recorded."""

    who: str
    """Account, or ``root`` for the command line."""
    role: str
    source: str
    """Address, or ``console`` for the command line."""
    what: str
    """Name of the action, such as ``sign_in``."""
    about: str
    """What it was done to; empty for nothing in particular."""
    result: str
    """``begun``, ``done``, or the code of the error."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it is kept."""

    n: int
    """Its number, from 1."""
    time_ms: int
    action: Action
    previous: bytes
    """Digest of the record before it, 32 bytes."""
    digest: bytes
    """Its own, 32 bytes."""

    def as_map(self) -> dict[str, Any]:
        """Return it in the form of the file."""
        action = {name: getattr(self.action, name) for name in _TEXTS}
        chain = {"previous": self.previous.hex(), "digest": self.digest.hex()}
        return {"v": 1, "n": self.n, "time_ms": self.time_ms} | action | chain


@dataclass(frozen=True, slots=True)
class Verified:
    """What :func:`verify` has found to hold."""

    first: int
    """Number of the oldest record that is kept; 0 for an empty log."""
    last: int
    head: bytes
    """Digest of the newest record."""


class ActionLog:
    """The log in one directory; any process that may write there may append."""

    def __init__(self, directory: Path) -> None:
        """Take the directory; nothing is made yet."""
        self._directory, self._path = directory, directory / FILE

    def append(self, action: Action, *, now_ms: int) -> Record:
        """Add a record, durably.

        Raises:
            StorageError: it can't be written (``storage.write``).
            ProofError: the end of the log is not as it was written (``access.log``).
        """
        try:
            with locked(self._directory / LOCK):
                torn = self._cut_torn()
                last = self._last()
                if torn:
                    mended = Action("bpci", "none", "machine", "log.mended", f"{torn} bytes", "done")
                    last = self._write(mended, last, now_ms)
                return self._write(action, last, now_ms)
        except OSError as error:
            raise StorageError(
                f"cannot write the log of actions: {error.strerror}", code="storage.write", hint="Is the disk full?"
            ) from error

    def newest(self, count: int) -> list[Record]:
        """Return up to ``count`` records, the newest first.

        Raises:
            ProofError: one can't be read (``access.log``).
            StorageError: the file can't be read (``storage.read``).
        """
        found: list[Record] = []
        with _kept(self._directory) as files:
            for file in reversed(files):
                lines = file.read().split(b"\n")[:-1]
                found += [read_record(line) for line in reversed(lines[-(count - len(found)) :])]
                if len(found) >= count:
                    break
        return found

    def _write(self, action: Action, last: Record | None, now_ms: int) -> Record:
        if self._path.exists() and self._path.stat().st_size >= MAX_FILE_BYTES and last is not None:
            self._path.rename(self._directory / f"actions-{last.n:012}.log")
            for old in files_of(self._directory)[:-MAX_FILES]:
                old.unlink()
        record = seal(action, last, now_ms=now_ms)
        is_new = not self._path.exists()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            line = json.dumps(record.as_map(), separators=(",", ":")).encode() + b"\n"
            if os.write(descriptor, line) != len(line):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            give_to_owner(self._path)
            sync_path(self._directory)
        return record

    def _cut_torn(self) -> int:
        """Cut off what follows the last whole line; return how many bytes that were."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        with os.fdopen(descriptor, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - MAX_RECORD_BYTES)
            file.seek(start)
            tail = file.read()
            torn = len(tail) - (tail.rfind(b"\n") + 1)
            if torn:
                file.truncate(size - torn)
                file.flush()
                os.fsync(file.fileno())
            return torn

    def _last(self) -> Record | None:
        for path in reversed(files_of(self._directory)):
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 2 * MAX_RECORD_BYTES))
                lines = file.read().split(b"\n")[:-1]
            if lines:
                return read_record(lines[-1])
        return None


def seal(action: Action, last: Record | None, *, now_ms: int) -> Record:
    """Return the record of ``action`` that follows ``last``; long texts are cut."""
    texts = {name: _plain(getattr(action, name)) for name in _TEXTS}
    number, previous = (1, START) if last is None else (last.n + 1, last.digest)
    kept = Action(**texts)
    return Record(number, now_ms, kept, previous, _digest(number, now_ms, kept, previous))


def _digest(number: int, time_ms: int, action: Action, previous: bytes) -> bytes:
    value = {"v": 1, "n": number, "time_ms": time_ms, "previous": previous}
    return derive(CONTEXT, codec.encode(value | {name: getattr(action, name) for name in _TEXTS}))


def _plain(text: str) -> str:
    """Return printable text of bounded length: what comes from outside must not draw on a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_TEXT])


def read_record(line: bytes) -> Record:
    """Return the record of one line, its own digest checked.

    Raises:
        ProofError: it is none, or was changed (``access.log``).
    """
    try:
        fields = Fields(read_json(line, max_bytes=MAX_RECORD_BYTES), _FIELDS, what="a record", code="access.log")
        fields.version()
        texts = {name: fields.raw(name) for name in _TEXTS}
        digests = [bytes.fromhex(fields.raw(name)) for name in ("previous", "digest")]
        action = Action(**{name: _text(text) for name, text in texts.items()})
        record = Record(fields.integer("n", 1), fields.integer("time_ms"), action, *digests)
    except (BpciError, ValueError, TypeError) as error:
        raise ProofError("a line of the log of actions is no record", code="access.log") from error
    if _digest(record.n, record.time_ms, record.action, record.previous) != record.digest:
        raise ProofError(f"record {record.n} of the log of actions was changed", code="access.log")
    return record


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_TEXT:
        raise TypeError
    return value


def files_of(directory: Path) -> list[Path]:
    """Return the files of the log, the oldest first."""
    current = directory / FILE
    return [*sorted(directory.glob("actions-*.log")), *([current] if current.exists() else [])]


def verify(directory: Path, *, witness: str | None = None) -> Verified:
    """Check every record that is kept against its digest and its predecessor.

    Args:
        witness: a digest, hexadecimal, that somebody kept: a record of it must be there.
    Raises:
        ProofError: a record was changed, taken out or put in, the last one is torn, or there is none of the digest
            (``access.log``).
        StorageError: a file can't be read (``storage.read``).
    """
    first, last, is_witnessed = 0, None, witness is None
    with _kept(directory) as files:
        count = sum(file.name != FILE for file in files)
        for record in _records(files):
            if last is None:
                first = record.n
                is_begin = record.n == 1 and record.previous == START
                if not is_begin and count < MAX_FILES:
                    raise ProofError("the log of actions does not begin where it should", code="access.log")
            elif (record.n, record.previous) != (last.n + 1, last.digest):
                raise ProofError(
                    f"record {record.n} of the log of actions does not follow record {last.n}", code="access.log"
                )
            last = record
            is_witnessed = is_witnessed or record.digest.hex() == witness
    if not is_witnessed:
        raise ProofError("the log of actions has no record of this digest: it was cut off", code="access.log")
    return Verified(first, 0 if last is None else last.n, START if last is None else last.digest)


def _records(files: list[_Kept]) -> Iterator[Record]:
    for file in files:
        *lines, rest = file.read().split(b"\n")
        for line in lines:
            yield read_record(line)
        if rest:
            raise ProofError(
                "the last record of the log of actions is torn",
                code="access.log",
                hint="The next action cuts it off, and records that.",
            )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file of the log, as long as it was when it was opened."""

    path: Path
    file: BinaryIO
    size: int

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> bytes:
        try:
            return self.file.read(self.size)
        except OSError as error:
            raise _unreadable(self.path, error) from error


@contextmanager
def _kept(directory: Path) -> Iterator[list[_Kept]]:
    """Open the files of the log, the oldest first, as they are between two records; later ones are not seen."""
    with ExitStack() as stack:
        try:
            with _no_writer(directory):
                opened = [(path, stack.enter_context(path.open("rb"))) for path in files_of(directory)]
                files = [_Kept(path, file, os.fstat(file.fileno()).st_size) for path, file in opened]
        except OSError as error:
            raise _unreadable(directory, error) from error
        yield files


@contextmanager
def _no_writer(directory: Path) -> Iterator[None]:
    """Hold those who write off; nothing is made for that, since a copy or a disk that takes nothing has no writer."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot read {path}: {error.strerror}", code="storage.read", hint="Run it as root.")
