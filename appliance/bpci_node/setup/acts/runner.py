"""Carrying an act out, in a unit of its own: neither a browser that goes away nor the helper's end stops it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bpci_node.errors import FormatError, NotFoundError
from bpci_node.setup.acts import record
from bpci_node.setup.acts.commands import command_of
from bpci_node.setup.acts.request import CODE, parse
from bpci_node.setup.system import COMMAND_PATH

PROGRAM = ("/usr/local/bin/bpci",)
WRITE_SECONDS = 0.5
"""How often what was said so far is put down, at most."""


def request_path(directory: Path, lane: str) -> Path:
    """Return where the helper leaves what is asked for, for root alone and until it begins."""
    return directory / f"{lane}.request"


def carry_out(directory: Path, lane: str, *, program: Sequence[str] = PROGRAM, pauses: bool = True) -> int:
    """Carry out what was asked for in a lane, and return the exit status of its command.

    Args:
        pauses: whether acts that cut connections let the answer out first.
    Raises:
        NotFoundError: nothing was asked for (``not_found.act``).
        FormatError: it belongs into another lane (``format.act``).
    """
    path = request_path(directory, lane)
    try:
        line = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError("nothing was asked for", code="not_found.act") from None
    path.unlink()
    asked = parse(line)
    if asked.kind.lane != lane:
        raise FormatError("this is another lane's act", code=CODE)
    now = record.begun(asked.act)
    record.write(directory, lane, now)
    if pauses:
        time.sleep(asked.kind.pause_seconds)
    arguments, given = command_of(asked)
    status, said = _run(directory, lane, now, [*program, *arguments], given)
    record.write(directory, lane, now.ended(status, said))
    return status


def _run(directory: Path, lane: str, now: record.Record, argv: Sequence[str], given: bytes) -> tuple[int, str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": COMMAND_PATH, "NO_COLOR": "1"}
    said, written = b"", time.monotonic()
    # What it reads lies in memory that has no name.
    with os.fdopen(os.memfd_create("given"), "w+b", buffering=0) as stdin:
        stdin.write(given)
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
            )
        except OSError as error:
            return 127, f"{argv[0]}: {error.strerror}"
    with process:
        while process.stdout and (part := os.read(process.stdout.fileno(), 1 << 16)):
            said = (said + part)[-record.MAX_OUTPUT :]
            if time.monotonic() - written > WRITE_SECONDS:
                record.write(directory, lane, replace(now, output=_text(said)))
                written = time.monotonic()
    return process.returncode, _text(said)


def _text(said: bytes) -> str:
    return said.decode(errors="replace").strip()
