"""The node's unit, as the service manager has it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bpci_node.errors import HostError
from bpci_node.host.units import read_properties

_ANSWER_SECONDS = 30.0
"""How long the service manager may take for an answer of its own."""
_STOP_SECONDS = 120.0
"""How long a node may take to finish what it accepted; its unit allows 30."""
_GROUPS = Path("/proc/self/cgroup")
_SERVICE = re.compile(r"/([^/]+\.service)(?=/|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Condition:
    """How the unit is."""

    active: str
    """``active``, ``activating``, ``inactive``, ``failed``."""
    restarts: int
    """How often the service manager started it again by itself."""
    result: str
    """Why it ended: ``success``, ``exit-code``, ``watchdog``."""
    ready_at: int
    """When it last said that it was ready, microseconds of the machine's clock since boot; 0 if it never did."""

    @property
    def is_running(self) -> bool:
        """Whether it runs, or is being started."""
        return self.active in ("active", "activating", "reloading")


@dataclass(frozen=True, slots=True)
class Service:
    """One unit."""

    unit: str

    def condition(self) -> Condition:
        """Return how it is.

        Raises:
            HostError: the service manager does not answer (``update.service``).
        """
        names = "ActiveState,NRestarts,Result,ActiveEnterTimestampMonotonic"
        found = read_properties(self._run(["show", f"--property={names}", self.unit], _ANSWER_SECONDS).stdout)
        restarts, ready = found.get("NRestarts", ""), found.get("ActiveEnterTimestampMonotonic", "")
        return Condition(
            found.get("ActiveState", "inactive"),
            int(restarts) if restarts.isdigit() else 0,
            found.get("Result", ""),
            int(ready) if ready.isdigit() else 0,
        )

    def start(self, seconds: float) -> str:
        """Start it, and wait until it says that it is ready; return why it is not, or nothing.

        Within a unit that comes before it, as at boot, nobody can wait: it starts when that unit has ended.

        Raises:
            HostError: the service manager does not answer (``update.service``).
        """
        return self._bring_up("start", seconds)

    def restart(self, seconds: float) -> str:
        """Stop it if it runs and start it, which the service manager does to the end whoever is killed meanwhile.

        Returns:
            why it is not ready ``seconds`` after it had its time to stop, or nothing.
        Raises:
            HostError: the service manager does not answer (``update.service``).
        """
        return self._bring_up("restart", seconds + _STOP_SECONDS)

    def _bring_up(self, verb: str, seconds: float) -> str:
        # What failed before does not count against the new start.
        self._run(["reset-failed", self.unit], _ANSWER_SECONDS)
        options = ["--no-block"] if self._comes_after_this() else []
        try:
            done = self._call([verb, *options, self.unit], seconds)
        except subprocess.TimeoutExpired:
            return f"it was not ready after {seconds:.0f} seconds"
        if done.returncode == 0:
            return ""
        condition = self.condition()
        return f"it did not start: {condition.result or condition.active}"

    def _comes_after_this(self) -> bool:
        """Tell whether the service manager starts the unit only when the one in which this process runs has ended."""
        found = read_properties(self._run(["show", "--property=After", self.unit], _ANSWER_SECONDS).stdout)
        return not own_services().isdisjoint(found.get("After", "").split())

    def stop(self) -> None:
        """Stop it, and wait until it has ended.

        Raises:
            HostError: it does not end, or the service manager does not answer (``update.service``).
        """
        done = self._run(["stop", self.unit], _STOP_SECONDS)
        if done.returncode != 0:
            raise _silent(f"{self.unit} could not be stopped: {done.stderr.decode(errors='replace').strip()[:300]}")

    def _run(self, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
        try:
            return self._call(arguments, seconds)
        except subprocess.TimeoutExpired as error:
            raise _silent(f"the service manager did not answer within {seconds:.0f} seconds") from error

    def _call(self, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(["systemctl", *arguments], capture_output=True, timeout=seconds, check=False)
        except OSError as error:
            raise _silent(f"systemctl can't be run: {error.strerror}") from error


def own_services() -> set[str]:
    """Return the services in which this process runs, as the names of its control groups have them.

    Source: cgroups(7), "/proc files"; systemd.resource-control(5).
    """
    try:
        return set(_SERVICE.findall(_GROUPS.read_text(errors="replace")))
    except OSError:
        return set()


def _silent(message: str) -> HostError:
    return HostError(message, code="update.service", hint="See 'systemctl status bpci-node' and 'journalctl -b'.")
