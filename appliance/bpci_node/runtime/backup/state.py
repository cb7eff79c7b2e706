"""What is remembered of backups and drills on this machine, and its figures for the monitoring.

Both files are replaced whole. What can't be read of the memory counts as never having happened: nothing but the
figures depends on it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bpci_node.errors import BpciError, FormatError, StorageError
from bpci_node.primitives.json_text import read_json
from bpci_node.store.durable_file import replace_file

STATE = "/var/lib/bpci/backup/state.json"
METRICS = "/var/lib/prometheus/node-exporter/bpci_backup.prom"
MAX_BYTES = 64 * 1024
_DAMAGE = (
    "backup.bundle", "backup.content", "backup.damaged", "backup.database", "backup.ledger", "backup.manifest",
    "chain.", "format.", "proof.", "storage.block", "storage.damaged", "storage.state_root",
)  # fmt: skip
"""Codes, or their beginnings, of a drill that has looked at a backup and found it wanting."""


@dataclass(slots=True)
class Memory:
    """The last of each kind of work, and what failed since."""

    backup: dict[str, Any] | None = None
    """``time_ms``, ``snapshot``, ``height``, ``state_root``, ``added_bytes``, ``total_bytes``."""
    drill: dict[str, Any] | None = None
    """``time_ms``, ``snapshot``, ``height``, ``state_root``, ``blocks``, ``bundles``."""
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By kind of work (``backup``, ``drill``, ``prune``): ``time_ms``, ``code``, ``message`` of the last try, while
    none has succeeded since."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"v": 1, "backup": self.backup, "drill": self.drill, "failures": self.failures}

    @property
    def is_damaged(self) -> bool:
        """Whether the last drill could tell that a backup does not hold, and none has held since."""
        failure = self.failures.get("drill")
        return failure is not None and str(failure.get("code")).startswith(_DAMAGE)

    def failed(self, kind: str, error: BpciError, now_ms: int) -> None:
        """Note that work of this kind failed."""
        self.failures[kind] = {"time_ms": now_ms, "code": error.code, "message": error.message}


def load(root: Path) -> Memory:
    """Return what is remembered on the machine below ``root``."""
    try:
        with (root / STATE.lstrip("/")).open("rb") as file:
            value = read_json(file.read(MAX_BYTES + 1), max_bytes=MAX_BYTES)
        backup, drill = value["backup"], value["drill"]
        if not all(item is None or type(item["time_ms"]) is int for item in (backup, drill)):
            return Memory()
        return Memory(backup, drill, dict(value["failures"]))
    except (OSError, FormatError, KeyError, TypeError, ValueError):
        return Memory()


def save(root: Path, memory: Memory) -> None:
    """Remember, and write the figures where a monitoring collects them.

    Raises:
        StorageError: the disk is full or failed (``storage.write``).
    """
    path = root / STATE.lstrip("/")
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        replace_file(path, (json.dumps(memory.as_json(), indent=1) + "\n").encode(), mode=0o640)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", code="storage.write") from error
    metrics = root / METRICS.lstrip("/")
    # A machine without monitoring has no such directory; one whose disk is full is alarmed by other figures.
    with suppress(OSError):
        if metrics.parent.is_dir():
            replace_file(metrics, figures(memory).encode(), mode=0o644)


def figures(memory: Memory) -> str:
    """Return the figures in Prometheus' text form; one that never was is 0."""
    success = memory.backup["time_ms"] // 1000 if memory.backup else 0
    drill = memory.drill["time_ms"] // 1000 if memory.drill else 0
    rows = (
        ("last_success_timestamp_seconds", "When the last backup was made, Unix seconds; 0: never.", success),
        ("last_drill_timestamp_seconds", "When a backup was last restored and proved; 0: never.", drill),
        ("failed", "1 while the last backup, drill or thinning-out failed.", int(bool(memory.failures))),
    )
    return "".join(
        f"# HELP bpci_backup_{n} {h}\n# TYPE bpci_backup_{n} gauge\nbpci_backup_{n} {v}\n" for n, h, v in rows
    )
