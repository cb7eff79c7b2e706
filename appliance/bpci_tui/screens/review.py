"""Everything that is going to be written, before any of it is."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.setup.plan import plan_of, review
from bpci_node.setup.steps import steps_for
from bpci_tui.screens.base import StepScreen


class Review(StepScreen):
    """Shows the plan; Enter carries it out."""

    name_in_flow = "review"
    keys = "Enter Write it   Esc Back"
    continue_label = "Write it"
    lead = "Nothing is written yet. Enter writes what stands here; Escape goes back to change it."

    def body(self) -> ComposeResult:
        """Yield the plan."""
        draft = self.draft
        plan = plan_of(draft.answers(), network=draft.network, disk=draft.disk.name if draft.disk else "")
        lines = Text()
        for label, value in review(plan, disk_label=draft.disk.label if draft.disk else ""):
            lines.append(f"{label:<10}", style="bold").append(f"{value}\n")
        yield Static(lines)
        yield Static("Steps", classes="heading")
        yield Static(", ".join(step.title.lower() for step in steps_for(plan)).capitalize() + ".")


SCREEN = Review
