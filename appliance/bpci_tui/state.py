"""What the console knows: what the node tells anyone over its public API, and what the machine shows any user."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from typing import Any

from bpci_node.chain.earnings import earnings_entry
from bpci_node.errors import BpciError, FormatError
from bpci_node.host.kernel_clock import read_kernel_clock
from bpci_node.host.result import Verdict
from bpci_node.network.wire import bytes_of
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.record import load_record
from bpci_node.runtime.alerts.rendering import TEST_ALERT, WATCHDOG
from bpci_node.runtime.doctor.clock import CLOCK
from bpci_node.runtime.doctor.disk import DISK
from bpci_node.runtime.doctor.encryption import ENCRYPTION
from bpci_node.runtime.doctor.follower import FOLLOWER
from bpci_node.runtime.doctor.guard import GUARD
from bpci_node.runtime.doctor.issue import Issue
from bpci_node.runtime.doctor.memory import MEMORY
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.runtime.doctor.token import TOKEN
from bpci_node.runtime.doctor.unit import NODE_UNIT
from bpci_node.runtime.doctor.visit import examine
from bpci_node.setup.interfaces import own_addresses
from bpci_node.setup.system import System

REPLY_BYTES = 1 << 20
MAX_TIME = 2**63
"""Later than any moment of ledger time, microseconds."""
ALERTS_PORT = 9093
"""Of Alertmanager, on this machine."""
ALERTS = "/alerts/api/v2/alerts?active=true&silenced=false&inhibited=false"
FIGURES = "/var/lib/prometheus/node-exporter"
EXAMINATIONS = (DISK, ENCRYPTION, MEMORY, NODE_UNIT, CLOCK, GUARD, TOKEN, FOLLOWER)
"""Those that need no right, no configuration and no HTTP client."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of the node at one moment."""

    hostname: str
    addresses: list[str]
    """The machine's own, without prefix."""
    port: int
    """Of the node's API."""
    status: dict[str, Any] | None
    """The node's answer to ``/v1/status``; ``None`` when it gave none."""
    sealed: int | None
    """Bundles that it has sealed since it started (:func:`read_sealed`); ``None`` when it is not known."""
    obstacles: list[str]
    """Why the node is not ready, for people; empty when it is."""
    auction: dict[str, Any] | None = None
    """The node's answer to ``/v1/auction``; ``None`` when it takes no part in auctions."""
    earned: int | None = None
    """What its seats were paid so far, smallest units of BPI; ``None`` when the node does not say."""
    issues: tuple[Issue, ...] = ()
    """What the doctor has found with the rights of this console."""
    upkeep: tuple[str, ...] = ()
    """What backups, updates and alerts say, a few words each; empty where none of them runs."""
    network: tuple[str, ...] = ()
    """The network in plain words; filled in where it is shown."""


def read_state(system: System, port: int) -> State:
    """Ask the node on this machine how it is."""
    status = _get(port, "/v1/status")
    ready = _get(port, "/readyz") if status is not None else None
    obstacles = [str(item.get("title", item)) for item in (ready or {}).get("obstacles", [])]
    auction = _get(port, "/v1/auction") if status is not None else None
    seen = State(socket.gethostname(), own_addresses(system), port, status, None, obstacles, upkeep=read_upkeep(system))
    if auction is None or "epoch" not in auction:
        return seen
    return replace(seen, auction=auction, earned=_earned(port, str((status or {})["node"]["account"])))


def read_upkeep(system: System, *, alerts_port: int = ALERTS_PORT, now: float | None = None) -> tuple[str, ...]:
    """Return what backups, updates and alerts say of themselves, to any user of the machine."""
    found = []
    backup, update = _figures(system, "bpci_backup.prom"), _figures(system, "bpci_update.prom")
    if backup:
        last = backup.get("bpci_backup_last_success_timestamp_seconds", 0.0)
        hours = int(((time.time() if now is None else now) - last) // 3600)
        told = "no backup yet" if not last else f"backup {hours} h ago" if hours < 72 else f"backup {hours // 24} d ago"
        found.append("BACKUP FAILED" if backup.get("bpci_backup_failed") else told)
    if update.get("bpci_update_failed"):
        found.append("UPDATE FAILED")
    elif update.get("bpci_update_pending"):
        found.append("an update waits")
    if update.get("bpci_reboot_required"):
        found.append("a restart is due")
    names = _alerts(alerts_port)
    if names is not None:
        count = sum(name not in (WATCHDOG, TEST_ALERT) for name in names)
        # The watchdog always fires: without it nobody says what is wrong, as in the first minutes after a start.
        quiet = "no alerts" if WATCHDOG in names else "alerts not watched yet"
        told = f"{count} alert{'s' if count != 1 else ''}: 'bpci alerts list'"
        # The line may be cut at its end.
        found = [told, *found] if count else [*found, quiet]
    return tuple(found)


def _alerts(port: int) -> list[str] | None:
    """Return the names of the alerts that fire and that nothing explains; ``None`` where nobody knows them."""
    try:
        value = read_json(_fetch(port, ALERTS), max_bytes=REPLY_BYTES, allow_fractions=True)
        return [str(item["labels"]["alertname"]) for item in value]
    except (FormatError, KeyError, TypeError):
        return None


def _figures(system: System, name: str) -> dict[str, float]:
    """Return the figures without labels of one writer, empty where it has written none."""
    found = {}
    try:
        text = system.read_text(f"{FIGURES}/{name}")
    except BpciError:
        return {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        with suppress(ValueError):
            if key.startswith("bpci_"):
                found[key] = float(value)
    return found


def examine_machine(system: System, status: dict[str, Any] | None) -> tuple[Issue, ...]:
    """Let the doctor look at what any user may see; the worst comes first."""
    patient = Patient(system, None, status, None, read_kernel_clock)
    found = [issue for result in examine(patient, EXAMINATIONS) for issue in result.issues]
    return tuple(sorted(found, key=lambda issue: issue.verdict is not Verdict.FAIL))


def _get(port: int, path: str) -> dict[str, Any] | None:
    try:
        value = read_json(_fetch(port, path), max_bytes=REPLY_BYTES, allow_fractions=True)
    except FormatError:
        return None
    return value if isinstance(value, dict) else None


def read_sealed(port: int) -> int | None:
    """Return how many bundles the node on this machine has sealed since it started. Its figures are dear to make."""
    for line in _fetch(port, "/metrics").decode(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        if name == "bpci_bundles_sealed_total":
            return int(float(value))
    return None


def _earned(port: int, account: str) -> int | None:
    """Return what an account was paid for its seats, as the node says."""
    found = _get(port, f"/v1/ledger/state/0x{earnings_entry(account, 'BPI').hex()}")
    if found is None or "value" not in found:
        return None
    try:
        return 0 if found["value"] is None else int(load_record(bytes_of(found["value"], what="value"))["total"])
    except (BpciError, KeyError, ValueError):
        return None


def _fetch(port: int, path: str) -> bytes:
    """Return what the node on this machine answers, empty if it does not."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1.5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read(REPLY_BYTES)
    except (OSError, HTTPException):
        return b""
    finally:
        connection.close()
