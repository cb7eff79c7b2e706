"""Many threads that do the same for a while, and how much they got done in each second.

What they do must leave the interpreter's lock (a system call, hashing or copying of large blocks), or they wait for
one another instead of for the machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What a run got done."""

    total: int
    """Units in all."""
    seconds: float
    """Length of the run."""
    slices: tuple[int, ...]
    """Units per second in each whole slice of about a second, in order; one at least."""

    @property
    def per_second(self) -> int:
        """Units per second over the whole run."""
        return int(self.total / max(self.seconds, 1e-6))

    @property
    def best(self) -> int:
        """Units per second in the best slice."""
        return max(self.slices)

    @property
    def first(self) -> int:
        """Units per second in the first three slices."""
        return _mean(self.slices[:3])

    @property
    def last(self) -> int:
        """Units per second in the last third."""
        return _mean(self.slices[-max(1, len(self.slices) // 3) :])


def keep_pace(
    workers: Sequence[Callable[[], int]],
    seconds: float,
    *,
    tick: Callable[[int, float], bool] | None = None,
) -> Pace:
    """Call each worker again and again in a thread of its own, and count what they return.

    Args:
        workers: each does one unit of work and returns how much that was; 0 ends the run.
        seconds: after which nothing new is begun; each worker is called once at least.
        tick: called about every second with what is done and the time it took; returns whether to go on.
    Raises:
        Exception: what a worker raised; the others have ended then.
    """
    stop = threading.Event()
    done = [0] * len(workers)
    failures: list[BaseException] = []

    def work(number: int, worker: Callable[[], int]) -> None:
        try:
            while True:
                amount = worker()
                done[number] += amount
                if amount == 0:
                    stop.set()
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the threads
            failures.append(error)
            stop.set()

    threads = [
        threading.Thread(target=work, args=item, name=f"pace-{item[0]}", daemon=True) for item in enumerate(workers)
    ]
    start = time.perf_counter()
    slices: list[int] = []
    for thread in threads:
        thread.start()
    try:
        before, since = 0, start
        while not stop.is_set() and any(thread.is_alive() for thread in threads):
            left = start + seconds - time.perf_counter()
            if left <= 0:
                break
            stop.wait(min(SECOND, left))
            now, total = time.perf_counter(), sum(done)
            # A slice in which the work ran out says nothing about the pace.
            if now - since >= SECOND * 0.9 and not stop.is_set():
                slices.append(int((total - before) / (now - since)))
                before, since = total, now
                if tick is not None and not tick(total, now - start):
                    break
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    taken = time.perf_counter() - start
    return Pace(sum(done), taken, tuple(slices) or (int(sum(done) / max(taken, 1e-6)),))


def _mean(values: Sequence[int]) -> int:
    return sum(values) // len(values)
