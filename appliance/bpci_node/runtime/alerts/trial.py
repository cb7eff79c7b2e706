"""A test alert, sent the whole way: through Alertmanager and the relay to each receiver, whose answer is awaited."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bpci_node.errors import NotFoundError
from bpci_node.network.alertmanager import Alertmanager
from bpci_node.runtime.alerts import records
from bpci_node.runtime.alerts.config import DeadMan
from bpci_node.runtime.alerts.rendering import TEST_ALERT

_KINDS = ("mail:", "webhook:", "ntfy:", f"{DeadMan.kind}:")
_STEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the test at one receiver."""

    receiver: str
    reason: str | None
    """Why it was not taken; ``None`` if it was."""


def known(names: Sequence[str]) -> list[str]:
    """Return those of Alertmanager's receivers that stand for somebody who is told."""
    return [name for name in names if name.startswith(_KINDS)]


def choose(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the receivers that are meant: all that people read, or those named.

    Raises:
        NotFoundError: nobody is told, or there is none of this name (``not_found.receiver``).
    """
    found = known(names)
    for name in wanted:
        if name not in found:
            raise NotFoundError(
                f"there is no receiver {name!r}",
                code="not_found.receiver",
                hint=f"There are: {', '.join(found) or 'none'}. See 'bpci alerts receivers'.",
            )
    chosen = list(dict.fromkeys(wanted)) or [name for name in found if not name.startswith(DeadMan.kind)]
    if not chosen:
        raise NotFoundError(
            "nobody is told of alerts",
            code="not_found.receiver",
            hint="Write /etc/bpci/alerts.toml, then run 'sudo bpci alerts apply' (docs/monitoring.md).",
        )
    return chosen


def run(
    manager: Alertmanager,
    receivers: Sequence[str],
    timeout_seconds: float,
    on_wait: Callable[[list[str]], None],
    directory: Path = records.DIRECTORY,
) -> list[Outcome]:
    """Send one test to each of ``receivers`` and wait for what became of it.

    Args:
        timeout_seconds: how long to wait for all of them.
        on_wait: told who is still waited for.
        directory: of the relay's records.
    Raises:
        UnreachableError: Alertmanager does not answer (``unreachable.alertmanager``).
    """
    test_id = secrets.token_hex(8)
    now = datetime.now(UTC)
    ends = now + timedelta(seconds=timeout_seconds + 30)
    annotations = {
        "summary": "this is a test; nothing is wrong",
        "description": "whoever reads this is told when something is",
        "action": "Nothing.",
    }
    manager.post_alerts(
        [
            {
                "labels": {"alertname": TEST_ALERT, "severity": "info", "receiver": name, "test_id": test_id},
                "annotations": annotations,
                "startsAt": now.isoformat(),
                "endsAt": ends.isoformat(),
            }
            for name in receivers
        ]
    )
    deadline = time.monotonic() + timeout_seconds
    outcomes: dict[str, str | None] = {}
    while True:
        for name in receivers:
            record = records.read(directory, name)
            if record.test_id == test_id:
                outcomes[name] = record.test_reason
        waiting = [name for name in receivers if name not in outcomes]
        if not waiting or time.monotonic() > deadline:
            break
        on_wait(waiting)
        time.sleep(_STEP_SECONDS)
    silent = (
        "Alertmanager did not hand it to the relay in time; see 'journalctl -u bpci-alertmanager -u bpci-alert-relay@*'"
    )
    return [Outcome(name, outcomes.get(name, silent)) for name in receivers]
