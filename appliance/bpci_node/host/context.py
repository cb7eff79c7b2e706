"""Where the checks look: the root of the tree they read, the directory of the node's data, and whom to measure against.

Readers take files below ``root`` only, so they read a recorded tree of another machine as they read this one. What is
no file (the kernel's clock, the capacity of a file system, a registry) comes in as a field.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bpci_node.host.kernel_clock import KernelClock, read_kernel_clock

DATA_DIR = Path("/var/lib/bpci/node")
"""Where a node keeps its data unless its configuration says otherwise."""

MAX_FILE_BYTES = 1 << 20
"""Longest file that a reader looks at; kernel files of one page or a few."""


class Peer(Protocol):
    """A registry against which bandwidth and time are measured."""

    @property
    def url(self) -> str:
        """Base URL."""

    def download(self, size_bytes: int) -> float:
        """Fetch ``size_bytes`` and return the seconds that took.

        Raises:
            BpciError: not reached, or refused.
        """

    def upload(self, size_bytes: int) -> float:
        """Send ``size_bytes`` and return the seconds that took.

        Raises:
            BpciError: not reached, or refused.
        """

    def time_ms(self) -> int:
        """Return the registry's clock, Unix milliseconds.

        Raises:
            BpciError: not reached.
        """


def usable_bytes(directory: Path) -> int:
    """Return what an ordinary user can ever store in the file system of ``directory``: used plus available.

    Raises:
        OSError: the directory can't be looked at.
    """
    numbers = os.statvfs(directory)
    return (numbers.f_blocks - numbers.f_bfree + numbers.f_bavail) * numbers.f_frsize


@dataclass(frozen=True, slots=True)
class Context:
    """What one run of the checks looks at."""

    root: Path = Path("/")
    """Top of the tree that is read."""
    data_dir: Path = DATA_DIR
    """Directory of the node's data, absolute, as seen from ``root``; it need not exist yet."""
    disk: str | None = None
    """Name of a disk (``nvme0n1``) to install the node on; it is judged instead of the one under ``data_dir``."""
    peer: Peer | None = None
    """Registry to measure against; ``None``: nothing is measured over the network."""
    machine: str = field(default_factory=platform.machine)
    """Architecture as the kernel names it."""
    kernel_clock: Callable[[], KernelClock] = read_kernel_clock
    """Reads the state of the kernel's clock."""
    capacity: Callable[[Path], int] = usable_bytes
    """Reads the usable bytes of the file system that holds a directory."""

    def path(self, name: str | Path) -> Path:
        """Return where ``name``, absolute or not, stands below the root."""
        return self.root / str(name).lstrip("/")

    def read(self, name: str | Path) -> str | None:
        """Return the text of a file below the root without the space around it, or ``None`` if it can't be read."""
        return read_text(self.path(name))

    def existing_data_dir(self) -> Path:
        """Return the data directory, or its nearest parent that exists, as a path below the root."""
        directory = self.path(self.data_dir)
        while not directory.is_dir() and directory != self.root:
            directory = directory.parent
        return directory


def read_text(path: Path) -> str | None:
    """Return the text of a small file without the space around it, or ``None`` if it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode(errors="replace").strip()
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """Return the decimal number that a file holds, or ``None`` if it can't be read or is none."""
    text = read_text(path)
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None
