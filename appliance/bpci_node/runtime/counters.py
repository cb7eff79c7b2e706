"""What a node has done since its start, for metrics and the owner's status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bpci_node.errors import BpciError


@dataclass(slots=True)
class Counters:
    """Numbers that only grow."""

    accepted: int = 0
    """Entries."""
    refused: dict[str, int] = field(default_factory=dict)
    """Entries, by error code."""
    bundles: int = 0
    """Sealed."""

    def note_entries(self, results: Sequence[bytes | BpciError]) -> None:
        """Count receipts and refusals."""
        for result in results:
            if isinstance(result, BpciError):
                self.refused[result.code] = self.refused.get(result.code, 0) + 1
            else:
                self.accepted += 1
