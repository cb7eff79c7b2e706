"""An existing identity: its 24 words are typed, with completion, and checked as a whole."""

from __future__ import annotations

from functools import cache

from mnemonic import Mnemonic
from textual.app import ComposeResult
from textual.suggester import Suggester
from textual.widgets import Input, Static

from bpci_node.errors import FormatError
from bpci_node.primitives.derivation import normalise_phrase
from bpci_tui.screens.base import Problem, StepScreen, in_words
from bpci_tui.widgets import Field

WORDS = 24


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
    """Asks for the phrase."""

    name_in_flow = "restore"
    first = "phrase"
    keys = "Enter Continue   Esc Back   Right Complete the word"
    lead = "Type the 24 words in their order, with spaces between them. The first four letters of a word are enough."

    def body(self) -> ComposeResult:
        """Yield the field, and the words as they were understood."""
        yield Field("Recovery phrase", self.draft.restored, id="phrase", suggester=Completion())
        yield Static("", id="words", classes="gap")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the words as they were understood."""
        words = _completed(event.value)
        cells = [f"{number:>2} {word:<10}" for number, word in enumerate(words[:WORDS], start=1)]
        rows = ["  ".join(cells[row : row + 4]).rstrip() for row in range(0, len(cells), 4)]
        self.query_one("#words", Static).update("\n".join([*rows, f"{len(words)} of {WORDS} words"]))

    def collect(self) -> None:
        """Take what was typed."""
        self.draft.restored = self.text("phrase")
        self.draft.phrase = ""

    def problem(self) -> Problem | None:
        """Check the words and their checksum."""
        try:
            self.draft.phrase = normalise_phrase(" ".join(_completed(self.draft.restored)))
        except FormatError as error:
            return "phrase", in_words(error)
        return None


@cache
def word_list() -> tuple[str, ...]:
    """Return the English words of BIP-39, in alphabetical order."""
    return tuple(Mnemonic("english").wordlist)


def _completed(text: str) -> list[str]:
    """Return the words that were typed, each completed where its beginning names only one of the list."""
    return [_complete(word) for word in text.lower().split()]


def _complete(start: str) -> str:
    if len(start) < 4:
        return start
    found = [word for word in word_list() if word.startswith(start)]
    return start if start in found or len(found) != 1 else found[0]


SCREEN = Restore
