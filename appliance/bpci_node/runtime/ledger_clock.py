"""Ledger time: microseconds since the ledger's genesis, by a clock that never jumps.

It is anchored once to the system's clock and then runs on the monotonic one. What the system's clock says later (a
time server's correction, an owner's hand) is followed by slewing: ledger time runs a little faster or slower until both
agree, so no window is skipped, shown twice or cut. A system clock that is further away than :data:`MAX_AWAY_US` is not
followed at all, and the distance is a metric.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator

SLEW_PPM = 10_000
"""Most by which ledger time runs fast or slow while it follows the system's clock, parts per million: a window of
100 ms is at most 1 ms longer or shorter."""
MAX_AWAY_US = 60_000_000
"""Distance of the system's clock beyond which it is not followed."""
FOLLOW_SECONDS = 1.0
"""How often the system's clock is looked at."""
_KEPT = 4096
"""Latenesses that are remembered per class."""


def system_us() -> int:
    """Return Unix microseconds by the system's clock."""
    return time.time_ns() // 1000


def steady_us() -> int:
    """Return microseconds of the monotonic clock."""
    return time.monotonic_ns() // 1000


class LedgerClock:
    """The clock of everything that has to do with windows."""

    def __init__(
        self,
        genesis_ms: int,
        *,
        wall_us: Callable[[], int] = system_us,
        monotonic_us: Callable[[], int] = steady_us,
    ) -> None:
        """Anchor the clock.

        Args:
            genesis_ms: birth of the ledger, Unix milliseconds.
            wall_us: Unix microseconds; may jump.
            monotonic_us: microseconds of a clock that does not.
        """
        self._genesis_us = genesis_ms * 1000
        self._wall_us, self._monotonic_us = wall_us, monotonic_us
        self._base_us = wall_us() - self._genesis_us
        self._since_us = monotonic_us()
        self._rate_ppm = 0
        self.away_us = 0
        """How far the system's clock was ahead of this one when it was looked at last."""

    def now_us(self) -> int:
        """Return ledger time; never less than what was returned before."""
        passed = self._monotonic_us() - self._since_us
        return self._base_us + passed + passed * self._rate_ppm // 1_000_000

    def wall_ms(self) -> int:
        """Return ledger time as Unix milliseconds."""
        return (self.now_us() + self._genesis_us) // 1000

    def follow(self, period_us: int = int(FOLLOW_SECONDS * 1_000_000)) -> None:
        """Look at the system's clock, and run so that the distance is gone after ``period_us`` if the limit allows."""
        monotonic, now = self._monotonic_us(), self.now_us()
        self.away_us = self._wall_us() - self._genesis_us - now
        self._base_us, self._since_us = now, monotonic
        if abs(self.away_us) > MAX_AWAY_US:
            self._rate_ppm = 0
        else:
            wanted = self.away_us * 1_000_000 // period_us
            self._rate_ppm = max(-SLEW_PPM, min(SLEW_PPM, wanted))

    async def sleep_until(self, time_us: int) -> int:
        """Wait until ledger time has reached ``time_us``; return how late this is noticed, microseconds."""
        while (left := time_us - self.now_us()) > 0:  # noqa: ASYNC110 - what is waited for is time itself
            # Slewing may make it too short by a hundredth: the loop goes round once more.
            await asyncio.sleep(left / 1_000_000)
        return -left

    async def run(self) -> None:
        """Follow the system's clock for ever."""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            self.follow()


class Jitter:
    """How late phase boundaries were noticed, per class."""

    def __init__(self) -> None:
        self._late: dict[int, deque[int]] = {}
        self.counts: dict[int, int] = {}
        """Boundaries so far, by class (milliseconds)."""

    def note(self, qlock_ms: int, late_us: int) -> None:
        """Remember one boundary of a class."""
        self._late.setdefault(qlock_ms, deque(maxlen=_KEPT)).append(late_us)
        self.counts[qlock_ms] = self.counts.get(qlock_ms, 0) + 1

    def quantile(self, qlock_ms: int, percent: int) -> int:
        """Return the lateness that ``percent`` of the last boundaries did not exceed, microseconds; 0 without any."""
        late = sorted(self._late.get(qlock_ms, ()))
        return late[min(len(late) - 1, len(late) * percent // 100)] if late else 0

    def classes(self) -> Iterator[int]:
        """Yield the classes that had a boundary, ascending."""
        yield from sorted(self._late)
