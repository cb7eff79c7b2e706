"""Whose turn it is: one console sets the machine up, the others say which one, and may take over.

The right is a lock on a file under ``/run``, held by a process: when that process ends, however it ends, the right is
free. Beside it stands who holds it, and whether it is only asking questions (then another may take over: nothing has
been written) or writing (then nobody may).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bpci_node.setup.system import System

DIRECTORY = "/run/bpci-setup"
COMPLETE = "/var/lib/bpci/setup/complete"
JOURNAL = "/var/lib/bpci/setup/journal.json"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who sets the machine up."""

    pid: int
    """Process."""
    console: str
    """Name of its terminal, for people."""
    is_writing: bool
    """Whether it has begun to write, so that it can't be taken over."""


@dataclass(slots=True)
class Turn:
    """This process's claim to be the one that sets the machine up."""

    system: System
    console: str
    """Name of this process's terminal, for people."""
    _file: IO[str] | None = field(default=None, repr=False)

    @property
    def is_mine(self) -> bool:
        """Whether this process holds the right."""
        return self._file is not None

    def take(self) -> bool:
        """Take the right if it is free, and tell whether this process has it now."""
        if self._file is None:
            path = self._path()
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = path.open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return False
            self._file = file
            self.note(is_writing=False)
        return True

    def note(self, *, is_writing: bool) -> None:
        """Say whether this process, which holds the right, is writing now."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            json.dump({"pid": os.getpid(), "console": self.console, "is_writing": is_writing}, self._file)
            self._file.flush()

    def give_up(self) -> None:
        """Let go of the right."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def holder(self) -> Holder | None:
        """Return the other process that holds the right, or ``None`` if it is free or this one's."""
        if self._file is not None:
            return None
        try:
            with self._path().open("a+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read()
        except OSError:
            return None
        return None

    def ask_to_leave(self) -> bool:
        """Ask the holder to let go, unless it is writing; tell whether it was asked."""
        holder = self.holder()
        if holder is None or holder.is_writing or holder.pid <= 1:
            return False
        with suppress(ProcessLookupError):
            os.kill(holder.pid, signal.SIGUSR1)
        return True

    def _read(self) -> Holder:
        try:
            value = json.loads(self._path().read_text())
            return Holder(int(value["pid"]), str(value["console"]), bool(value["is_writing"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Holder(0, "another console", is_writing=True)

    def _path(self) -> Path:
        return self.system.path(f"{DIRECTORY}/turn")


def is_complete(system: System) -> bool:
    """Tell whether set-up is done on this machine."""
    return system.exists(COMPLETE)


def goes_on(system: System) -> str:
    """Return how set-up goes on by itself at this boot: ``wizard``, ``unattended``, or empty if it does not."""
    try:
        return str(json.loads(system.read(JOURNAL) or b"{}").get("goes_on", ""))
    except (ValueError, AttributeError):
        return ""  # whoever loads the journal says what is wrong with it
