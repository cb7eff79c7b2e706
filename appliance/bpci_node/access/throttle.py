"""How fast somebody may try to sign in: after a few failures each further one costs a longer wait.

Counted per address, where the wait grows to a quarter of an hour, and per account, where it stays short: whoever knows
an account's name must not be able to lock its owner out. Memory is bounded; the one quiet for longest is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict

from bpci_node.errors import LimitError

MAX_SOURCES = 8192
FREE = 5
"""Failures that cost nothing."""
ADDRESS_SECONDS, ACCOUNT_SECONDS = 900.0, 20.0
"""Longest waits."""
FORGOTTEN_SECONDS = 1800.0
"""After so long without a try a source begins anew."""


class Throttle:
    """Tries of one kind of source."""

    def __init__(self, longest_seconds: float) -> None:
        """Take the longest wait."""
        self._longest = longest_seconds
        self._tried: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def take(self, source: str, *, now: float) -> None:
        """Count a try, which is a failure until :meth:`forgive` says otherwise.

        Args:
            now: seconds of a monotonic clock.
        Raises:
            LimitError: too early (``limit.sign_in``); ``retry_after_seconds`` is among its details.
        """
        count, last = self._tried.pop(source, (0, now))
        if now - last > FORGOTTEN_SECONDS:
            count = 0
        wait = 0.0 if count < FREE else min(self._longest, 2.0 ** min(count - FREE, 20))
        if now - last < wait:
            self._tried[source] = (count, last)
            left = max(1, round(last + wait - now + 0.5))
            raise LimitError(
                "too many refused sign-ins", code="limit.sign_in", hint=f"Wait {left} s.", retry_after_seconds=left
            )
        self._tried[source] = (count + 1, now)
        if len(self._tried) > MAX_SOURCES:
            self._tried.popitem(last=False)

    def forgive(self, source: str) -> None:
        """Forget a source: it has signed in."""
        self._tried.pop(source, None)

    def is_quiet(self, *, now: float) -> bool:
        """Tell whether nobody waits, so that nothing is lost when this process ends."""
        return all(now - last > self._longest for count, last in self._tried.values() if count >= FREE)
