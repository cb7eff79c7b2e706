"""Senders are recovered beside the node's own process, where a batch is large enough for that to pay.

Invariants: results come in the order of the entries; a worker that crashes or hangs fails only the entries it had, and
another takes its place; workers are started when there is work, end when there has been none for a while, and get one
socket and nothing else of the node's: no key, no file, no other connection. Why processes: ``docs/adr/0044``.
"""

from __future__ import annotations

import asyncio
import logging
import marshal
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bpci_node
from bpci_node.errors import UnreachableError
from bpci_node.runtime.recovery_worker import Decoded, decode, receive_frame, send_frame, unpack

log = logging.getLogger("bpci.recovery")

LEAST_BATCH = 32
"""Entries from which on a worker is asked; below, the way there and back costs more than it spares."""
MAX_WORKERS = 4
IDLE_SECONDS = 30.0
"""A worker without work for so long is ended, so that a quiet node keeps its memory."""
PATIENCE_SECONDS = 20.0
"""Time that a worker has for one request; the largest takes a tenth of it."""
STOP_SECONDS = 2.0


class Worker:
    """One worker process and the socket to it."""

    def __init__(self) -> None:
        """Start the process.

        Raises:
            OSError: it can't be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    # -P and -s: what is imported is the node's own package, not the working directory's or a user's.
                    [sys.executable, "-P", "-s", "-m", "bpci_node.runtime.recovery_worker"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env={"PYTHONPATH": str(Path(bpci_node.__file__).parent.parent)},
                    cwd="/",
                )
        except BaseException:
            ours.close()
            raise
        ours.settimeout(PATIENCE_SECONDS)
        self._channel = ours
        self.pid = self._process.pid
        self.used = time.monotonic()
        """When it last answered, seconds of the monotonic clock."""

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def decode(self, raws: Sequence[bytes]) -> list[Decoded]:
        """Let it decode raw entries.

        Raises:
            OSError: it ended, or does not answer in time.
        """
        send_frame(self._channel, marshal.dumps(list(raws)))
        answer = receive_frame(self._channel)
        if answer is None:
            raise ConnectionResetError("the worker ended")
        self.used = time.monotonic()
        return unpack(answer, raws)

    def close(self) -> None:
        """End it by closing its socket, and by force if that is not enough."""
        self._channel.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it by force."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


class Recovery:
    """Decodes raw entries and recovers their senders. Called from one event loop."""

    def __init__(self, *, workers: int | None = None) -> None:
        """Start nothing yet.

        Args:
            workers: processes at most, from 1; by default one less than the processors that this process may use,
                because the node itself keeps one busy, and at most ``MAX_WORKERS``.
        """
        self._most = workers or min(max(len(os.sched_getaffinity(0)) - 1, 1), MAX_WORKERS)
        # A thread for each worker to wait in; small batches are decoded in it.
        self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="recovery")
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self.running = 0
        """Worker processes that run now."""
        self.crashes = 0
        """Worker processes that ended or hung over a request, since the start."""
        self.waiting = 0
        """Entries whose senders are being recovered, or that wait for it."""

    async def decode(self, raws: Sequence[bytes]) -> list[Decoded]:
        """Decode raw entries; one result each, in their order.

        Raises:
            UnreachableError: a worker ended or hung over them (``unreachable.recovery``).
        """
        call, size = (_decode_here, len(raws)) if len(raws) < LEAST_BATCH else (self._ask, self._share(len(raws)))
        parts = [raws[start : start + size] for start in range(0, len(raws), max(size, 1))]
        loop = asyncio.get_running_loop()
        self.waiting += len(raws)
        try:
            found = await asyncio.gather(*(loop.run_in_executor(self._threads, call, part) for part in parts))
        finally:
            self.waiting -= len(raws)
        return [item for part in found for item in part]

    def retire_idle(self) -> None:
        """End the workers that had no work for a while. Not for the event loop."""
        now = time.monotonic()
        with self._lock:
            old = [worker for worker in self._idle if now - worker.used > IDLE_SECONDS]
            self._idle = [worker for worker in self._idle if worker not in old]
            self.running -= len(old)
        for worker in old:
            worker.close()

    def close(self) -> None:
        """Finish what was begun and end all workers. Not for the event loop."""
        self._threads.shutdown(wait=True)
        while self._idle:
            self._idle.pop().close()
        self.running = 0

    def _share(self, count: int) -> int:
        """Return how many of ``count`` entries one worker gets."""
        return max(LEAST_BATCH, -(-count // self._most))

    def _ask(self, raws: Sequence[bytes]) -> list[Decoded]:
        try:
            worker = self._take()
        except OSError as error:
            raise _failure("could not be started") from error
        try:
            found = worker.decode(raws)
        except BaseException as error:
            worker.kill()
            with self._lock:
                self.running -= 1
                self.crashes += 1
            log.exception("the worker %d that recovers senders failed over %d entries", worker.pid, len(raws))
            raise _failure("ended before it answered") from error
        with self._lock:
            self._idle.append(worker)
        return found

    def _take(self) -> Worker:
        """Return an idle worker, the one last used first, or a new one."""
        while True:
            with self._lock:
                if not self._idle:
                    self.running += 1
                    break
                worker = self._idle.pop()
            if worker.is_running:
                return worker
            worker.close()
            with self._lock:
                self.running -= 1
                self.crashes += 1
        try:
            return Worker()
        except OSError:
            with self._lock:
                self.running -= 1
            raise


def _decode_here(raws: Sequence[bytes]) -> list[Decoded]:
    return [decode(raw) for raw in raws]


def _failure(what: str) -> UnreachableError:
    return UnreachableError(
        f"the process that checks signatures {what}; nothing of this batch was accepted",
        code="unreachable.recovery",
        hint="Send it again, in smaller parts if it repeats; the node's log has the reason.",
    )
