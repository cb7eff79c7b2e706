"""Driving the wizard by keystrokes, and reading its screen as a terminal without colour shows it."""

import asyncio
from collections.abc import Awaitable, Callable

from textual import events
from textual.pilot import Pilot

from bpci_node.setup.turn import Turn
from bpci_tui.app import Wizard
from bpci_tui.services import Services
from tests.unit.setup.conftest import CHECKS, PASSWORD
from tests.unit.setup.simulated import SimulatedMachine


class Hands:
    """Types, and looks."""

    def __init__(self, pilot: Pilot[int]) -> None:
        self.pilot = pilot

    def text(self) -> str:
        strips = self.pilot.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    async def sees(self, text: str, seconds: float = 20) -> str:
        """Wait until ``text`` stands on the screen, over line ends or not, and return the whole screen."""
        for _ in range(int(seconds / 0.02)):
            await self.pilot.pause(0.02)
            if text in " ".join(self.text().split()):
                return self.text()
        raise AssertionError(f"no {text!r} on\n{self.text()}")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type ``text`` as fast as a keyboard never does, then Enter."""
        driver = self.pilot.app._driver
        assert driver is not None
        for character in text:
            driver.send_message(events.Key(character, character))
        await self.pilot.press("enter")

    async def to_owner(self) -> None:
        for title, ready in (("Welcome", "Keyboard"), ("Hardware", "Checks finished"), ("Network", "192.0.2.7")):
            await self.sees(f"· {title}")
            await self.sees(ready)
            await self.press("enter")
        await self.sees("· Owner")

    async def to_identity(self) -> None:
        await self.to_owner()
        await self.press("enter")
        await self.type(PASSWORD)
        await self.type(PASSWORD)
        await self.sees("· Identity")

    async def to_node(self) -> None:
        await self.to_identity()
        await self.press("enter")
        await self.sees("Write these 24 words")
        await self.press("enter")
        await self.sees("Word 3")
        for word in ("abandon", "abandon", "art"):
            await self.type(word)
        await self.sees("· Node")

    async def to_review(self) -> None:
        await self.to_node()
        await self.press("enter")
        await self.sees("· Ledger")
        await self.press("enter")
        await self.sees("· Review")


def services_of(machine: SimulatedMachine, turn: Turn) -> Services:
    """Return the wizard's surroundings on this machine: the same checks, phrase and questions every time."""
    return Services(
        machine.system,
        turn,
        checks=CHECKS,
        entropy=bytes,
        positions=lambda: (3, 11, 24),
        groups=lambda: (2, 7),
        run_options=machine.run_options,
    )


def drive(wizard: Wizard, acts: Callable[[Hands], Awaitable[None]]) -> int | None:
    """Run the wizard at 80×24 with these hands; return what it ended with."""

    async def run() -> None:
        async with wizard.run_test(size=(80, 24)) as pilot:
            await acts(Hands(pilot))

    asyncio.run(run())
    return wizard.return_value
