"""Files that a command is told to read or write: what fails there is a wrong call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bpci_node.errors import UsageError


def read_file(file: Path, most_bytes: int) -> bytes:
    """Read a file, or standard input for "-": one byte more than ``most_bytes`` at most.

    Raises:
        UsageError: it can't be read (``usage.file``).
    """
    if str(file) == "-":
        return sys.stdin.buffer.read(most_bytes + 1)
    try:
        with file.open("rb") as stream:
            return stream.read(most_bytes + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", code="usage.file") from error


def write_file(file: Path, data: bytes, *, name: str | None = None) -> None:
    """Write a file, whole or not at all; what was there is replaced.

    Args:
        name: what it is called if it can't be written, instead of its path.
    Raises:
        UsageError: it can't be written (``usage.file``).
    """
    partial = file.with_name(file.name + ".partial")
    with writing(name or file):
        partial.write_bytes(data)
        partial.replace(file)


@contextmanager
def writing(name: Path | str) -> Iterator[None]:
    """Let a block write what is called ``name``, and say so where the system does not let it.

    Raises:
        UsageError: it can't be written (``usage.file``).
    """
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}", code="usage.file") from error
