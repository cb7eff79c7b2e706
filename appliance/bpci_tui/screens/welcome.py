"""First screen: what this is, the keyboard's layout, which all that follows is typed with, and the time zone."""

from __future__ import annotations

from textual import work
from textual.app import ComposeResult
from textual.suggester import Suggester
from textual.widgets import Static

from bpci_node.setup.places import LAYOUTS, zones
from bpci_node.setup.system import System
from bpci_node.setup.turn import is_complete
from bpci_tui import questions
from bpci_tui.questions import Problem
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice, Field


class ZoneCompletion(Suggester):
    """Completes the name of a time zone, whatever case it is typed in."""

    def __init__(self, system: System) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._system = system
        self._zones: list[str] = []

    async def get_suggestion(self, value: str) -> str | None:
        """Return the first zone that begins with what was typed."""
        self._zones = self._zones or zones(self._system)
        start = value.lower()
        return next((zone for zone in self._zones if start and zone.lower().startswith(start)), None)


class Welcome(StepScreen):
    """The first screen."""

    name_in_flow = "welcome"
    first = "keymap"
    keys = "Enter Continue  Up/Down Choose  a-z Jump  Tab Time zone  Ctrl+P Plain lines"
    can_go_back = False
    lead = (
        "This machine becomes a BPCI node. The next minutes set it up: nothing is written before you have seen and "
        "agreed to all of it."
    )

    def body(self) -> ComposeResult:
        """Yield the keyboard's layouts, and the time zone."""
        yield Static("Keyboard layout", classes="heading")
        layouts = list(LAYOUTS)
        if self.draft.keymap not in dict(layouts):
            layouts.insert(0, (self.draft.keymap, self.draft.keymap))
        yield Choice(layouts, self.draft.keymap, rows=8, id="keymap")
        completion = ZoneCompletion(self.services.system)
        yield Field("Time zone", self.draft.timezone, id="timezone", suggester=completion)
        yield Static("", id="state", classes="gap")

    def on_mount(self) -> None:
        """Say how things stand, and keep looking."""
        super().on_mount()
        self._look()
        self.set_interval(1.0, self._look)

    def collect(self) -> None:
        """Take the layout and the zone."""
        self.draft.keymap = self.query_one("#keymap", Choice).value
        self.draft.timezone = self.text("timezone").strip()

    def problem(self) -> Problem | None:
        """Check the time zone."""
        return questions.check_places(self.draft, self.services.system)

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
