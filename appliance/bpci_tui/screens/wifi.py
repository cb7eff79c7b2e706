"""Wi-Fi: the networks in the air, and the passphrase of one, which is joined before going on."""

from __future__ import annotations

from textual import work
from textual.app import ComposeResult
from textual.widgets import Input, Static

from bpci_node.errors import BpciError
from bpci_node.setup import trial, wifi
from bpci_node.setup.interfaces import list_interfaces
from bpci_tui import questions
from bpci_tui.joining import ADDRESS_SECONDS, try_network
from bpci_tui.questions import Problem, in_words
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice, Field

ROWS = 6


class Wifi(StepScreen):
    """Asks for the network; Enter joins it."""

    name_in_flow = "wifi"
    first = "country"
    keys = "Enter Join   Esc Back   Tab Next field   Up/Down Choose"
    continue_label = "Join"

    def body(self) -> ComposeResult:
        """Yield country, network and passphrase."""
        draft = self.draft
        self._with_secret: set[str] = set()
        self._is_joining = False
        yield Field("Country (two letters)", draft.wifi_country, id="country", placeholder="DE")
        yield Static("Looking for networks ...", id="air", classes="gap")
        yield Choice([("", "none heard yet")], "", rows=ROWS, id="heard")
        yield Field("Network's name", draft.wifi_ssid, id="ssid")
        yield Field("Passphrase", draft.wifi_passphrase, id="passphrase", password=True, placeholder="empty: open")

    def on_mount(self) -> None:
        """Look for networks."""
        super().on_mount()
        self._listen()

    def on_choice_changed(self) -> None:
        """Take the name that was chosen."""
        chosen = self.query_one("#heard", Choice).value
        if chosen:
            self.query_one("#ssid", Input).value = chosen

    def collect(self) -> None:
        """Take every field."""
        self.draft.wifi_country = self.text("country").strip().upper()
        heard = self.query_one("#heard", Choice)
        if heard.has_focus and heard.value and not self.text("ssid"):
            self.query_one("#ssid", Input).value = heard.value
        self.draft.wifi_ssid = self.text("ssid")
        self.draft.wifi_passphrase = self.text("passphrase")

    def problem(self) -> Problem | None:
        """Check the fields in the order in which they stand."""
        if not self.draft.wifi_passphrase and self.draft.wifi_ssid in self._with_secret:
            return "passphrase", "This network has a passphrase: 8 to 63 characters."
        return questions.check_air(self.draft)

    def submit(self) -> None:
        """Join the network, then go on."""
        if not self._is_joining:
            self._is_joining = True
            self._join()

    @work(thread=True)
    def _listen(self) -> None:
        system = self.services.system
        found: list[wifi.Station] = []
        said = ""
        for card in (item for item in list_interfaces(system) if item.is_wireless):
            self.draft.interface = card.name
            try:
                found = wifi.scan(system, card.name)
            except BpciError as error:
                said = in_words(error)
            break
        self.from_thread(self._heard, found, said)

    def _heard(self, found: list[wifi.Station], said: str) -> None:
        self.query_one("#air", Static).update(said or ("Networks in the air" if found else "No network was heard."))
        self._with_secret = {item.ssid for item in found if item.security != "open"}
        heard = self.query_one("#heard", Choice)
        heard.offer([(item.ssid, item.label) for item in found if item.security != "other"], self.draft.wifi_ssid)

    @work(thread=True, exclusive=True)
    def _join(self) -> None:
        system, wanted = self.services.system, self.draft.network_answers()
        try:
            try_network(system, wanted, lambda text: self.from_thread(self.say, text), wait=ADDRESS_SECONDS)
            trial.hold(system)
        except BpciError as error:
            self.from_thread(self._failed, in_words(error))
        else:
            self.from_thread(self.wizard.forward)

    def _failed(self, text: str) -> None:
        self._is_joining = False
        self.say(f"! {text}")
        self.query_one("#passphrase").focus()


SCREEN = Wifi
