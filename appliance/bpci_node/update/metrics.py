"""Numbers of updates for node_exporter's text files."""

from __future__ import annotations

import os
from pathlib import Path

from bpci_node.store.durable_file import replace_file
from bpci_node.update.records import Records
from bpci_node.update.settings import Settings

FILE_NAME = "bpci_update.prom"
REBOOT_MARK = Path("/run/reboot-required")
"""Written by packages whose update takes a restart. Source: unattended-upgrades, README."""
FAILED = ("not_installed", "rolled_back", "interrupted", "kept")


def write_metrics(settings: Settings, *, pending: int | None = None) -> None:
    """Write the numbers, if node_exporter's directory is there and may be written.

    Args:
        pending: packages with security updates that wait; ``None`` keeps the number that stands there.
    """
    if not settings.metrics.is_dir() or not os.access(settings.metrics, os.W_OK):
        return
    path = settings.metrics / FILE_NAME
    history = [item for item in Records(settings.state).history() if item.get("kind") == "update"]
    is_failed = bool(history) and history[-1].get("outcome") in FAILED
    values = {
        "bpci_update_pending": _former(path, "bpci_update_pending") if pending is None else pending,
        "bpci_update_failed": int(is_failed),
        "bpci_reboot_required": int(REBOOT_MARK.exists()),
    }
    helps = {
        "bpci_update_pending": "Packages with security updates that wait to be installed.",
        "bpci_update_failed": "1 if the last update of the node did not succeed.",
        "bpci_reboot_required": "1 if an update takes effect only after a restart of the machine.",
    }
    lines = [f"# HELP {name} {helps[name]}\n# TYPE {name} gauge\n{name} {value}\n" for name, value in values.items()]
    replace_file(path, "".join(lines).encode(), mode=0o644)


def _former(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
