"""Screens that are left while something in the background still works for them."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from textual.screen import Screen

from bpci_tui.app import Wizard
from bpci_tui.screens.base import StepScreen
from tests.unit.tui.driving import Hands, drive


def test_what_a_screen_is_told_after_it_was_left_does_not_reach_it(
    make_wizard: Callable[..., Wizard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in it may be gone already, while it hangs at the app: asking for it would end the wizard."""
    told: list[str] = []

    async def acts(hands: Hands) -> None:
        await hands.sees("· Welcome")
        wizard, left = hands.pilot.app, hands.pilot.app.screen
        assert isinstance(wizard, Wizard)
        assert isinstance(left, StepScreen)
        learned, gone = threading.Event(), asyncio.Event()
        remove = wizard._replace_screen

        async def remove_later(screen: Screen[None]) -> Screen[None]:
            await gone.wait()
            return await remove(screen)

        def look() -> None:
            learned.wait(10)
            left.from_thread(told.append, "late")

        monkeypatch.setattr(wizard, "_replace_screen", remove_later)
        worker = left.run_worker(look, thread=True)
        wizard.show("hardware")
        learned.set()
        await worker.wait()
        assert left.is_attached
        gone.set()
        await hands.sees("· Hardware")

    drive(make_wizard(), acts)
    assert told == []
