"""Asking a person line by line: one question after the other, nothing drawn."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass

KEYS = "An empty answer takes what stands in brackets. < goes back, ? says this again, Ctrl+C leaves."


class BackError(Exception):
    """The person wants to go back."""

    by = -1
    """How many screens on."""


class AgainError(BackError):
    """The same questions are asked once more."""

    by = 0


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where lines are read and written."""

    read: Callable[[str], str] = input
    """Asks with a prompt, and returns the line."""
    read_secret: Callable[[str], str] = getpass.getpass
    """The same, without echo."""
    write: Callable[[str], None] = print
    """Says a line."""


class Asking:
    """Asks on a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.say = terminal.write

    def _ask(self, question: str, default: str, *, secret: bool = False) -> str:
        """Ask one question and return the answer, or ``default`` for an empty one.

        Raises:
            BackError: the person wants to go back.
        """
        shown = f" [{'as typed before' if secret else default}]" if default else ""
        while True:
            typed = (self.terminal.read_secret if secret else self.terminal.read)(f"{question}{shown}: ")
            answer = typed if secret else typed.strip()
            if answer == "<":
                raise BackError
            if answer != "?":
                return answer or default
            self.say(KEYS)

    def _choose(self, title: str, options: Sequence[tuple[str, str]], value: str) -> str:
        """Ask for one of several, by its number or the beginning of its name."""
        self.say(f"{title}:")
        for number, (_, label) in enumerate(options, start=1):
            self.say(f"{number} {label}")
        values = [item for item, _ in options]
        default = str(values.index(value) + 1) if value in values else "1"
        while True:
            typed = self._ask("Number or name", default).lower()
            if typed.isdecimal() and 1 <= int(typed) <= len(options):
                return values[int(typed) - 1]
            named = [
                item for item, label in options if typed in (item, label.lower()) or label.lower().startswith(typed)
            ]
            if len(named) == 1 or typed in named:
                return typed if typed in named else named[0]
            self.say(f"Not yet: type a number from 1 to {len(options)}.")
