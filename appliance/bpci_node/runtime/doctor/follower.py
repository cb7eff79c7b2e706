"""Follower: whether a node keeps up with the ledger of its network, or has stopped at a difference.

No repair: a difference means that this program or the sequencer is wrong, and a program must not decide which of them
(ADR 0057).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bpci_node.host.result import Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import Patient

FAR_BLOCKS = 20
SILENT_MS = 600_000
"""How long nobody may have said how far the ledger is."""


def judge(ledger: Mapping[str, Any], now_ms: int, started_ms: int) -> tuple[Issue, ...]:
    """Return what is wrong with a node that follows a ledger.

    Args:
        ledger: what the node says of it.
        started_ms: when the node started, Unix milliseconds.
    """
    stopped = ledger["stopped"]
    if stopped is not None:
        return (
            Issue(
                "follower.stopped",
                Verdict.FAIL,
                "",
                f"the node stopped following its ledger: {stopped['title']}",
                "it does not take what it could not verify, and what it shows of the ledger stands still",
                "Compare with other followers and ask the operator;"
                " 'bpci network resume' lets it go on once it is known why.",
            ),
        )
    if ledger["mode"] == "embedded":
        return ()
    heard_ms = ledger.get("heard_ms")
    if now_ms - max(heard_ms or 0, started_ms) > SILENT_MS:
        return (
            Issue(
                "follower.silent",
                Verdict.FAIL,
                "",
                "nobody has said for ten minutes how far the ledger is",
                "this node may be behind without knowing it",
                "See 'bpci doctor registry'.",
            ),
        )
    if ledger["height"] is None:
        what = "the ledger is not here yet"
    elif (ledger["lag"] or 0) > FAR_BLOCKS:
        what = f"this node is {ledger['lag']} blocks behind its ledger"
    else:
        return ()
    means = "what it shows is old until it has caught up"
    return (Issue("follower.behind", Verdict.WARN, "", what, means, "Wait, and look whether the height rises."),)


def _examine(patient: Patient) -> Findings:
    status = patient.require_status()
    ledger, now_ms = status["ledger"], patient.time_ms()
    height = ledger["height"]
    text = "not here yet" if height is None else f"height {height}"
    if ledger["mode"] == "embedded":
        text += ", its own"
    return Findings(text, judge(ledger, now_ms, int(status.get("started_ms", now_ms))))


FOLLOWER = Examination("follower", "Ledger", _examine)
