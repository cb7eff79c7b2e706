"""Sealing: whether bundles can be sealed, and whether a validator's auctions go on.

No repair: where a sign guard is ahead of the data, the data was restored, and only a higher instance of the identity
may go on (docs/spec/journal.md). A guard is never set back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.auction.bundle import Bundle
from bpci_node.host.result import Verdict
from bpci_node.network.client import NodeClient
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import ANSWER_SECONDS, Patient, own_url
from bpci_node.runtime.sealing import bundle_guard
from bpci_node.store import journal, wal
from bpci_node.store.database import FILE_NAME, open_reader, translated

LONG_MS = 3_600_000
"""How long entries may wait on a node that has sealed before."""
STEP_SECONDS = 2.0
"""Between two looks at the auctions: every class passes a boundary in that time."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Where the sealing of one target stands."""

    target: str
    waiting: int
    """Entries that wait."""
    stored: int | None
    """Sequence of the last bundle that is stored; ``None`` if that was not looked at."""
    guarded: int
    """Sequence of the last bundle that was signed."""
    last_ms: int | None = None
    """When the last bundle was sealed, ``None`` before the first, or if that was not looked at."""


def judge(found: Sequence[Sealed], now_ms: int) -> tuple[Issue, ...]:
    """Return what is wrong with the sealing of bundles."""
    issues = []
    for item in found:
        if item.stored is not None and item.guarded > item.stored:
            issues.append(
                Issue(
                    "sealing.restored",
                    Verdict.FAIL,
                    item.target,
                    f"bundle {item.guarded} of {item.target} was signed, and the last one here is {item.stored}",
                    "the data was restored or repaired; sealing now could contradict a bundle that others hold, so the"
                    " node does not start",
                    "Begin with a new state directory under a higher instance number (docs/spec/journal.md).",
                )
            )
        elif item.waiting and item.last_ms is not None and now_ms - item.last_ms > LONG_MS:
            hours = (now_ms - item.last_ms) // 3_600_000
            issues.append(
                Issue(
                    "sealing.idle",
                    Verdict.WARN,
                    item.target,
                    f"{item.waiting} entries of {item.target} wait, and the last bundle was sealed {hours} hours ago",
                    "whoever sent them pays for nothing, and waits",
                    "Seal one with 'sudo bpci mempool seal --out FILE', or see what keeps your own schedule from it.",
                )
            )
    return tuple(issues)


def judge_auction(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[Issue, ...]:
    """Return what is wrong with a validator's auctions, seen twice :data:`STEP_SECONDS` apart.

    Args:
        before: what the node says of them, ``None`` when it serves in none.
        after: the same, later.
    """
    if after is None:
        return (
            Issue(
                "sealing.no_auction",
                Verdict.FAIL,
                "",
                "the node has a validator's keys and serves in no auction",
                "its seats stay empty, which costs it what they would have earned",
                "See 'bpci validator show' and the node's log.",
            ),
        )
    if before is None or not before["epochs"] or not after["epochs"] or after["boundaries"] > before["boundaries"]:
        return ()
    return (
        Issue(
            "sealing.stalled",
            Verdict.FAIL,
            "",
            "the node has a seat in an auction, and its windows do not go on",
            "what others bid is not sealed by this node",
            "See 'bpci doctor clock', then restart the node; its journal brings it back to where it was.",
        ),
    )


def _examine(patient: Patient) -> Findings:
    config = patient.require_config()
    running = patient.pid is not None
    found = _ask(patient, config) if running else [_at_rest(config, target.id) for target in config.targets]
    issues = list(judge(found, patient.time_ms()))
    if running and config.validator is not None and "auction" in patient.require_status():
        issues += judge_auction(*_twice(patient, config))
    waiting = sum(item.waiting for item in found)
    return Findings(f"{waiting} entries wait" if running else "as last stored", tuple(issues))


def _at_rest(config: NodeConfig, target: str) -> Sealed:
    """Compare a guard with what is stored while no node runs."""
    remembered = bundle_guard(config.state_dir / "guard", target).last()
    path = config.state_dir / FILE_NAME
    last = None
    if path.exists():
        reader = open_reader(path, is_alone=not wal.scan(path).last)
        try:
            with translated(path):
                last = journal.last_bundle(journal.InJob(reader), target)
        finally:
            reader.close()
    return Sealed(target, 0, last[0] if last else 0, remembered[0] if remembered else 0)


def _ask(patient: Patient, config: NodeConfig) -> list[Sealed]:
    """Ask a running node when its last bundles were sealed, where entries wait."""
    status, url, found = patient.require_status(), own_url(config), []
    sealed = status.get("sealed", {})
    for name, target in status["targets"].items():
        last_ms, sequence = None, int(sealed.get(name, 0))
        if url is not None and target["count"] and sequence:
            with NodeClient(url, timeout_seconds=ANSWER_SECONDS) as client:
                last_ms = Bundle.decode(client.bundle(name, sequence)).header.time_ms
        found.append(Sealed(name, target["count"], None, sequence, last_ms))
    return found


def _twice(patient: Patient, config: NodeConfig) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    before = patient.require_status()["auction"]
    time.sleep(STEP_SECONDS)
    with NodeClient(config.owner.socket, timeout_seconds=ANSWER_SECONDS) as client:
        return before, client.owner_status().get("auction")


SEALING = Examination("sealing", "Sealing", _examine)
