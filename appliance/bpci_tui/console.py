"""The machine's console after set-up: the node's state, and what its owner may do. Plain lines, no screen library.

It runs for months on every terminal of the machine, as a user who may do nothing: so it is small, knows only what the
node tells anyone over its public API and what the machine shows any user, and acts on nothing. It ends with an exit
status that says what the person at the keyboard wants; whoever started it (root) then asks for the owner's password.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from bpci_node.runtime.doctor.issue import Issue
from bpci_node.setup import preflight
from bpci_node.setup.system import System
from bpci_tui.pages import ACTIONS, action_lines, doctor_lines, lines_of, network_lines
from bpci_tui.state import State, examine_machine, read_sealed, read_state

SIGN_IN = 10
"""Exit status that asks for a login."""
FIRST_ACTION = 11
"""Exit status that asks for the first of :data:`ACTIONS`; the others follow."""
REFRESH_SECONDS = 10.0
"""How often the page is drawn while nobody presses a key: two of these consoles run on a machine day and night."""
EXAMINE_SECONDS = 30.0
"""How often the doctor looks, and bundles are counted."""
PAGES = {"d": doctor_lines, "n": network_lines, "a": action_lines}
PLAIN_KEYS = (
    "Type a letter, then Enter: s signs in, d doctor, n network, a what the owner may do, Enter alone the state again."
)

_SEQUENCE = re.compile(r"\x1b(?:\[\[?[0-9;?]*[ -/]*[@-~]?|O.?|.?)", re.DOTALL)
"""What arrows and function keys send: its letters and digits are no keys of this console. Source: ECMA-48, 5.4."""
_BEGUN = re.compile(r"\x1b(?:\[\[?[0-9;?]*|O)?\Z")
_CLEAR, _HIDE, _SHOW = "\x1b[H\x1b[J", "\x1b[?25l", "\x1b[?25h"


def run(system: System, *, port: int, read_key: Callable[[float], str | None] | None = None) -> int:
    """Show the state until somebody wants something; return the exit status that says what, or 0 at the end.

    Args:
        read_key: waits for a key for so many seconds; returns it, ``None`` for none, or empty at the end.
    """
    looker, page = Looker(system, port), lines_of
    with _keys() as from_terminal:
        wait = read_key or from_terminal
        while True:
            sys.stdout.write(_CLEAR + "\r\n".join(page(looker.look(page))) + "\r\n")
            sys.stdout.flush()
            key = wait(REFRESH_SECONDS)
            if key == "":
                return 0
            typed = (key or "").lower()
            if typed in PAGES:
                page = lines_of if page is PAGES[typed] else PAGES[typed]
            status = status_of(typed, page)
            if status is not None:
                return status


def run_plain(
    system: System, *, port: int, read: Callable[[str], str] = input, say: Callable[[str], None] = print
) -> int:
    """The same line by line, for a screen reader: nothing is drawn, and nothing changes unless it is asked for."""
    looker, page = Looker(system, port), lines_of
    say(PLAIN_KEYS)
    while True:
        # The line of keys is for single keys: here a letter is followed by Enter, as was said at the beginning.
        for line in page(looker.look(page))[:-1]:
            if line.strip():
                say(line.strip())
        try:
            typed = read("? ").strip().lower()
        except EOFError:
            return 0
        status = status_of(typed, page)
        if status is not None:
            return status
        page = PAGES.get(typed, lines_of)


def status_of(typed: str, page: Callable[[State], list[str]]) -> int | None:
    """Return the exit status that a key asks for on this page, ``None`` if it asks for none."""
    if typed == "s":
        return SIGN_IN
    if page is action_lines and typed.isdecimal() and 1 <= int(typed) <= len(ACTIONS):
        return FIRST_ACTION + int(typed) - 1
    return None


class Looker:
    """Looks at the node every time, and lets the doctor look now and then."""

    def __init__(self, system: System, port: int) -> None:
        self._system, self._port = system, port
        self._examined: float | None = None
        self._issues: tuple[Issue, ...] = ()
        self._sealed: int | None = None

    def look(self, page: Callable[[State], list[str]]) -> State:
        """Return what is known now, with what this page needs beside it."""
        state = read_state(self._system, self._port)
        if self._examined is None or time.monotonic() - self._examined > EXAMINE_SECONDS:
            self._examined, self._issues = time.monotonic(), examine_machine(self._system, state.status)
            self._sealed = read_sealed(self._port) if state.status is not None else None
        network = tuple(item.line for item in preflight.look(self._system)) if page is network_lines else ()
        return replace(state, sealed=self._sealed, issues=self._issues, network=network)


@contextmanager
def _keys() -> Iterator[Callable[[float], str | None]]:
    """Read single keys without echo for the time of the context; where there is no terminal, there are none."""
    descriptor = sys.stdin.fileno() if sys.stdin.isatty() else -1
    typed = ""

    def wait(seconds: float) -> str | None:
        nonlocal typed
        if descriptor < 0:
            return ""
        if not typed and select.select([descriptor], [], [], seconds)[0]:
            found = _read(descriptor)
            if not found:
                return ""
            typed = _SEQUENCE.sub("", found)
        key, typed = typed[:1], typed[1:]
        return key or None

    if descriptor < 0:
        yield wait
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        sys.stdout.write(_HIDE)
        yield wait
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        sys.stdout.write(_SHOW + _CLEAR)
        sys.stdout.flush()


def _read(descriptor: int) -> str:
    """Return what was typed, empty at the end. A key that sends several characters is read whole, or nearly so."""
    found = os.read(descriptor, 64)
    while found and _BEGUN.search(found.decode(errors="replace")) and select.select([descriptor], [], [], 0.1)[0]:
        more = os.read(descriptor, 64)
        if not more:
            break
        found += more
    return found.decode(errors="replace")
