"""Activation token: how long it lasts. A node renews it at half of its life, so one that is nearly over says more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpci_node.chain.activation_token import LIFETIME_MS
from bpci_node.host.result import Verdict
from bpci_node.runtime.doctor.guard import RENEWAL
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import Patient

SOON_MS = LIFETIME_MS // 3
"""A day: half a day after the node should have renewed it."""
HOUR_MS = 3_600_000


def judge(guard: Mapping[str, Any], now_ms: int) -> tuple[Issue, ...]:
    """Return an issue if the token is about to end; one that has ended, or is none, shows in the guard's state."""
    expires_ms = guard["expires_ms"]
    if expires_ms is None or expires_ms - now_ms > SOON_MS:
        return ()
    hours = max(expires_ms - now_ms, 0) // HOUR_MS
    reason = f" ({guard['failure']})" if guard.get("failure") else ""
    return (
        Issue(
            "token.ends",
            Verdict.FAIL if hours < 2 else Verdict.WARN,
            "",
            f"the activation token ends in {hours} hours, and could not be renewed so far{reason}",
            "after that the node signs nothing",
            "See 'bpci doctor registry clock', then run 'bpci registry token'.",
        ),
    )


def _examine(patient: Patient) -> Findings:
    guard, now_ms = patient.require_status()["guard"], patient.time_ms()
    expires_ms = guard["expires_ms"]
    text = "none that is good" if expires_ms is None else f"good for {max(expires_ms - now_ms, 0) // HOUR_MS} hours"
    return Findings(text, judge(guard, now_ms))


TOKEN = Examination("token", "Activation token", _examine, {"token.ends": RENEWAL})
