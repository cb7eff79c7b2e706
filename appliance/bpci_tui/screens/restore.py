"""An existing identity: its 24 words, with completion, checked as a whole; and the backup that it goes on from."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.suggester import Suggester
from textual.widgets import Input, Static

from bpci_tui import questions
from bpci_tui.questions import Problem
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice, Field
from bpci_tui.words import WORDS, completed, word_list


class Completion(Suggester):
    """Completes the last word as soon as only one of the list begins so."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """Return ``value`` with its last word complete."""
        start = value.rsplit(" ", 1)[-1].lower()
        found = [word for word in word_list() if word.startswith(start)] if start else []
        return value + found[0][len(start) :] if len(found) == 1 or start in found else None


class Restore(StepScreen):
    """Asks for the phrase, and for the place of a backup."""

    name_in_flow = "restore"
    first = "phrase"
    keys = "Enter Continue   Esc Back   Tab Next field   Right Complete the word"
    lead = "Type the 24 words in their order, with spaces between them. The first four letters of a word are enough."

    def body(self) -> ComposeResult:
        """Yield the field, the words as they were understood, and where a backup is."""
        yield Field("Recovery phrase", self.draft.restored, id="phrase", suggester=Completion())
        yield Static("", id="words", classes="gap")
        yield Field("Backup's place", self.draft.repository, id="repository", placeholder="empty: none")
        yield Static("If that backup is of a ledger of its own", classes="heading gap")
        yield Choice(questions.OWN_LEDGER, questions.own_ledger(self.draft), id="ledger")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the words as they were understood."""
        if event.input is not self.query_one("#phrase", Input):
            return
        words = completed(event.value)
        cells = [f"{number:>2} {word:<10}" for number, word in enumerate(words[:WORDS], start=1)]
        rows = ["  ".join(cells[row : row + 4]).rstrip() for row in range(0, len(cells), 4)]
        self.query_one("#words", Static).update("\n".join([*rows, f"{len(words)} of {WORDS} words"]))

    def collect(self) -> None:
        """Take what was typed."""
        self.draft.restored = self.text("phrase")
        self.draft.phrase = ""
        self.draft.repository = self.text("repository").strip()
        self.draft.take_over_ledger = self.query_one("#ledger", Choice).value == "take"

    def problem(self) -> Problem | None:
        """Check the words with their checksum, and the backup's place."""
        return questions.check_phrase(self.draft) or questions.check_repository(self.draft)


SCREEN = Restore
