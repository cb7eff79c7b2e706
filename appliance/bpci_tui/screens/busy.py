"""What the other consoles show while one of them sets the machine up."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from bpci_node.setup.turn import is_complete
from bpci_tui.screens.base import StepScreen


class Busy(StepScreen):
    """Says who has the turn, and offers to take it over."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("t", "take_over", show=False)]
    name_in_flow = "welcome"
    keys = "T Take over   Esc Back"
    continue_label = "Take over"

    def place(self) -> str:
        """Return the title line, which belongs to no step."""
        return "Set-up runs on another console"

    def body(self) -> ComposeResult:
        """Yield who has the turn."""
        yield Static("", id="state")

    def on_mount(self) -> None:
        """Say who has the turn, and keep looking."""
        super().on_mount()
        self._look()
        self.set_interval(0.5, self._look)

    def submit(self) -> None:
        """Take over."""
        self.action_take_over()

    def action_take_over(self) -> None:
        """Ask the other console to let go; taken as soon as it does."""
        if self.services.turn.holder() is not None and not self.services.turn.ask_to_leave():
            self.say("! It is writing to the machine right now: it can be taken over when that has ended.")

    def action_back(self) -> None:
        """Go back to the first screen."""
        self.app.pop_screen()

    def _look(self) -> None:
        if is_complete(self.services.system):
            self.app.exit(0)
            return
        holder = self.services.turn.holder()
        if holder is None:
            self.app.pop_screen()
            return
        doing = "writes what was agreed to" if holder.is_writing else "is still asking; nothing is written yet"
        self.query_one("#state", Static).update(
            f"Set-up runs on {holder.console}, and {doing}.\n\nWhat was typed there is lost if you take over here."
        )


SCREEN = Busy
