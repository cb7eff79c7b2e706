"""Two of the eight groups of the disk's recovery key are asked for: one that was not written down is noticed now."""

from __future__ import annotations

from textual.app import ComposeResult

from bpci_tui import questions
from bpci_tui.questions import Problem
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Field


class DiskConfirm(StepScreen):
    """Asks for some of the groups."""

    name_in_flow = "diskconfirm"
    first = "group-0"
    keys = "Enter Continue   Esc Show the key again   Tab Next field"
    lead = "Type these groups of the disk's recovery key from your paper."

    def body(self) -> ComposeResult:
        """Yield one field per group."""
        typed = self.draft.typed_groups or [""] * len(self.draft.groups)
        for index, position in enumerate(self.draft.groups):
            yield Field(f"Group {position}", typed[index], id=f"group-{index}")

    def collect(self) -> None:
        """Take the fields."""
        self.draft.typed_groups = [self.text(f"group-{index}") for index in range(len(self.draft.groups))]

    def problem(self) -> Problem | None:
        """Compare with the key."""
        return questions.check_groups(self.draft)


SCREEN = DiskConfirm
