"""Whether data is encrypted: where there is a TPM to open it, and before anything is on it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.errors import BpciError
from bpci_node.setup import encryption
from bpci_tui.questions import in_words
from bpci_tui.screens.base import StepScreen
from bpci_tui.widgets import Choice

NOTICE = (
    "Encrypted data can be read in this machine alone: its TPM opens them at every start, without a question. A "
    "recovery key, which is shown once, opens them when firmware or Secure Boot was changed; without it they are lost "
    "then.\n\nIt protects a disk that leaves the machine, not a machine that is stolen whole."
)


class Encryption(StepScreen):
    """Asks; on the disk that runs, Enter restarts the machine, which encrypts its empty data partition."""

    name_in_flow = "encryption"
    first = "encrypt"
    keys = "Enter Continue   Esc Back   Up/Down Choose"
    lead = "This machine has a TPM, so its data can be encrypted. That can be chosen now, and not later."

    def body(self) -> ComposeResult:
        """Yield the choice."""
        self._restarts = self.draft.disk is None
        also = " (the machine restarts now)" if self._restarts else ""
        options = [("no", "Not encrypted"), ("yes", f"Encrypted{also}")]
        yield Choice(options, "yes" if self.draft.encrypt else "no", id="encrypt")
        yield Static(NOTICE, classes="gap")

    def collect(self) -> None:
        """Take the choice."""
        self.draft.encrypt = self.query_one("#encrypt", Choice).value == "yes"

    def submit(self) -> None:
        """Go on, or have the next start encrypt the data of the disk that runs."""
        if not self.draft.encrypt or not self._restarts:
            super().submit()
            return
        try:
            encryption.request_and_restart(self.services.system)
        except BpciError as error:
            self.say(f"! {in_words(error)}")
        else:
            self.say("The machine restarts. Set-up begins again, on encrypted data.")


SCREEN = Encryption
