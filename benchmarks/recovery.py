"""How soon a node that was killed, halted, or hangs serves again, under the settings of its own unit.

A small supervisor does what systemd does with those settings (readiness, watchdog, signal, restart), so no virtual
machine is needed; systemd's own time for starting a process, some ten milliseconds, is not in it. Clock: from the
signal until ``/readyz`` of the new process answers. 'Hung' is a node whose event loop is kept from turning by a step
that does not end. Input: a devnet's node with nothing in it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bpci_node.cli.devnet_files import write_files
from bpci_node.errors import BpciError
from bpci_node.network.client import NodeClient

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "ansible/roles/node/files/usr/lib/systemd/system/bpci-node.service"
PORT = 18_845
TIMES = 3
HANG = (
    "import asyncio, signal, time\n"
    "from bpci_node.cli.main import main\n"
    "class Policy(asyncio.DefaultEventLoopPolicy):\n"
    "    def new_event_loop(self):\n"
    "        loop = super().new_event_loop()\n"
    "        loop.add_signal_handler(signal.SIGUSR1, time.sleep, 600)\n"
    "        return loop\n"
    "asyncio.set_event_loop_policy(Policy())\n"
    "main()\n"
)
"""A node whose event loop hangs from SIGUSR1 on."""


def setting_seconds(name: str) -> float:
    """Return a time of the node's unit."""
    found = re.search(rf"^{name}=(\d+)(ms|s|)$", UNIT.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"the unit has no {name}")
    return int(found[1]) / (1000 if found[2] == "ms" else 1)


class Supervisor:
    """Runs one node as its unit says, until it is stopped."""

    def __init__(self, config: Path, log: Path, directory: Path) -> None:
        self._config, self.log = config, log
        self.ends: list[str] = []
        """Why each process so far was ended, or ended: ``watchdog``, or its exit status."""
        self._watchdog, self._abort, self._pause = map(
            setting_seconds, ("WatchdogSec", "TimeoutAbortSec", "RestartSec")
        )
        self._stopping = False
        self._path = directory / "notify"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self._path))
        self._notify.settimeout(0.02)
        self.process = self._start()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End the node and the supervision."""
        self._stopping = True
        self._thread.join()
        self.process.kill()
        self.process.wait()
        self._notify.close()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "appliance"),
            "NOTIFY_SOCKET": str(self._path),
            "WATCHDOG_USEC": str(int(self._watchdog * 1_000_000)),
        }
        environment.pop("WATCHDOG_PID", None)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", HANG, "node", "run", "--config", str(self._config)],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def _run(self) -> None:
        fed: float | None = None  # not watched before it is ready
        while not self._stopping:
            try:
                message = self._notify.recv(4096).decode().splitlines()
            except TimeoutError:
                message = []
            if "READY=1" in message or "WATCHDOG=1" in message:
                fed = time.monotonic()
            if "WATCHDOG=trigger" in message or (fed is not None and time.monotonic() - fed > self._watchdog):
                self._end()
                self.ends.append("watchdog")
            elif self.process.poll() is not None:
                self.ends.append(str(self.process.returncode))
            else:
                continue
            time.sleep(self._pause)
            self.process, fed = self._start(), None

    def _end(self) -> None:
        """End the process as systemd does after its watchdog: abort, let it go on to die, then kill."""
        self.process.send_signal(signal.SIGABRT)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(self._abort)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def await_ready(url: str) -> None:
    """Wait until a node is ready."""
    while True:
        try:
            with NodeClient(url, timeout_seconds=0.5) as client:
                if client.is_ready():
                    return
        except BpciError:
            pass
        time.sleep(0.01)


@contextmanager
def supervised(port: int = PORT) -> Iterator[tuple[Supervisor, str]]:
    """Supervise a devnet's node; yields the supervisor and the node's URL once it is ready."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write_files(home, port)
        supervisor = Supervisor(home / "node.toml", home / "node.log", home)
        url = f"http://127.0.0.1:{port}"
        try:
            await_ready(url)
            yield supervisor, url
        finally:
            supervisor.stop()


def recovery_seconds(supervisor: Supervisor, url: str, harm: Callable[[int], None]) -> float:
    """Do harm to the node and return the seconds until another process serves."""
    harmed, count = supervisor.process.pid, len(supervisor.ends)
    started = time.monotonic()
    harm(harmed)
    while len(supervisor.ends) == count or supervisor.process.pid == harmed:
        time.sleep(0.005)
    await_ready(url)
    return time.monotonic() - started


HARMS = {"killed": signal.SIGKILL, "halted": signal.SIGSTOP, "hung event loop": signal.SIGUSR1}


def run() -> list[dict[str, Any]]:
    """Measure each harm, and return rows of the table."""
    rows = []
    with supervised() as (supervisor, url):
        for name, number in HARMS.items():
            found = []
            for _ in range(TIMES):
                time.sleep(1.5)
                found.append(recovery_seconds(supervisor, url, lambda pid, number=number: os.kill(pid, number)))
            rows.append(
                {
                    "name": f"node serves again, {name}",
                    "value": round(median(found), 2),
                    "unit": "s",
                    "target": "5 s",
                    "note": f"median of {TIMES}, {min(found):.2f} to {max(found):.2f}",
                }
            )
    return rows


if __name__ == "__main__":
    print(f"load {os.getloadavg()[0]:.1f}")
    for row in run():
        print(f"{row['name']}: {row['value']} {row['unit']} ({row['note']})")
