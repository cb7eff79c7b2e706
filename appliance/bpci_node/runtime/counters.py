"""What a node has done since its start, and how long it took: for metrics and the owner's status."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Step: TypeAlias = Literal["recover", "state", "insert", "receipts", "cancel", "root", "prove", "seal", "compact"]
"""What is timed. ``recover``, ``insert`` and ``receipts`` are for a whole batch."""

MAX_CODES = 100
"""Error codes that are counted each by itself; there are fewer, and what came beyond would be counted together."""
OTHER = "other"


@dataclass(slots=True)
class Counters:
    """Numbers that only grow. Written from the event loop alone."""

    accepted: int = 0
    """Entries."""
    refused: dict[str, int] = field(default_factory=dict)
    """Entries, by error code."""
    replaced: int = 0
    """Entries that left because their sender replaced them."""
    evicted: int = 0
    """Entries that left because others pay more."""
    cancelled: int = 0
    """Entries that left because their sender cancelled them."""
    spent: int = 0
    """Entries that left because their chain has run them, or their sender can't pay any more."""
    bundles: int = 0
    """Sealed."""

    faucet_grants: dict[str, int] = field(default_factory=dict)
    """Grants of the faucet, by purpose."""
    faucet_refused: dict[str, int] = field(default_factory=dict)
    """Requests that the faucet refused, by error code."""

    def note_refusal(self, code: str) -> None:
        """Count one refusal of an entry."""
        _count(self.refused, code)

    def note_faucet_refusal(self, code: str) -> None:
        """Count one refusal of the faucet."""
        _count(self.faucet_refused, code)


def _count(refused: dict[str, int], code: str) -> None:
    if code not in refused and len(refused) >= MAX_CODES:
        code = OTHER
    refused[code] = refused.get(code, 0) + 1


@dataclass(slots=True)
class Timings:
    """Where durations are reported as they happen: nowhere, until somebody wants them."""

    observe: Callable[[Step, float], None] | None = None
    """Called with what was done and the seconds that it took, from any thread."""

    @contextmanager
    def of(self, step: Step) -> Iterator[None]:
        """Report how long the block took, whatever became of it."""
        started = time.perf_counter()
        try:
            yield
        finally:
            if self.observe is not None:
                self.observe(step, time.perf_counter() - started)
