"""Node processes of one user without a service manager: started in the background, found again, stopped.

A node holds a lock on its state for as long as it lives, so neither a stale pid nor a reused one misleads.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bpci_node.errors import BpciError, HostError
from bpci_node.host.listeners import bind_failure, holder_of
from bpci_node.network.client import NodeClient

READY_SECONDS = 30.0
"""How long a node may take until it is ready, on a machine that has better to do."""
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A node process that was started here."""

    process: subprocess.Popen[bytes]
    log: Path
    """Where it writes its log."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def await_ready(self, socket_path: Path) -> None:
        """Wait until the node behind the owner's socket says that it is ready.

        Raises:
            HostError: it ended, or is not ready in time (``devnet.start``).
        """
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise HostError(f"the node ended at once: {self._last_words()}", code="devnet.start")
            try:
                with NodeClient(socket_path) as client:
                    if client.is_ready():
                        return
            except BpciError:
                pass
            time.sleep(0.05)
        raise HostError(f"the node is not ready after {READY_SECONDS:.0f} s: {self._last_words()}", code="devnet.start")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "no log")


def start_node(config: Path, log: Path) -> NodeProcess:
    """Start a node of this program in the background; it outlives this process."""
    package = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "bpci_node.cli.main", "node", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    return NodeProcess(process, log)


def pid_of(state_dir: Path) -> int | None:
    """Return the pid of the node that uses this state directory, ``None`` if none does."""
    try:
        with (state_dir / "lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                text = file.read(32).strip()
                return int(text) if text.isdigit() else None
    except OSError:
        pass
    return None


def stop_nodes(pids: Sequence[int]) -> list[int]:
    """Ask nodes to stop, all at once, and kill those that do not in time; return which were killed."""
    for pid in pids:
        _signal(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while time.monotonic() < end and any(map(_is_alive, pids)):
        time.sleep(0.05)
    left = [pid for pid in pids if _is_alive(pid)]
    for pid in left:
        _signal(pid, signal.SIGKILL)
    while any(map(_is_alive, left)):
        time.sleep(0.01)
    return left


def require_free(port: int, *, hint: str) -> None:
    """Check that nobody listens on a port of the loopback interface.

    Raises:
        HostError: somebody does, and is named (``devnet.port``).
    """
    if bind_failure("127.0.0.1", port) is not None:
        raise HostError(f"port {port} is taken{_by_whom(port)}", code="devnet.port", hint=hint, port=port)


def _by_whom(port: int) -> str:
    holder = holder_of(port)
    return " by a process of another user" if holder is None else f" by {holder.name} (pid {holder.pid})"


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
