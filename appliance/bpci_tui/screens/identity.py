"""The node's identity: a new one, or one that its owner has the recovery phrase of."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from bpci_tui import questions
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice


class Identity(StepScreen):
    """Asks where the keys come from."""

    name_in_flow = "identity"
    first = "identity"
    keys = "Enter Continue   Esc Back   Up/Down Choose"
    lead = (
        "All keys of this node come from 24 words, its recovery phrase. Whoever has them is this node; without them "
        "a broken machine can't be replaced by another one of the same name."
    )

    def body(self) -> ComposeResult:
        """Yield the choice, or the identity that an earlier run has put to rest."""
        ways = list(questions.IDENTITIES)
        if self.draft.kept_did:
            ways = [questions.KEPT_IDENTITY]
            yield Static(self.draft.kept_did)
        yield Choice(ways, self.draft.identity, id="identity")

    def collect(self) -> None:
        """Take the choice."""
        questions.choose_identity(self.draft, self.query_one("#identity", Choice).value)


SCREEN = Identity
