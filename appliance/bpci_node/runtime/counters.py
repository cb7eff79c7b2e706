"""What a node has done since its start, for metrics and the owner's status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bpci_node.errors import BpciError


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
    bundles: int = 0
    """Sealed."""

    def note_entries(self, results: Sequence[bytes | BpciError]) -> None:
        """Count receipts and refusals."""
        for result in results:
            if isinstance(result, BpciError):
                self.refused[result.code] = self.refused.get(result.code, 0) + 1
            else:
                self.accepted += 1


@dataclass(slots=True)
class Timings:
    """Where durations are reported as they happen; nowhere, until somebody wants them."""

    observe: Callable[[str, float], None] | None = None
    """Called with what was done and the seconds that it took, from any thread."""

    def note(self, what: str, seconds: float) -> None:
        """Report one duration; ``what`` is one of a few names."""
        if self.observe is not None:
            self.observe(what, seconds)
