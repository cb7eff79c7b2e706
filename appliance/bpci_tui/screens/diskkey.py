"""The recovery key of the encrypted disk: shown here, in memory until it is bound, and written nowhere."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from bpci_node.setup.encryption import new_recovery_key
from bpci_tui.screens.base import StepScreen


class DiskKey(StepScreen):
    """Shows the recovery key."""

    name_in_flow = "diskkey"
    keys = "Enter I have written it down   Esc Back"
    lead = (
        "Write this recovery key of the disk on paper. It is shown now and never again. This machine asks for it at a "
        "start at which its TPM refuses, after a change of the firmware for instance; without it the data are lost."
    )

    def body(self) -> ComposeResult:
        """Yield the key in two columns of numbered groups."""
        if not self.draft.disk_key:
            self.draft.disk_key = new_recovery_key(self.services.entropy)
            self.draft.groups, self.draft.typed_groups = self.services.groups(), []
        groups = [f"{number} {group}" for number, group in enumerate(self.draft.disk_key.split("-"), start=1)]
        yield Static(
            "\n\n".join(f"{first}    {second}" for first, second in zip(groups[::2], groups[1::2], strict=True))
        )
        yield Static("It is not the 24 words of the node, which come later.", classes="gap")


SCREEN = DiskKey
