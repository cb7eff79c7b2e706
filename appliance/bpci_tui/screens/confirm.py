"""Three of the 24 words are asked for: a phrase that was not written down is noticed now, not after the fire."""

from __future__ import annotations

from textual.app import ComposeResult

from bpci_tui import questions
from bpci_tui.questions import Problem
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Field


class Confirm(StepScreen):
    """Asks for some of the words."""

    name_in_flow = "confirm"
    first = "word-0"
    keys = "Enter Continue   Esc Show the words again   Tab Next field"
    lead = "Type these words from your paper."

    def body(self) -> ComposeResult:
        """Yield one field per word."""
        typed = self.draft.confirmed or [""] * len(self.draft.positions)
        for index, position in enumerate(self.draft.positions):
            yield Field(f"Word {position}", typed[index], id=f"word-{index}")

    def collect(self) -> None:
        """Take the fields."""
        self.draft.confirmed = [self.text(f"word-{index}") for index in range(len(self.draft.positions))]

    def problem(self) -> Problem | None:
        """Compare with the phrase."""
        return questions.check_words(self.draft)


SCREEN = Confirm
