"""What Alertmanager sends, and what a person reads of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json
from bpci_node.runtime.alerts.config import SEVERITIES

MAX_BYTES = 1 << 20
"""Longest notification that is read."""
MOST_SHOWN = 10
"""Alerts of one notification that are written out."""
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a notification."""

    is_firing: bool
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    """RFC 3339."""

    @property
    def severity(self) -> str:
        """One of :data:`SEVERITIES`; what names none counts as a warning."""
        found = self.labels.get("severity", "")
        return found if found in SEVERITIES else "warning"


@dataclass(frozen=True, slots=True)
class Message:
    """What a person reads."""

    title: str
    text: str
    severity: str
    """The most urgent of its alerts."""
    is_firing: bool
    """False once everything in it is over."""


def read_notification(data: bytes) -> tuple[Alert, ...]:
    """Return the alerts of a webhook's body.

    Raises:
        FormatError: not such a body (``format.alerts``).
    Source: Prometheus, "Alertmanager configuration", webhook_config, version 4 of the body.
    """
    try:
        value = read_json(data, max_bytes=MAX_BYTES, allow_fractions=True)
        is_known = value["version"] == "4"
        alerts = tuple(
            Alert(
                item["status"] == "firing",
                _texts(item["labels"]),
                _texts(item["annotations"]),
                str(item["startsAt"])[:40],
            )
            for item in value["alerts"]
        )
    except (FormatError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _foreign() from error
    if not alerts or not is_known:
        raise _foreign()
    return alerts


def compose(alerts: tuple[Alert, ...], host: str) -> Message:
    """Return what a person reads of these alerts.

    Args:
        alerts: at least one.
        host: name of this machine.
    """
    firing = [alert for alert in alerts if alert.is_firing]
    shown = firing or list(alerts)
    severity = max((alert.severity for alert in shown), key=SEVERITIES.index)
    state = severity.upper() if firing else "OVER"
    what = _summary(shown[0]) if len(shown) == 1 else f"{_summary(shown[0])}, and {len(shown) - 1} more"
    lines: list[str] = []
    for alert in sorted(alerts, key=lambda item: (not item.is_firing, -SEVERITIES.index(item.severity)))[:MOST_SHOWN]:
        lines += [*_lines(alert), ""]
    if len(alerts) > MOST_SHOWN:
        lines += [f"{len(alerts) - MOST_SHOWN} more are not shown; see 'bpci alerts list'.", ""]
    return Message(f"[{state}] {host}: {what}", "\n".join(lines).rstrip() + "\n", severity, bool(firing))


def _lines(alert: Alert) -> list[str]:
    head = alert.severity.upper() if alert.is_firing else "OVER"
    lines = [f"{head}: {_summary(alert)}"]
    if alert.is_firing:
        for name, label in (("description", "It means"), ("action", "Next")):
            if text := alert.annotations.get(name):
                lines.append(f"  {label}: {text}")
    return [*lines, f"  Since {alert.starts_at}, {alert.labels.get('alertname', 'unnamed')}"]


def _summary(alert: Alert) -> str:
    return alert.annotations.get("summary") or alert.labels.get("alertname", "an alert without a name")


def _foreign() -> FormatError:
    return FormatError("this is not a notification of Alertmanager", code="format.alerts")


def _texts(value: dict[str, Any]) -> dict[str, str]:
    """Return a map of texts, cut to a bounded length and without control characters."""
    return {
        name: "".join(char if char.isprintable() else " " for char in str(text)[:_MAX_TEXT])
        for name, text in value.items()
    }
