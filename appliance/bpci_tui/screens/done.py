"""Last screen: where the node answers, what it is called, and what is left to do."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from bpci_tui.applying import result_rows
from bpci_tui.screens.base import StepScreen


class Done(StepScreen):
    """Says what came of it."""

    name_in_flow = "done"
    can_go_back = False
    keys = "Enter Finish"
    continue_label = "Finish"

    def body(self) -> ComposeResult:
        """Yield what set-up ended with."""
        done: dict[str, Any] = self.wizard.result
        lines = Text()
        if done.get("restart"):
            lines.append("The system is on its disk now.\n\n", style="bold")
            lines.append("Take the medium out, then press Enter: the machine restarts and set-up goes on by itself.")
            yield Static(lines)
            return
        lines.append("This node is set up and registered.\n\n", style="bold")
        for label, value in result_rows(done):
            lines.append(f"{label:<11}", style="bold").append(f"{value}\n")
        yield Static(lines)

    def submit(self) -> None:
        """Leave to the console, or restart from the new disk."""
        if self.wizard.result.get("restart"):
            self.services.system.attempt("systemctl", "--no-block", "reboot")
        self.app.exit(0)


SCREEN = Done
