"""Last screen: where the node answers, what it is called, and what is left to do."""

from __future__ import annotations

from typing import Any

from rich.table import Table
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
        if done.get("restart"):
            lines = Text().append("The system is on its disk now.\n\n", style="bold")
            lines.append("Take the medium out, then press Enter: the machine restarts and set-up goes on by itself.")
            yield Static(lines)
            return
        rows = Table.grid(padding=(0, 1))
        rows.add_column(style="bold", width=10)
        rows.add_column(overflow="fold")
        for label, value in result_rows(done):
            rows.add_row(label, value)
        yield Static(Text("This node is set up and registered.\n", style="bold"))
        yield Static(rows)

    def submit(self) -> None:
        """Leave to the console, or restart from the new disk."""
        if self.wizard.result.get("restart"):
            self.services.system.attempt("systemctl", "--no-block", "reboot")
        self.app.exit(0)


SCREEN = Done
