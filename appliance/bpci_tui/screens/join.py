"""The ledger: one of this node's own, or a network's; a network is reached and agreed to before going on."""

from __future__ import annotations

from textual import work
from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.errors import BpciError
from bpci_node.network.file import NetworkFile
from bpci_tui import questions
from bpci_tui.questions import Problem, in_words
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice, Field


class Join(StepScreen):
    """Asks which ledger the node belongs to."""

    name_in_flow = "join"
    first = "join"
    keys = "Enter Continue   Esc Back   Tab Next field   Up/Down Choose"

    def body(self) -> ComposeResult:
        """Yield the ways, and the field that each needs."""
        self._found: NetworkFile | None = None
        yield Choice(questions.LEDGERS, self.draft.join, id="join")
        yield Field("Ledger's name", self.draft.ledger_name, id="ledger")
        yield Field("Address", self.draft.registry_url, id="url", placeholder="http://192.0.2.5:8545")
        yield Static("", id="network", classes="gap")

    def on_mount(self) -> None:
        """Show the field of the chosen way."""
        super().on_mount()
        self._show_fields()

    def on_choice_changed(self) -> None:
        """Another way is looked at anew."""
        self._found = None
        self.query_one("#network", Static).update("")
        self.say("")
        self._show_fields()

    def on_input_changed(self) -> None:
        """Another address is looked at anew."""
        self._found = None

    def collect(self) -> None:
        """Take every field."""
        self.draft.join = self.query_one("#join", Choice).value
        self.draft.ledger_name, self.draft.registry_url = self.text("ledger").strip(), self.text("url").strip()

    def problem(self) -> Problem | None:
        """Check the name of the ledger, or the form of the address."""
        return questions.check_ledger(self.draft)

    def submit(self) -> None:
        """Go on with a ledger of one's own; reach a network first, and show what it is."""
        if self.draft.join == "devnet":
            self.draft.network = None
            super().submit()
        elif self._found is not None:
            self.draft.network = self._found
            super().submit()
        else:
            self.say("Asking ...")
            self._reach()

    @work(thread=True, exclusive=True)
    def _reach(self) -> None:
        try:
            found, where = questions.find_network(self.draft, self.services.system)
        except BpciError as error:
            self.from_thread(self.say, f"! {in_words(error)}")
        else:
            self.from_thread(self._reached, found, where)

    def _reached(self, found: NetworkFile, where: str) -> None:
        self._found = found
        self.query_one("#network", Static).update("\n".join(questions.network_lines(found, where)))
        self.say("Compare this with what the network's operator has told you. Enter joins it.")

    def _show_fields(self) -> None:
        way = self.query_one("#join", Choice).value
        self.query_one("#ledger-row").display = way == "devnet"
        self.query_one("#url-row").display = way == "url"


SCREEN = Join
