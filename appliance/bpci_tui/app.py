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
from textual import events, work
from textual.app import App
from textual.binding import Binding, BindingType

from bpci_node.setup import encryption
from bpci_node.setup.disks import booted_from_removable
from bpci_node.setup.system import System
from bpci_node.setup.turn import JOURNAL, Turn, goes_on
from bpci_tui import flow
from bpci_tui.draft import Draft
from bpci_tui.keyboard import OrderedKeys
from bpci_tui.screens.base import StepScreen
from bpci_tui.services import Services

PLAIN = 20
"""Result that asks for the same questions line by line."""


class Wizard(App[int], inherit_bindings=False):
    """The first-boot wizard; returns the exit status of ``bpci setup``."""

    CSS_PATH = "theme.tcss"
    TITLE = "BPCI Community OS"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", show=False, priority=True),
        Binding("ctrl+p", "plain", show=False, priority=True),
    ]

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self.draft = Draft()
        self.offers_disk = booted_from_removable(services.system)
        self.encryption = encryption.offer(services.system)
        """``ask``: data can be encrypted; ``new``: it was at this start, and its key is to be shown; else empty."""
        self.draft.is_encrypted = encryption.state(services.system) != "none"
        self.interrupted_at = ""
        """What an earlier run was doing when it ended; empty if there was none."""
        self.result: dict[str, Any] = {}
        """What set-up ended with (:func:`bpci_node.setup.steps.summary`)."""
        self._current = ""
        self._keys = OrderedKeys(self, super().on_event)
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Show the first screen."""
        with suppress(ValueError, RuntimeError):  # only the main thread may listen for signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.step_aside)
        system = self.services.system
        if system.exists(JOURNAL):
            from bpci_tui.applying import take_up  # noqa: PLC0415 - only after an interrupted run

            self.interrupted_at = take_up(self.draft, system)
        self.show("apply" if goes_on(system) and self.services.turn.take() else "welcome")
        self._import_the_rest()

    async def on_event(self, event: events.Event) -> None:
        """Let keys wait for their turn."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._keys.take(event)
        else:
            await super().on_event(event)

    def on_unmount(self) -> None:
        """Forget the keys that still wait."""
        self._keys.stop()

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
        names = self._names()
        self.show(names[names.index(self._current) + 1])

    def back(self) -> None:
        """Show the screen before the current one; the first has none."""
        names = self._names()
        position = names.index(self._current)
        if position > 0:
            self.show(names[position - 1])

    def _names(self) -> list[str]:
        return flow.screens(self.draft, offers_disk=self.offers_disk, encryption=self.encryption)

    def step_aside(self) -> None:
        """Let another console take over, unless this one is writing."""
        if self._current != "apply":
            self.services.turn.give_up()
            self.show("welcome")

    def action_leave(self) -> None:
        """Leave the wizard, where there is something to return to."""
        if not self.services.on_console and self._current != "apply":
            self.exit(130)

    def action_plain(self) -> None:
        """Go on line by line, for a screen reader, while nothing is written yet."""
        if self._current not in ("apply", "done"):
            self.exit(PLAIN)

    def _fatal_error(self) -> None:
        # The library's own report prints the local variables of every frame: passwords and phrases among them.
        self.panic(Text(traceback.format_exc()))

    @work(thread=True)
    def _import_the_rest(self) -> None:
        for name in flow.TITLES:
            _screen(name)


def _screen(name: str) -> type[StepScreen]:
    found: type[StepScreen] = importlib.import_module(f"bpci_tui.screens.{name}").SCREEN
    return found


def run_wizard(system: System, turn: Turn, *, on_console: bool) -> int:
    """Show the wizard on this terminal until set-up is done; return the exit status."""
    wizard = Wizard(Services(system, turn, on_console=on_console))
    status = wizard.run(mouse=False)
    if status == PLAIN:
        from bpci_tui.plain import run_plain  # noqa: PLC0415 - only when asked for

        turn.give_up()
        return run_plain(system, turn, on_console=on_console)
    return wizard.return_code or 1 if status is None else status
