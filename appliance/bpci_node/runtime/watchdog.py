"""The node's own watchdog: a thread that feeds the service manager's while event loop and writer get on.

What stops the whole process, a halted or starved one or native code that never returns, stops this thread too, and the
service manager notices by itself. A loop or a writer that hangs alone is noticed here, and the service manager is told
at once. Time in which the machine did not let the loop run is not held against it: the kernel counts it for each
thread, and a round of this thread that took much longer than it should counts as one that did not.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bpci_node.runtime.service import notify

log = logging.getLogger("bpci.node")

LOOP_PATIENCE_SECONDS = 3.0
"""How long the event loop may be inside one step: a hung node is to serve again within 5 seconds."""
ROUND_SECONDS = 0.5
BEAT_SECONDS = 0.2
"""How often a loop that gets on says so."""
LOADING_SECONDS = 1.0
"""Processor time in which a machine that is fast enough for that patience loads a node's modules; ours takes 0.6."""
MOST_SLOWNESS = 20.0


def slowness() -> float:
    """Return how many times slower than such a machine this one is, 1 to :data:`MOST_SLOWNESS`.

    To be asked when the modules are loaded and nothing else was done. On an emulated machine, or a very small one, what
    is one long step would look like a hang.
    """
    return min(max(time.process_time() / LOADING_SECONDS, 1.0), MOST_SLOWNESS)


class Silence:
    """How long a loop has had the machine and has not turned."""

    def __init__(self, patience_seconds: float = LOOP_PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._beats = -1
        self.seconds = 0.0

    def note(self, beats: int, elapsed_seconds: float, kept_waiting_seconds: float) -> None:
        """Take in one round.

        Args:
            beats: how often the loop has turned so far.
            elapsed_seconds: since the last round.
            kept_waiting_seconds: how much of that it was ready to run, and others ran.
        """
        if beats != self._beats:
            self._beats, self.seconds = beats, 0.0
        else:
            self.seconds += max(min(elapsed_seconds, 2 * ROUND_SECONDS) - kept_waiting_seconds, 0.0)

    @property
    def is_too_long(self) -> bool:
        """Whether the loop hangs."""
        return self.seconds >= self._patience_seconds


class Watchdog:
    """Feeds the service manager's watchdog from a thread of its own."""

    def __init__(self, period_seconds: float, *, is_alive: Callable[[], bool], pace: float = 1.0) -> None:
        """Start nothing yet.

        Args:
            period_seconds: how often the service manager wants to be fed.
            is_alive: whether the writer gets on.
            pace: how many times slower than usual the machine is, as :func:`slowness`.
        """
        self._round_seconds = min(ROUND_SECONDS, period_seconds / 3)
        self._patience_seconds = LOOP_PATIENCE_SECONDS * pace
        self._is_alive = is_alive
        self._beats = 0
        self._ended = threading.Event()
        self._loop_thread = 0

    async def beat(self) -> None:
        """Say again and again that the loop turns; to be run in it until it is cancelled, and :meth:`stop` before."""
        self._loop_thread = threading.get_native_id()
        # When the service manager ends a node that hangs (SIGABRT), every thread says where it was.
        faulthandler.enable()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        while True:
            self._beats += 1
            await asyncio.sleep(BEAT_SECONDS)

    def stop(self) -> None:
        """Stop watching: from here on the service manager's time for stopping counts."""
        self._ended.set()

    def _watch(self) -> None:
        silence, before, waited_before = Silence(self._patience_seconds), time.monotonic(), self._waited_seconds()
        while not self._ended.wait(self._round_seconds):
            now, waited = time.monotonic(), self._waited_seconds()
            silence.note(self._beats, now - before, waited - waited_before)
            before, waited_before = now, waited
            if silence.is_too_long:
                self._give_up("the event loop hangs")
            elif not self._is_alive():
                self._give_up("the writer hangs")
            else:
                notify(WATCHDOG=1)

    def _give_up(self, why: str) -> None:
        log.error("%s: asking to be started again", why)
        notify(STATUS=why, WATCHDOG="trigger")
        self._ended.set()

    def _waited_seconds(self) -> float:
        """Return how long the loop's thread has been ready to run while others ran. Source: sched-stats.rst."""
        try:
            fields = Path(f"/proc/self/task/{self._loop_thread}/schedstat").read_text().split()
            return int(fields[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0
