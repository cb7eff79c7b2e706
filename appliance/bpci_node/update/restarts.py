"""Restarts that package updates ask for: in the owner's window, after the auctions ended, with a report afterwards.

What is planned is written down before the machine goes down, so that the report after boot can say what changed, how
long it took, and whether the node is as it was.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpci_node.errors import BpciError, HostError
from bpci_node.host.units import read_units
from bpci_node.primitives.json_text import read_json
from bpci_node.runtime.backup.lock import DIRECTORY, kept_off
from bpci_node.runtime.config import NodeConfig, load
from bpci_node.store.durable_file import replace_file
from bpci_node.update import health
from bpci_node.update.draining import drain, resume
from bpci_node.update.metrics import REBOOT_MARK, write_metrics
from bpci_node.update.records import MAX_BYTES, Records, Verdict
from bpci_node.update.service import Service
from bpci_node.update.settings import Settings

CHANGED_MARK = Path("/run/bpci-packages-changed")
"""Made after every package run; see the role ``updates``."""
PLANNED_MARK = Path("/run/bpci-restart-planned")
"""There from when a restart is planned until it happens: what is in memory alone does not outlive it."""
REBOOT_PACKAGES = Path("/run/reboot-required.pkgs")
PACKAGE_LOG = Path("/var/log/dpkg.log")
BACKUPS = Path(DIRECTORY)
MAX_LOG_BYTES = 8 << 20
MAX_CHANGES = 400
_COMMAND_SECONDS = 300.0
_LOGGED = re.compile(r"(\S+ \S+) (?:upgrade|install) (\S+?)(?::\S+)? (\S+) (\S+)")
_WAITING = re.compile(r"^Inst .*-[Ss]ecurity", re.MULTILINE)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Package:
    """A package that changed."""

    name: str
    before: str
    after: str


def keep_window(settings: Settings, tell: Tell, *, now_s: float | None = None) -> str:
    """Do what package updates ask for, if the window is open; return what was done.

    Returns:
        ``closed``, ``nothing``, ``restarted`` (the node), ``rebooting``, ``held`` (the owner wants no restarts),
        ``waiting`` (a backup, a drill or a restore would be cut off).
    Raises:
        HostError: the service manager does not answer (``update.service``).
    """
    if not settings.window.is_open(time.time() if now_s is None else now_s):
        write_metrics(settings)
        return "closed"
    write_metrics(settings, pending=waiting_packages())
    records = Records(settings.state)
    if records.journal() is not None:
        return "nothing"  # an update of the node comes first
    if REBOOT_MARK.exists():
        if not settings.window.reboot:
            tell("packages want the machine to be restarted, and the settings hold it back")
            return "held"
        return _reboot(settings, records, tell)
    service, is_done = Service(settings.unit), False
    if wants_restart(settings.unit) and service.condition().is_running:
        is_done = _restart(settings, records, service, tell)
    CHANGED_MARK.unlink(missing_ok=True)
    return "restarted" if is_done else "nothing"


def _restart(settings: Settings, records: Records, service: Service, tell: Tell) -> bool:
    config = load(settings.config) if settings.config.exists() else None
    if config is None:
        return False
    before, began_ms = _seen(config), _now_ms()
    drain(config, settings.drain_seconds, tell)
    tell("restarting the node, whose libraries were updated")
    why = service.restart(settings.ready_seconds) or health.await_health(
        config,
        service,
        before,
        version=before.version if before is not None else "",
        answer_seconds=settings.answer_seconds,
        settle_seconds=settings.settle_seconds,
        tell=tell,
    )
    outcome = "unhealthy" if why else "well"
    summary = f"the node was restarted after its libraries were updated: {why or 'it serves as before'}"
    records.add_verdict(_verdict("restart", began_ms, outcome, summary, {}))
    return True


def _reboot(settings: Settings, records: Records, tell: Tell) -> str:
    """Restart the machine unless that would cut off work on backups; return what was done."""
    with kept_off(BACKUPS) as is_free:
        pass  # let one begin until the auctions have ended, which may take a while
    if is_free:
        config = load(settings.config) if settings.config.exists() else None
        before = None if config is None else _seen(config)
        drain(config, settings.drain_seconds, tell)
        with kept_off(BACKUPS) as is_free:
            if is_free:
                _go_down(records, config, before, tell)
                return "rebooting"
        resume(config)
    tell("a backup, a drill or a restore is under way: the restart waits for its end")
    return "waiting"


def _go_down(records: Records, config: NodeConfig | None, before: health.Seen | None, tell: Tell) -> None:
    """Write down what is about to happen, and reboot."""
    plan = {
        "v": 1,
        "planned_ms": _now_ms(),
        "kernel": platform.release(),
        "packages": sorted(_lines(REBOOT_PACKAGES))[:MAX_CHANGES],
        "since": _since(records),
        "before": None if before is None else before.as_map(),
    }
    records.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace_file(records.directory / "restart.json", json.dumps(plan).encode(), mode=0o644)
    PLANNED_MARK.touch()
    tell("restarting the machine")
    done = _run(["systemctl", "reboot"])
    if done.returncode != 0:
        (records.directory / "restart.json").unlink(missing_ok=True)
        PLANNED_MARK.unlink(missing_ok=True)
        resume(config)
        raise HostError("the machine would not restart", code="update.service", hint="See 'journalctl -b'.")


def report(settings: Settings, tell: Tell) -> Verdict | None:
    """Say what a planned restart of the machine has brought, once; ``None`` if none was planned.

    Raises:
        StorageError: the plan can't be read (``update.record``).
    """
    records, path = Records(settings.state), settings.state / "restart.json"
    if not path.exists() or PLANNED_MARK.exists():
        return None  # none planned, or not restarted yet
    with path.open("rb") as file:
        plan: dict[str, Any] = read_json(file.read(MAX_BYTES), max_bytes=MAX_BYTES)
    node, why = _after(settings, plan["before"], tell)
    packages = changed_packages(str(plan["since"]))
    failed = failed_units()
    details = {
        "planned_ms": plan["planned_ms"],
        "down_seconds": max(0, (_now_ms() - int(plan["planned_ms"])) // 1000),
        "kernel_before": plan["kernel"],
        "kernel": platform.release(),
        "wanted_by": plan["packages"],
        "packages": [f"{item.name} {item.before} -> {item.after}" for item in packages],
        "failed_units": failed,
        "node": node,
        "reboot_required": REBOOT_MARK.exists(),
    }
    kernel = "" if details["kernel"] == plan["kernel"] else f", kernel {plan['kernel']} -> {details['kernel']}"
    summary = f"restarted for updates, {details['down_seconds']} s until the node was {node}{kernel}"
    summary += f", {len(packages)} packages changed"
    if why:
        summary += f"; the node: {why}"
    if failed:
        summary += f"; failed: {', '.join(failed)[:200]}"
    outcome = "well" if not failed and not why else "unhealthy"
    verdict = _verdict("restart", int(plan["planned_ms"]), outcome, summary, details)
    records.add_verdict(verdict)
    path.unlink()
    write_metrics(settings)
    return verdict


def _after(settings: Settings, before: dict[str, Any] | None, tell: Tell) -> tuple[str, str]:
    """Return whether the node is ``well``, ``unhealthy`` or was ``not running`` before, and why it is not well."""
    if before is None or not settings.config.exists():
        return "not running", ""
    tell("waiting for the node")
    why = health.await_health(
        load(settings.config),
        Service(settings.unit),
        health.Seen(**before | {"obstacles": tuple(before["obstacles"])}),
        version=str(before["version"]),
        answer_seconds=settings.ready_seconds + settings.answer_seconds,
        settle_seconds=1,
        tell=tell,
    )
    return ("unhealthy" if why else "well"), why


def failed_units() -> list[str]:
    """Return the names of units that failed."""
    done = _run(["systemctl", "list-units", "--failed", "--all", "--output=json"])
    return sorted(unit.name for unit in read_units(done.stdout)) if done.returncode == 0 else []


def changed_packages(since: str) -> list[Package]:
    """Return the packages that changed since a time as dpkg writes it, ``YYYY-MM-DD HH:MM:SS``."""
    try:
        with PACKAGE_LOG.open("rb") as file:
            file.seek(max(0, PACKAGE_LOG.stat().st_size - MAX_LOG_BYTES))
            text = file.read(MAX_LOG_BYTES).decode(errors="replace")
    except OSError:
        return []
    found: dict[str, Package] = {}
    for when, name, before, after in _LOGGED.findall(text):
        if when >= since:
            first = found.get(name)
            found[name] = Package(name, before if first is None else first.before, after)
    return list(found.values())[:MAX_CHANGES]


def waiting_packages() -> int:
    """Return how many security updates wait to be installed."""
    done = _run(["apt-get", "--simulate", "-o", "Debug::NoLocking=true", "upgrade"])
    return len(_WAITING.findall(done.stdout.decode(errors="replace"))) if done.returncode == 0 else 0


def wants_restart(unit: str) -> bool:
    """Tell whether a unit still runs on libraries that were replaced. Source: needrestart(1), batch mode."""
    done = _run(["needrestart", "-b", "-r", "l", "-l"])
    return f"NEEDRESTART-SVC: {unit}" in done.stdout.decode(errors="replace").splitlines()


def _since(records: Records) -> str:
    """Return the end of the last restart in local time, as dpkg writes it; of all time if there was none."""
    ended = [item["ended_ms"] for item in records.history() if item["kind"] == "restart"]
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ended[-1] / 1000)) if ended else "0"


def _seen(config: NodeConfig) -> health.Seen | None:
    try:
        return health.look(config)
    except BpciError:
        return None


def _verdict(kind: str, began_ms: int, outcome: str, summary: str, details: dict[str, Any]) -> Verdict:
    return {
        "kind": kind,
        "began_ms": began_ms,
        "ended_ms": _now_ms(),
        "to": "",
        "outcome": outcome,
        "summary": summary[:2000],
        "details": details,
    }


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, timeout=_COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, b"", str(error).encode())


def _lines(path: Path) -> set[str]:
    try:
        return {line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()}
    except OSError:
        return set()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
