"""How every command speaks: data on standard output, everything else on standard error.

With ``--json`` a command prints one JSON document; a failure is then one problem object on standard error. Colour and
progress appear only on a terminal, and ``NO_COLOR`` is honoured. Nothing heavy is imported here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from bpci_node.errors import BpciError, UsageError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def json_option(command: _Command) -> _Command:
    """Add ``--json`` to a click command; the function receives ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def emit(data: Any, as_json: bool, text_renderer: Callable[[Any], str]) -> None:  # noqa: FBT001 - the contract of all commands
    """Print the result of a command on standard output.

    Args:
        data: JSON types only (bytes as 0x-hex, amounts as decimal strings).
        as_json: print ``data`` itself instead of the text.
        text_renderer: turns ``data`` into what a person reads.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False) if as_json else text_renderer(data)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """Print one line for the person, on standard error."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def report(error: BpciError, *, as_json: bool) -> None:
    """Print ``error`` on standard error, as text or as a problem object."""
    if as_json:
        say(json.dumps(error.as_problem(), indent=2, ensure_ascii=False))
        return
    say(f"{styled('error:', fg='red')} {error.message}")
    if error.hint:
        say(f"{styled('hint:', fg='cyan')} {error.hint}")


def fail(error: BpciError, as_json: bool) -> NoReturn:  # noqa: FBT001 - the contract of all commands
    """Report ``error`` and leave with its exit status."""
    report(error, as_json=as_json)
    raise SystemExit(error.status)


def is_interactive() -> bool:
    """Tell whether a person watches standard error, so that progress makes sense."""
    return sys.stderr.isatty()


def require_person(*, as_json: bool = False) -> None:
    """Refuse to ask a question that nobody would answer.

    Raises:
        UsageError: ``usage.call``: nobody watches, or the answer is read by a program.
    """
    if as_json or not is_interactive():
        raise UsageError("nobody can be asked here", code="usage.call", hint="Give --yes as well.")


def styled(text: str, *, fg: str) -> str:
    """Return ``text`` coloured when standard error is a terminal and ``NO_COLOR`` is not set."""
    if not is_interactive() or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=fg, bold=True)


class Progress:
    """One line that is rewritten on a terminal, and silence elsewhere."""

    def __init__(self) -> None:
        self._width = 0
        self._shown = is_interactive()

    def update(self, text: str) -> None:
        """Show ``text`` in place of what was there."""
        if self._shown:
            sys.stderr.write("\r" + text.ljust(self._width))
            sys.stderr.flush()
            self._width = len(text)

    def finish(self) -> None:
        """Clear the line, so that what follows starts on a clean one."""
        if self._shown and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0


def table(rows: list[list[str]], headings: list[str]) -> str:
    """Return left-aligned columns under their headings; ``rows`` have as many cells as ``headings``."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [headings, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def fields(pairs: dict[str, Any]) -> str:
    """Return ``label: value`` lines with the values aligned."""
    width = max(len(label) for label in pairs) + 1
    return "\n".join(f"{label + ':':<{width}} {value}" for label, value in pairs.items())
