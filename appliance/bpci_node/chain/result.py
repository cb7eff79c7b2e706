"""What became of a command: its events, or the error that left no other trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.context import Event
from bpci_node.chain.forms import ACCOUNT_FORM
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


def events_of(results: Sequence[Result]) -> list[tuple[str, int, int]]:
    """Return under what the events of a block are found: a kind or an account, position of the command, number."""
    return [
        (subject, position, number)
        for position, result in enumerate(results)
        for number, event in enumerate(result.events)
        for subject in subjects_of(event.kind, event.fields)
    ]


def subjects_of(kind: str, fields: Mapping[str, Any]) -> list[str]:
    """Return under what an event is found: its kind, and the accounts that its fields name."""
    named = {value for value in fields.values() if type(value) is str and ACCOUNT_FORM.fullmatch(value)}
    return [kind, *sorted(named)]
