"""A new identity's recovery phrase: shown here, in memory until the keys are at rest, and written nowhere."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.primitives.derivation import new_phrase
from bpci_node.setup.unattended import phrase_lines
from bpci_tui.screens.base import StepScreen


class Phrase(StepScreen):
    """Shows the 24 words."""

    name_in_flow = "phrase"
    keys = "Enter I have written them down   Esc Back"
    lead = (
        "Write these 24 words on paper, in their order. They are shown now and never again; nobody can ask you for "
        "them but this wizard, on this machine."
    )

    def body(self) -> ComposeResult:
        """Yield the words in four columns."""
        if not self.draft.phrase:
            self.draft.phrase = new_phrase(self.services.entropy(32))
            self.draft.positions, self.draft.confirmed = self.services.positions(), []
        yield Static("\n\n".join(phrase_lines(self.draft.phrase)), id="words")


SCREEN = Phrase
