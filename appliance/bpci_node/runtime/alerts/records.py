"""What became of the last deliveries: one small file per receiver, without a secret, that everybody may read."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json
from bpci_node.store.durable_file import replace_file

DIRECTORY = Path("/var/lib/bpci/monitoring/deliveries")
_MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one receiver's deliveries."""

    succeeded_ms: int | None = None
    """When the last notification arrived there, Unix milliseconds."""
    failed_ms: int | None = None
    """When one last failed."""
    reason: str | None = None
    """Why it failed."""
    test_id: str | None = None
    """The last test's id."""
    test_reason: str | None = None
    """Why the last test failed; ``None`` if it arrived."""


def read(directory: Path, receiver: str) -> Record:
    """Return what is known of ``receiver``; nothing, where nothing was recorded or it can't be read."""
    try:
        value = read_json(_path(directory, receiver).read_bytes(), max_bytes=_MAX_BYTES)
        del value["v"]
        return Record(**value)
    except (OSError, FormatError, KeyError, TypeError):
        return Record()


def note(directory: Path, receiver: str, *, now_ms: int, reason: str | None, test_id: str | None) -> None:
    """Write down that a notification arrived, or the ``reason`` why it did not.

    Args:
        test_id: of the test that it belonged to.
    Raises:
        OSError: it can't be written.
    """
    with _alone(directory):
        record = read(directory, receiver)
        if reason is None:
            record = replace(record, succeeded_ms=now_ms)
        else:
            record = replace(record, failed_ms=now_ms, reason=reason)
        if test_id is not None:
            record = replace(record, test_id=test_id, test_reason=reason)
        data = json.dumps({"v": 1, **asdict(record)}).encode() + b"\n"
        replace_file(_path(directory, receiver), data, mode=0o644)


def _path(directory: Path, receiver: str) -> Path:
    return directory / f"{receiver}.json"


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one relay at a time change the records."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
