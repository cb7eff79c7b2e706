"""What became of a command: its events, or the error that left no other trace."""

from __future__ import annotations

from dataclasses import dataclass

from bpci_node.chain.context import Event
from bpci_node.errors import BpciError
from bpci_node.primitives.codec import encode


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one command."""

    command_id: bytes | None
    """Digest of the command, 32 bytes; ``None`` if it could not be decoded."""
    height: int | None
    """Height of the block that holds it; ``None`` if it was refused before any block."""
    error: BpciError | None = None
    """Why it failed; ``None`` if it succeeded."""
    events: tuple[Event, ...] = ()
    """What it brought about."""

    def encode(self) -> bytes:
        """Return the canonical encoding, which is stored beside the block; no root covers it."""
        error = None if self.error is None else {"code": self.error.code, "message": self.error.message}
        return encode(
            {
                "v": 1,
                "command_id": self.command_id,
                "height": self.height,
                "error": error,
                "events": [{"kind": event.kind, "fields": event.fields} for event in self.events],
            }
        )
