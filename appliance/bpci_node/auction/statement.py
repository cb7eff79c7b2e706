"""What coordinators and notaries sign about a window begins alike: on which ledger, in which epoch, which window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.auction.window import WindowId
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.names import LEDGER_ID_FORM

VERSION = 1


@dataclass(frozen=True, slots=True)
class Statement:
    """The head of everything that is signed about a window."""

    ledger_id: str
    epoch: int
    """Of the committee whose member signs."""
    window: WindowId

    def head(self) -> dict[str, Any]:
        """Return the members with which the map of the statement begins."""
        return {"v": VERSION, "ledger_id": self.ledger_id, "epoch": self.epoch, "window": self.window.as_list()}


def read_head(fields: Fields) -> tuple[str, int, WindowId]:
    """Return ledger id, epoch and window of a statement that was decoded.

    Raises:
        FormatError: a member is not as it should be (the code of ``fields``, or ``window.format``).
    """
    fields.version(VERSION)
    return (
        fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        fields.integer("epoch"),
        WindowId.from_list(fields.raw("window")),
    )
