"""Set-up on the machine's consoles, before any screen is drawn: whose turn, what lies on a medium, what others do.

Light to import: everything that the first screen needs not is imported when it is needed.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bpci_node.setup import media
from bpci_node.setup.system import System
from bpci_node.setup.turn import DIRECTORY, Turn, is_complete

PROGRESS = f"{DIRECTORY}/progress"
DONE, FAILED, INSTALLED = "BPCI-SETUP-DONE", "BPCI-SETUP-FAILED", "BPCI-SETUP-INSTALLED"
RESTARTS = "BPCI-SETUP-RESTARTS"
GRACE_SECONDS = 20.0
"""How long the other consoles leave the first turn to the machine's main one."""


def terminal_name() -> str:
    """Return the name of this process's terminal, such as ``tty1``."""
    try:
        return os.ttyname(0).removeprefix("/dev/")
    except OSError:
        return "a session without a terminal"


def is_main_console(system: System, terminal: str) -> bool:
    """Tell whether ``terminal`` is the console that the kernel names last, to which it also writes."""
    names = system.read_text("/sys/class/tty/console/active").split()
    last = names[-1] if names else "tty0"
    return terminal == ("tty1" if last == "tty0" else last)


def scan(system: System) -> list[media.Medium]:
    """Return what the media carry; one console at a time looks."""
    with _alone(system):
        return media.read_media(system)


def take_first_turn(system: System, turn: Turn) -> bool:
    """Take the turn for an unattended run, the main console before the others; tell whether this one has it."""
    end = time.monotonic() + (0 if is_main_console(system, turn.console) else GRACE_SECONDS)
    while time.monotonic() < end and turn.holder() is None and not is_complete(system):
        time.sleep(0.25)
    return not is_complete(system) and turn.take()


def follow(system: System, turn: Turn, line: Callable[[str], None]) -> None:
    """Show the lines of the run on another console until that one ends."""
    shown = 0
    while True:
        is_over = turn.holder() is None
        lines = system.read_text(PROGRESS).splitlines()
        for text in lines[shown:]:
            line(text)
        shown = len(lines)
        if is_over:
            return
        time.sleep(0.5)


class Progress:
    """Lines of an unattended run: on this console, and in the file that the others follow."""

    def __init__(self, system: System) -> None:
        self._path = system.path(PROGRESS)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.write_text("")

    def line(self, text: str) -> None:
        """Show one line everywhere."""
        with self._path.open("a") as file:
            file.write(text + "\n")
        show(text)


def show(text: str) -> None:
    """Show one line on this console."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def _alone(system: System) -> Iterator[None]:
    path = system.path(f"{DIRECTORY}/scan")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
