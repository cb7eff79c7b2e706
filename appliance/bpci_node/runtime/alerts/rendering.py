"""What Alertmanager and the relay read, made from :class:`AlertsConfig`.

Alertmanager's configuration is written as JSON, which is YAML, so that no text of the owner's can change its structure.
It holds no secret: every notification goes to the relay on this machine, which alone knows addresses and passwords.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json
from bpci_node.runtime.alerts.config import (
    SEVERITIES,
    AlertsConfig,
    DeadMan,
    Mail,
    Ntfy,
    Receiver,
    Webhook,
    receiver_id,
)

RELAY_URL = "http://127.0.0.1:9095"
NOBODY: Final = "nobody"
"""The receiver of what nobody asked for."""
TEST_ALERT: Final = "BpciAlertTest"
"""Name of the alert that ``bpci alerts test`` posts; its label ``receiver`` says who shall get it."""
WATCHDOG: Final = "BpciWatchdog"
"""Name of the alert that always fires; it drives the dead man's switch."""
_MAX_BYTES = 1 << 20
_KINDS: Final = {kind.kind: kind for kind in (Mail, Webhook, Ntfy, DeadMan)}


def alertmanager_config(config: AlertsConfig) -> bytes:
    """Return Alertmanager's configuration.

    Source: Prometheus, "Alertmanager configuration", version 0.22 and later (matchers).
    """
    people = [item for item in config.receivers if not isinstance(item, DeadMan)]
    watchdog: dict[str, Any] = {"matchers": [f'alertname="{WATCHDOG}"'], "receiver": NOBODY}
    if config.dead_man is not None:
        every = f"{config.dead_man.every_minutes}m"
        watchdog |= {"receiver": receiver_id(config.dead_man), "group_wait": "0s"}
        # Whether it is time to say it again is looked at once in each group interval.
        watchdog |= {"group_interval": "30s", "repeat_interval": every}
    test: dict[str, Any] = {
        "matchers": [f'alertname="{TEST_ALERT}"'],
        "receiver": NOBODY,
        "group_by": ["alertname", "receiver", "test_id"],
        "group_wait": "0s",
        # Also how long one delivery may take, which is then tried again: a slow mail server gets it once.
        "group_interval": "2m",
        "routes": [
            {"matchers": [f'receiver="{receiver_id(item)}"'], "receiver": _test_name(item)} for item in config.receivers
        ],
    }
    routes = [watchdog, test]
    for item in people:
        wanted = "|".join(SEVERITIES[SEVERITIES.index(item.least) :])
        routes.append({"matchers": [f'severity=~"{wanted}"'], "receiver": receiver_id(item), "continue": True})
    receivers: list[dict[str, Any]] = [{"name": NOBODY}]
    for each in config.receivers:
        name = receiver_id(each)
        hook: dict[str, Any] = {
            "url": f"{RELAY_URL}/{name}",
            "send_resolved": not isinstance(each, DeadMan),
            "max_alerts": 50,
        }
        receivers.append({"name": name, "webhook_configs": [hook]})
        receivers.append({"name": _test_name(each), "webhook_configs": [hook | {"send_resolved": False}]})
    document = {
        "route": {
            "receiver": NOBODY,
            "group_by": ["alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": f"{config.repeat_hours}h",
            "routes": routes,
        },
        "inhibit_rules": [
            # A node that is down makes no progress either; a disk that is full is also nearly full.
            {
                "source_matchers": ['alertname="BpciNodeDown"'],
                "target_matchers": ['area="node"', 'alertname!="BpciNodeDown"'],
            },
            {
                "source_matchers": ['severity="critical"', 'area="disk"'],
                "target_matchers": ['severity=~"warning|info"', 'area="disk"'],
                "equal": ["mountpoint", "device"],
            },
            {
                "source_matchers": ['severity="critical"', 'area="certificate"'],
                "target_matchers": ['severity="warning"', 'area="certificate"'],
                "equal": ["name"],
            },
        ],
        "receivers": receivers,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def relay_config(config: AlertsConfig) -> bytes:
    """Return what the relay reads: every receiver with its secrets."""
    receivers = {receiver_id(item): {"kind": item.kind, **asdict(item)} for item in config.receivers}
    return json.dumps({"v": 1, "receivers": receivers}, indent=2).encode() + b"\n"


def read_relay_config(data: bytes) -> dict[str, Receiver]:
    """Return the receivers by their ids.

    Raises:
        FormatError: not what :func:`relay_config` writes (``format.alerts``).
    """
    try:
        value = read_json(data, max_bytes=_MAX_BYTES)
        is_known = value["v"] == 1
        found = {name: _receiver(fields) for name, fields in value["receivers"].items()}
    except (FormatError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable() from error
    if not is_known:
        raise _unreadable()
    return found


def _receiver(fields: dict[str, Any]) -> Receiver:
    kind: Any = _KINDS[fields.pop("kind")]
    receiver: Receiver = kind(**{key: tuple(item) if isinstance(item, list) else item for key, item in fields.items()})
    return receiver


def _unreadable() -> FormatError:
    return FormatError("the relay's list of receivers can't be read", code="format.alerts")


def _test_name(receiver: Receiver) -> str:
    return f"test/{receiver_id(receiver)}"
