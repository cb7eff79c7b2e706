"""The wizard: wires screens, draft and services, and nothing else.

Screens are imported by name when they are first shown, and those that come next in the background, so that the first
one is there as soon as the screen library is.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import traceback
from contextlib import suppress
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App
from textual.binding import Binding, BindingType

from bpci_node.setup.disks import booted_from_removable
from bpci_node.setup.system import System
from bpci_node.setup.turn import JOURNAL, Turn, goes_on
from bpci_tui import flow
from bpci_tui.draft import Draft
from bpci_tui.screens.base import StepScreen
from bpci_tui.services import Services


class Wizard(App[int], inherit_bindings=False):
    """The first-boot wizard; returns the exit status of ``bpci setup``."""

    CSS_PATH = "theme.tcss"
    TITLE = "BPCI Community OS"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "leave", show=False, priority=True)]

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self.draft = Draft()
        self.offers_disk = booted_from_removable(services.system)
        self.interrupted_at = ""
        """What an earlier run was doing when it ended; empty if there was none."""
        self.result: dict[str, Any] = {}
        """What set-up ended with (:func:`bpci_node.setup.steps.summary`)."""
        self._current = ""
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Show the first screen."""
        with suppress(ValueError, RuntimeError):  # only the main thread may listen for signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.step_aside)
        system = self.services.system
        if system.exists(JOURNAL):
            self._read_journal(system)
        self.show("apply" if goes_on(system) and self.services.turn.take() else "welcome")
        self._import_the_rest()

    def show(self, name: str) -> None:
        """Show the screen ``name``."""
        self._current = name
        screen = _screen(name)()
        if isinstance(self.screen, StepScreen):
            self.switch_screen(screen)
        else:
            self.push_screen(screen)

    def show_busy(self) -> None:
        """Show, over the first screen, that another console has the turn."""
        self.push_screen(_screen("busy")())

    def forward(self) -> None:
        """Show the screen after the current one."""
        names = flow.screens(self.draft, offers_disk=self.offers_disk)
        self.show(names[names.index(self._current) + 1])

    def back(self) -> None:
        """Show the screen before the current one; the first has none."""
        names = flow.screens(self.draft, offers_disk=self.offers_disk)
        position = names.index(self._current)
        if position > 0:
            self.show(names[position - 1])

    def step_aside(self) -> None:
        """Let another console take over, unless this one is writing."""
        if self._current != "apply":
            self.services.turn.give_up()
            self.show("welcome")

    def action_leave(self) -> None:
        """Leave the wizard, where there is something to return to."""
        if not self.services.on_console and self._current != "apply":
            self.exit(130)

    def _fatal_error(self) -> None:
        # The library's own report prints the local variables of every frame: passwords and phrases among them.
        self.panic(Text(traceback.format_exc()))

    @work(thread=True)
    def _import_the_rest(self) -> None:
        for name in flow.TITLES:
            _screen(name)

    def _read_journal(self, system: System) -> None:
        from bpci_node.errors import BpciError  # noqa: PLC0415 - only after an interrupted run
        from bpci_node.setup import journal, keystore  # noqa: PLC0415

        try:
            kept = journal.load(system)
        except BpciError as error:
            self.interrupted_at = error.message
            return
        if kept is None or kept.plan is None:
            return
        has_keys = keystore.is_there(system, keystore.NODE_KEY)
        self.draft.take_over(kept.plan, str(kept.results.get("did", "")) if has_keys else "")
        self.interrupted_at = str((kept.failure or {}).get("title", "")) or "it was interrupted"


def _screen(name: str) -> type[StepScreen]:
    found: type[StepScreen] = importlib.import_module(f"bpci_tui.screens.{name}").SCREEN
    return found


def run_wizard(system: System, turn: Turn, *, on_console: bool) -> int:
    """Show the wizard on this terminal until set-up is done; return the exit status."""
    wizard = Wizard(Services(system, turn, on_console=on_console))
    status = wizard.run(mouse=False)
    return wizard.return_code or 1 if status is None else status
