"""The ledger: one of this node's own, or a network's; a network is reached and agreed to before going on."""

from __future__ import annotations

from textual import work
from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.errors import BpciError, NotFoundError
from bpci_node.network import file as network_file
from bpci_node.network.file import NAME, NetworkFile, check_url
from bpci_node.primitives.keys import did_of
from bpci_node.setup import ledger
from bpci_node.setup.console import scan
from bpci_tui.screens.base import Problem, StepScreen, in_words
from bpci_tui.widgets import Choice, Field

FILE = "network.json"
WAYS = (
    ("devnet", "A ledger of its own, on this machine (devnet)"),
    ("file", "A network, by its file bpci/network.json on a medium"),
    ("url", "A network, by the address of one of its nodes"),
)


class Join(StepScreen):
    """Asks which ledger the node belongs to."""

    name_in_flow = "join"
    first = "join"
    keys = "Enter Continue   Esc Back   Tab Next field   Up/Down Choose"

    def body(self) -> ComposeResult:
        """Yield the ways, and the field that each needs."""
        self._found: NetworkFile | None = None
        self._unreached = ""
        yield Choice(WAYS, self.draft.join, id="join")
        yield Field("Ledger's name", self.draft.ledger_name, id="ledger")
        yield Field("Address", self.draft.registry_url, id="url", placeholder="http://192.0.2.5:8545")
        yield Static("", id="network", classes="gap")

    def on_mount(self) -> None:
        """Show the field of the chosen way."""
        super().on_mount()
        self._show_fields()

    def on_choice_changed(self) -> None:
        """Another way is looked at anew."""
        self._found, self._unreached = None, ""
        self.query_one("#network", Static).update("")
        self.say("")
        self._show_fields()

    def on_input_changed(self) -> None:
        """Another address is looked at anew."""
        self._found, self._unreached = None, ""

    def collect(self) -> None:
        """Take every field."""
        self.draft.join = self.query_one("#join", Choice).value
        self.draft.ledger_name, self.draft.registry_url = self.text("ledger").strip(), self.text("url").strip()

    def problem(self) -> Problem | None:
        """Check the name of the ledger, or the form of the address."""
        draft = self.draft
        if draft.join == "devnet" and not NAME.fullmatch(draft.ledger_name):
            return "ledger", "A ledger's name has a-z, 0-9 and -, at most 32 characters."
        if draft.join == "url":
            try:
                check_url(draft.registry_url)
            except BpciError as error:
                return "url", in_words(error)
        return None

    def submit(self) -> None:
        """Go on with a ledger of one's own; reach a network first, and show what it is."""
        if self.draft.join == "devnet":
            self.draft.network = None
            super().submit()
        elif self._found is not None:
            self.draft.network = self._found
            super().submit()
        elif self._unreached and self.draft.network_mode == "static" and self.draft.join == "url":
            # With a fixed address that is not set yet, only the run itself can tell.
            self.draft.network = None
            super().submit()
        else:
            self.say("Asking ...")
            self._reach(self.draft.join, self.draft.registry_url)

    @work(thread=True, exclusive=True)
    def _reach(self, way: str, url: str) -> None:
        try:
            found = ledger.fetch_network(url) if way == "url" else self._read_file()
            with ledger.reach_network(found) as client:
                where = client.where
        except BpciError as error:
            self.from_thread(self._failed, error)
        else:
            self.from_thread(self._reached, found, where)

    def _read_file(self) -> NetworkFile:
        for medium in scan(self.services.system):
            if FILE in medium.files:
                return network_file.parse(medium.files[FILE])
        raise NotFoundError(
            f"there is no file bpci/{FILE} on the boot medium or a volume BPCI-SETUP",
            code="not_found.network_file",
            hint="Put it there, and press Enter again.",
        )

    def _failed(self, error: BpciError) -> None:
        self._unreached = error.message
        later = ""
        if self.draft.network_mode == "static" and self.draft.join == "url":
            later = " The fixed address is not set yet: Enter goes on, and asks again then."
        self.say(f"! {in_words(error)}{later}")

    def _reached(self, found: NetworkFile, where: str) -> None:
        self._found = found
        name, _, digest = found.ledger_id.partition(":")
        self.query_one("#network", Static).update(
            f"Reached {where}\nNetwork   {name}\nGenesis   {digest}\nRegistry  {did_of(found.registry_key)}"
        )
        self.say("Compare this with what the network's operator has told you. Enter joins it.")

    def _show_fields(self) -> None:
        way = self.query_one("#join", Choice).value
        self.query_one("#ledger-row").display = way == "devnet"
        self.query_one("#url-row").display = way == "url"


SCREEN = Join
