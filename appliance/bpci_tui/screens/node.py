"""What is registered about the node: its name, its type, and the profile that its hardware is held against."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from bpci_tui import questions
from bpci_tui.questions import Problem
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice, Field


class Node(StepScreen):
    """Asks what kind of node this is."""

    name_in_flow = "node"
    first = "name"
    keys = "Enter Continue   Esc Back   Tab Next field   Up/Down Choose"

    def body(self) -> ComposeResult:
        """Yield name, type and profile."""
        yield Field("Node's name", self.draft.node_name or self.draft.hostname, id="name")
        yield Static("Type", classes="heading gap")
        yield Choice(questions.TYPES, self.draft.node_type, id="type")
        yield Static("Hardware profile", classes="heading gap")
        yield Choice(questions.PROFILES, self.draft.profile, id="profile")

    def collect(self) -> None:
        """Take name, type and profile."""
        self.draft.node_name = self.text("name").strip()
        self.draft.node_type = self.query_one("#type", Choice).value
        self.draft.profile = self.query_one("#profile", Choice).value

    def problem(self) -> Problem | None:
        """Check the name, and that the machine meets the profile, as far as it is known."""
        return questions.check_node(self.draft, self.services.system, offers_disk=self.wizard.offers_disk)


SCREEN = Node
