"""Whose turn it is to measure the line to this node: one at a time, or two would measure each other.

Registered nodes and everybody else have a turn each, so that strangers, who make keys at will, keep no node waiting.
A turn belongs to one key, has a few transfers at once, ends a moment after the last of them, and lasts a bounded time
when others wait. How much may be moved is limited besides, by address and key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bpci_node.errors import LimitError

PAUSE_SECONDS = 2.0
"""A turn stays with its key for so long after a transfer, for the next one."""
TURN_SECONDS = 60.0
"""Longest turn while others wait."""
TRANSFERS = 6
"""Transfers at once within a turn."""
TRANSFER_SECONDS = 30.0
"""Longest transfer."""


class Turn:
    """One place to measure at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nobody's turn.

        Args:
            clock: seconds, never going back.
        """
        self._clock = clock
        self._key = b""
        self._began = self._used = float("-inf")
        self._open = 0

    @contextmanager
    def taken(self, key: bytes) -> Iterator[None]:
        """Hold the place for a transfer of ``key``.

        Raises:
            LimitError: it is another key's turn, or there are too many transfers (``limit.measuring``).
        """
        self._enter(key, self._clock())
        generation = self._began
        try:
            yield
        finally:
            # A turn that was taken over, or begun anew, has nothing to count down.
            if self._began == generation and self._key == key:
                self._open -= 1
                self._used = self._clock()

    def _enter(self, key: bytes, now: float) -> None:
        is_idle = self._open == 0 and now - self._used > PAUSE_SECONDS
        is_over = now - self._began > TURN_SECONDS
        if self._key != key and not (is_idle or is_over):
            raise LimitError(
                "another node measures its line to this one",
                code="limit.measuring",
                hint="Try again in a few seconds.",
                retry_after_seconds=5,
            )
        if self._key != key or is_idle or is_over:
            self._key, self._began, self._open = key, now, 0
        if self._open >= TRANSFERS:
            raise LimitError(
                f"at most {TRANSFERS} transfers are measured at once",
                code="limit.measuring",
                hint="Use fewer connections.",
                retry_after_seconds=5,
            )
        self._open += 1
        self._used = now
