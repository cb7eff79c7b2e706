"""``bpci alerts apply``: what the owner wrote becomes what Alertmanager and the relay read, or nothing changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bpci_node.errors import AccessError, HostError, StorageError
from bpci_node.runtime.alerts.config import AlertsConfig, load
from bpci_node.runtime.alerts.rendering import alertmanager_config, relay_config
from bpci_node.store.durable_file import replace_file

SOURCE = Path("/etc/bpci/alerts.toml")
RENDERED = Path("/etc/bpci/alerts")
"""Directory of what is made from it."""
ALERTMANAGER_FILE = "alertmanager.yml"
RELAY_FILE = "relay.json"
GROUP = "bpci-alert"
"""Whose members may read Alertmanager's configuration."""
UNIT = "bpci-alertmanager.service"
_SECONDS = 60


def apply(source: Path = SOURCE, directory: Path = RENDERED) -> AlertsConfig:
    """Put the configuration at ``source`` in force.

    Raises:
        AccessError: not root (``access.root``).
        UsageError: as :func:`~bpci_node.runtime.alerts.config.load`.
        HostError: Alertmanager's own check refuses it, or it is not installed (``host.alertmanager``).
        StorageError: it can't be written (``storage.write``).
    """
    if os.geteuid() != 0:
        raise AccessError("only root can change who is told", code="access.root", hint="Run it with sudo.")
    config = load(source)
    rendered = alertmanager_config(config)
    check(rendered)
    try:
        directory.mkdir(mode=0o755, exist_ok=True)
        # The relay first: Alertmanager never names a receiver that the relay does not know.
        replace_file(directory / RELAY_FILE, relay_config(config), mode=0o600)
        replace_file(directory / ALERTMANAGER_FILE, rendered, mode=0o640)
        shutil.chown(directory / ALERTMANAGER_FILE, group=GROUP)
    except (OSError, LookupError) as error:
        reason = getattr(error, "strerror", None) or f"there is no group {GROUP}"
        raise StorageError(f"cannot write to {directory}: {reason}", code="storage.write") from error
    _reload()
    return config


def check(rendered: bytes) -> None:
    """Let Alertmanager's own tool judge a configuration.

    Raises:
        HostError: it refuses, or it is not installed (``host.alertmanager``).
    """
    with tempfile.NamedTemporaryFile(prefix="bpci-alerts-", suffix=".yml") as file:
        file.write(rendered)
        file.flush()
        status, said = _run(["amtool", "check-config", file.name])
    if status != 0:
        raise HostError(
            f"Alertmanager refuses the configuration: {said[-500:]}",
            code="host.alertmanager",
            hint="What was in force still is. Report it, with /etc/bpci/alerts.toml without its addresses.",
        )


def _reload() -> None:
    """Let a running Alertmanager read its configuration again; one that does not run reads it when it starts."""
    status, said = _run(["systemctl", "try-reload-or-restart", UNIT])
    if status != 0:
        raise HostError(
            f"Alertmanager did not take the new configuration: {said[-500:]}",
            code="host.alertmanager",
            hint=f"See 'journalctl -u {UNIT}'.",
        )


def _run(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS, check=False, text=True
        )
    except FileNotFoundError:
        return 127, f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} did not end in {_SECONDS} s"
    return done.returncode, done.stdout.strip()
