"""What is registered about the node: its name, its type, and the profile that its hardware is held against."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.setup.hardware import hold_against
from bpci_tui.screens.base import Problem, StepScreen
from bpci_tui.widgets import Choice, Field

TYPES = (
    ("bpi-community", "Community: light registration, for people"),
    ("bpci-enterprise", "Enterprise: full registration, for companies"),
    ("hybrid", "Hybrid: both"),
)
PROFILES = (
    ("community", "Community: 8 processors, 8 GB, 500 GB SSD, 100 Mbit/s"),
    ("enterprise", "Enterprise: 16 processors, 32 GB, 1 TB SSD, 1 Gbit/s, TPM"),
    ("dev", "Development: any small machine, not fit to serve others"),
)


class Node(StepScreen):
    """Asks what kind of node this is."""

    name_in_flow = "node"
    first = "name"
    keys = "Enter Continue   Esc Back   Tab Next field   Up/Down Choose"

    def body(self) -> ComposeResult:
        """Yield name, type and profile."""
        yield Field("Node's name", self.draft.node_name or self.draft.hostname, id="name")
        yield Static("Type", classes="heading gap")
        yield Choice(TYPES, self.draft.node_type, id="type")
        yield Static("Hardware profile", classes="heading gap")
        yield Choice(PROFILES, self.draft.profile, id="profile")

    def collect(self) -> None:
        """Take name, type and profile."""
        self.draft.node_name = self.text("name").strip()
        self.draft.node_type = self.query_one("#type", Choice).value
        self.draft.profile = self.query_one("#profile", Choice).value

    def problem(self) -> Problem | None:
        """Check the name, and that the machine meets the profile, as far as it is known."""
        name = self.draft.node_name
        if not 0 < len(name) <= 64 or not name.isprintable():
            return "name", "A node's name has 1 to 64 printable characters."
        report = hold_against(
            self.services.system, self.draft.checks, self.draft.profile, offers_disk=self.wizard.offers_disk
        )
        failed = [f"{item.title} {item.text}, {item.requirement}" for item in report.results if item.verdict == "fail"]
        if failed:
            return "profile", f"This machine does not meet that profile: {'; '.join(failed)}. Choose Development."
        return None


SCREEN = Node
