"""The owner: login name, passwords, SSH keys."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from bpci_node.errors import BpciError, FormatError
from bpci_node.setup.forms import check_ssh_key
from bpci_node.setup.password import strength
from bpci_tui import questions
from bpci_tui.questions import Problem, in_words
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Field


class Owner(StepScreen):
    """Asks for the account that may do everything."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+o", "load_keys", show=False)]
    name_in_flow = "owner"
    first = "owner"
    keys = "Enter Continue   Esc Back   Tab Next field   Ctrl+O SSH keys from a medium"
    lead = (
        "One account owns this machine: it signs in here, and over SSH with a key (never with a password). "
        "Without a key SSH stays closed."
    )

    def body(self) -> ComposeResult:
        """Yield the fields."""
        draft = self.draft
        yield Field("Login name", draft.owner, id="owner")
        yield Field("Password", draft.password, id="password", password=True, placeholder=self._kept())
        yield Field("Password again", draft.repeated, id="repeated", password=True)
        yield Static("", id="strength")
        yield Field("Web password", draft.web_password, id="web", password=True, placeholder="empty: the same")
        yield Static("SSH public keys", classes="heading gap")
        yield Static("", id="list")
        yield Field("Add a key", "", id="key", placeholder="paste one line, then Enter")

    def on_mount(self) -> None:
        """Show the keys so far."""
        super().on_mount()
        self._show_keys()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Judge the password as it is typed."""
        if event.input.id == "password":
            typed = event.value
            self.query_one("#strength", Static).update(f"{'':<24}{strength(typed)}" if typed else "")

    def collect(self) -> None:
        """Take every field."""
        draft = self.draft
        draft.owner = self.text("owner").strip()
        draft.password, draft.repeated = self.text("password"), self.text("repeated")
        draft.web_password = self.text("web")

    def problem(self) -> Problem | None:
        """Check the fields in the order in which they stand."""
        return questions.check_owner(self.draft)

    def try_to_go_on(self) -> None:
        """Add the key that was pasted, or go on."""
        line = self.text("key").strip()
        if not line:
            super().try_to_go_on()
            return
        try:
            check_ssh_key(line)
        except FormatError as error:
            self.say(f"! {in_words(error)}")
            self.query_one("#key").focus()
            return
        self._add([line])

    def submit(self) -> None:
        """Hash the passwords, then go on."""
        self.draft.hash_passwords()
        super().submit()

    def action_load_keys(self) -> None:
        """Look for keys on a medium."""
        self.say("Looking for a file bpci/authorized_keys on the boot medium or a volume BPCI-SETUP ...")
        self._load()

    @work(thread=True, exclusive=True)
    def _load(self) -> None:
        try:
            lines = questions.keys_on_media(self.services.system)
        except BpciError as error:
            self.from_thread(self.say, f"! {in_words(error)}")
        else:
            self.from_thread(self._add, lines)

    def _add(self, lines: list[str]) -> None:
        self.draft.ssh_keys += [line for line in lines if line not in self.draft.ssh_keys]
        self.query_one("#key", Input).value = ""
        self._show_keys()
        self.say("Added. Enter goes on, or paste another one.")

    def _show_keys(self) -> None:
        keys = self.draft.ssh_keys
        lines = [f"{key.split()[0]} ...{key.split()[1][-12:]} {' '.join(key.split()[2:])[:40]}" for key in keys[-3:]]
        more = [f"and {len(keys) - 3} more"] if len(keys) > 3 else []
        self.query_one("#list", Static).update("\n".join(lines + more) or "none yet")

    def _kept(self) -> str:
        return "as typed before" if self.draft.password_hash and not self.draft.password else ""


SCREEN = Owner
