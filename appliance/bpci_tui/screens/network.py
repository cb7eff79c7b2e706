"""Third screen: how the network is, in plain words, and how it shall be."""

from __future__ import annotations

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from bpci_node.errors import BpciError
from bpci_node.setup import trial
from bpci_node.setup.answers import NetworkAnswers
from bpci_node.setup.interfaces import Interface, default_gateway, list_interfaces, preflight
from bpci_tui import questions
from bpci_tui.joining import TRIAL_SECONDS, try_network
from bpci_tui.questions import Problem, in_words
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice, Field

LOOK_SECONDS = 2.0


class Network(StepScreen):
    """Shows cables and addresses as they come and go; asks for a fixed address if one is wanted."""

    name_in_flow = "network"
    first = "mode"
    keys = "Enter Continue   Esc Back   Tab Next field   Up/Down Choose"

    def body(self) -> ComposeResult:
        """Yield the state, the machine's name, the way it gets an address."""
        yield Static("Looking at the network ...", id="state")
        yield Static("Address", classes="heading gap")
        self._tried: NetworkAnswers | None = None
        cards = list_interfaces(self.services.system)
        ways = [*questions.WAYS, *([questions.WIFI_WAY] if any(item.is_wireless for item in cards) else [])]
        yield Choice(ways, self.draft.network_mode, id="mode")
        with Vertical(id="static"):
            yield Field("Interface", self.draft.interface, id="interface")
            yield Field("Address/prefix", self.draft.address, id="address", placeholder="192.0.2.5/24")
            yield Field("Gateway", self.draft.gateway, id="gateway", placeholder="192.0.2.1")
            yield Field("Name servers", self.draft.dns, id="dns", placeholder="192.0.2.1 9.9.9.9")
        yield Field("Machine's name", self.draft.hostname, id="hostname")

    def on_mount(self) -> None:
        """Show the fields that belong to the chosen way, and keep looking at the cables."""
        super().on_mount()
        self._show_fields()
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    def on_choice_changed(self) -> None:
        """Show or hide the fields of a fixed address."""
        self._show_fields()

    def collect(self) -> None:
        """Take every field."""
        self.draft.network_mode = self.query_one("#mode", Choice).value
        self.draft.interface, self.draft.address = self.text("interface").strip(), self.text("address").strip()
        self.draft.gateway, self.draft.dns = self.text("gateway").strip(), self.text("dns").strip()
        self.draft.hostname = self.text("hostname").strip().lower()

    def problem(self) -> Problem | None:
        """Check the name, and the fixed address if one is wanted."""
        return questions.check_link(self.draft)

    def submit(self) -> None:
        """Try a fixed address before going on with it; the second Enter keeps it."""
        wanted = self.draft.network_answers()
        if wanted.mode != "static":
            super().submit()
        elif wanted != self._tried:
            self._try(wanted)
        elif trial.hold(self.services.system):
            super().submit()
        else:
            self._try(wanted)  # Enter came after the time

    def action_back(self) -> None:
        """Take back what is tried, then go back."""
        if self._tried is not None:
            trial.restore(self.services.system)
        super().action_back()

    @work(thread=True, exclusive=True)
    def _try(self, wanted: NetworkAnswers) -> None:
        system = self.services.system
        try:
            found = try_network(system, wanted, lambda text: self.from_thread(self.say, text), wait=3.0)
        except BpciError as error:
            self.from_thread(self.say, f"! {in_words(error)}")
        else:
            self.from_thread(self._is_tried, wanted, found)

    def _is_tried(self, wanted: NetworkAnswers, found: list[str]) -> None:
        self._tried = wanted
        shown = f"now {', '.join(found)}" if found else "without an address yet: is the cable in?"
        self.say(
            f"{wanted.interface} is {shown}. Enter keeps it; without that, the settings before come back after "
            f"{TRIAL_SECONDS} s."
        )

    def _show_fields(self) -> None:
        self.query_one("#static").display = self.query_one("#mode", Choice).value == "static"

    @work(thread=True, exclusive=True)
    def _look(self) -> None:
        found = list_interfaces(self.services.system)
        gateway = default_gateway(self.services.system)
        self.from_thread(self._show, found, gateway)

    def _show(self, found: list[Interface], gateway: str) -> None:
        self.query_one("#state", Static).update("\n".join(preflight(found, gateway)[:5]))
        if found and not self.text("interface"):
            self.query_one("#interface").value = found[0].name  # type: ignore[attr-defined]


SCREEN = Network
