"""Keys reach the field that has the focus by the time the key before has done all that it does.

Textual hands each key to the widget that has the focus at that moment, while Enter or Tab moves the focus by messages
that are still on their way, or puts another screen up. What is typed in between would land in the field before. So
after a key that may move the focus, those that follow wait until nothing is on its way any more; none is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.widgets import Input

STILL_ROUNDS = 2
"""Rounds in which nothing changes, before the keys go on."""
MOST_ROUNDS = 200
ROUND_SECONDS = 2.0
"""A widget that takes longer to answer is busy, or gone: the keys do not wait for it."""


class OrderedKeys:
    """Holds keys back while the one before is at work."""

    def __init__(self, app: App[Any], hand_over: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._hand_over = hand_over
        self._waiting: deque[events.Event] = deque()
        self._task: asyncio.Task[None] | None = None

    async def take(self, event: events.Key | events.Paste) -> None:
        """Hand the event over, now or when its turn comes."""
        if self._task is not None:
            self._waiting.append(event)
            return
        moves = self._may_move_the_focus(event)
        await self._hand_over(event)
        if moves:
            self._task = asyncio.create_task(self._go_on())

    def stop(self) -> None:
        """Forget what still waits: the app ends."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        try:
            await self._settle()
            while self._waiting:
                event = self._waiting.popleft()
                moves = self._may_move_the_focus(event)
                await self._hand_over(event)
                if moves:
                    await self._settle()
        finally:
            self._task = None

    def _may_move_the_focus(self, event: events.Event) -> bool:
        types = isinstance(event, events.Paste) or (isinstance(event, events.Key) and event.is_printable)
        return not (types and isinstance(self._app.focused, Input))

    async def _settle(self) -> None:
        still, before = 0, None
        for _ in range(MOST_ROUNDS):
            chain: list[DOMNode] = [*(self._app.focused or self._app.screen).ancestors_with_self]
            for node in chain:
                passed = asyncio.Event()
                if node.call_later(passed.set):
                    try:
                        await asyncio.wait_for(passed.wait(), ROUND_SECONDS)
                    except TimeoutError:
                        return
            now = (self._app.screen, self._app.focused)
            is_quiet = self._app.screen.is_mounted and all(node.message_queue_size == 0 for node in chain)
            still = still + 1 if is_quiet and now == before and now[1] is not None else 0
            if still >= STILL_ROUNDS:
                return
            before = now
