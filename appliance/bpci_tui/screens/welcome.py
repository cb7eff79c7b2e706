"""First screen: what this is, and the keyboard's layout, which all that follows is typed with."""

from __future__ import annotations

from textual import work
from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.setup.turn import is_complete
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice

LAYOUTS = (
    ("us", "English (US)"),
    ("gb", "English (UK)"),
    ("be", "Belgian"),
    ("br", "Brazilian"),
    ("ca", "Canadian"),
    ("cz", "Czech"),
    ("dk", "Danish"),
    ("nl", "Dutch"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("de", "German"),
    ("hu", "Hungarian"),
    ("it", "Italian"),
    ("jp", "Japanese"),
    ("no", "Norwegian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("es", "Spanish"),
    ("se", "Swedish"),
    ("ch", "Swiss German"),
    ("ch:fr", "Swiss French"),
    ("tr", "Turkish"),
)
"""XKB layouts with Latin letters: login names and passwords are typed with them. Others: the answers file."""


class Welcome(StepScreen):
    """The first screen."""

    name_in_flow = "welcome"
    first = "keymap"
    keys = "Enter Continue   Up/Down Choose   a-z Jump to a name"
    can_go_back = False
    lead = (
        "This machine becomes a BPCI node. The next minutes set it up: nothing is written before you have seen and "
        "agreed to all of it."
    )

    def body(self) -> ComposeResult:
        """Yield the keyboard's layouts."""
        yield Static("Keyboard layout", classes="heading")
        layouts = list(LAYOUTS)
        if self.draft.keymap not in dict(layouts):
            layouts.insert(0, (self.draft.keymap, self.draft.keymap))
        yield Choice(layouts, self.draft.keymap, rows=8, id="keymap")
        yield Static("", id="state", classes="gap")

    def on_mount(self) -> None:
        """Say how things stand, and keep looking."""
        super().on_mount()
        self._look()
        self.set_interval(1.0, self._look)

    def collect(self) -> None:
        """Take the layout."""
        self.draft.keymap = self.query_one("#keymap", Choice).value

    def on_choice_changed(self) -> None:
        """Try the layout on this console."""
        self.collect()
        if self.services.turn.console.removeprefix("tty").isdigit():
            self._try_keymap(self.draft.keymap)

    def submit(self) -> None:
        """Go on if no other console has begun."""
        if self.services.turn.take():
            self.wizard.forward()
        else:
            self.wizard.show_busy()

    def _look(self) -> None:
        if is_complete(self.services.system):
            self.app.exit(0)
            return
        holder = self.services.turn.holder()
        text = ""
        if holder is not None:
            text = f"Set-up runs on {holder.console}. Enter shows more."
        elif self.wizard.interrupted_at:
            text = (
                f"An earlier run stopped: {self.wizard.interrupted_at}.\nIts answers are kept, and what is done stays."
            )
        self.query_one("#state", Static).update(text)

    @work(thread=True, exclusive=True)
    def _try_keymap(self, keymap: str) -> None:
        from bpci_node.setup.machine import try_keyboard  # noqa: PLC0415 - the first screen need not wait for it

        if not try_keyboard(self.services.system, keymap):
            self.from_thread(self.say, "This layout works from the next start on; until then it is US English.")


SCREEN = Welcome
