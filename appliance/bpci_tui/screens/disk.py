"""The disk, when the machine booted from a stick: stay on it, or install to a disk inside, named by what is on it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.setup import disks
from bpci_tui import questions
from bpci_tui.questions import Problem
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice, Field


class Disk(StepScreen):
    """Offers the internal disks by model and size."""

    name_in_flow = "disk"
    first = "target"
    keys = "Enter Continue   Esc Back   Tab Next field   Up/Down Choose"
    lead = "This machine runs from a removable medium. It can be installed to a disk inside it, which is then erased."

    def body(self) -> ComposeResult:
        """Yield the disks, and the field in which the size confirms."""
        self._offered = disks.candidates(self.services.system)
        small = disks.too_small(self.services.system)
        options = [("", "Stay on the removable medium"), *((item.name, item.label) for item in self._offered)]
        yield Choice(options, self.draft.disk.name if self.draft.disk else "", rows=8, id="target")
        yield Static("", id="warning")
        yield Field("Its size, to confirm", self.draft.disk_typed, id="confirm", placeholder="such as 500 GB")
        if small:
            yield Static("Not offered: " + "; ".join(small), classes="gap")
        elif not self._offered:
            yield Static("No disk inside this machine was found.", classes="gap")

    def on_mount(self) -> None:
        """Show the field only where there is something to confirm."""
        super().on_mount()
        self._show_field()

    def on_choice_changed(self) -> None:
        """Another disk is confirmed anew."""
        self.query_one("#confirm").value = ""  # type: ignore[attr-defined]
        self._show_field()

    def collect(self) -> None:
        """Take the disk."""
        name = self.query_one("#target", Choice).value
        self.draft.disk = next((item for item in self._offered if item.name == name), None)
        self.draft.disk_typed = self.text("confirm")

    def problem(self) -> Problem | None:
        """Ask for the size of a disk that is going to be erased."""
        return questions.check_disk(self.draft)

    def _show_field(self) -> None:
        chosen = self.query_one("#target", Choice).value
        self.query_one("#confirm-row").display = bool(chosen)
        disk = next((item for item in self._offered if item.name == chosen), None)
        warning = f"\nEVERYTHING on {disk.label} is going to be erased." if disk else ""
        self.query_one("#warning", Static).update(warning)


SCREEN = Disk
