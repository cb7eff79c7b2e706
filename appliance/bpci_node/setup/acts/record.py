"""What became of an act: one file for each lane below ``/run``, written by who carries it out, shown on a page."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bpci_node.store.durable_file import replace_file

RUNNING, ENDED, CUT = "running", "ended", "cut"
MAX_OUTPUT = 1 << 16
"""Characters that are kept of what a command says; of more the end."""


@dataclass(frozen=True, slots=True)
class Record:
    """One act that was begun."""

    act: str
    state: str
    """``running``, ``ended``, or ``cut`` when what carried it out is gone without a word."""
    started_ms: int
    ended_ms: int = 0
    status: int = 0
    """Exit status of the command."""
    output: str = ""

    def ended(self, status: int, output: str) -> Record:
        """Return the record at the end."""
        return replace(self, state=ENDED, ended_ms=now_ms(), status=status, output=output)


def begun(act: str) -> Record:
    """Return the record at the beginning."""
    return Record(act, RUNNING, now_ms())


def now_ms() -> int:
    """Return the time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def path_of(directory: Path, lane: str) -> Path:
    """Return the file of a lane."""
    return directory / f"{lane}.json"


def write(directory: Path, lane: str, record: Record) -> None:
    """Put ``record`` in place of the lane's last one.

    Raises:
        OSError: it can't be written.
    """
    replace_file(path_of(directory, lane), json.dumps(asdict(record)).encode(), mode=0o600)


def read(directory: Path, lane: str) -> Record | None:
    """Return the lane's last record, or ``None``; the files are root's own."""
    try:
        return Record(**json.loads(path_of(directory, lane).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
