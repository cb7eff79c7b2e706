"""Whom the doctor looks at: the machine, the node's configuration, and what the node says of itself, if it answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpci_node.errors import BpciError
from bpci_node.host.result import CouldNotTellError
from bpci_node.setup.system import System

if TYPE_CHECKING:
    from bpci_node.host.kernel_clock import KernelClock
    from bpci_node.runtime.config import NodeConfig

ANSWER_SECONDS = 5.0
"""How long a node on this machine may take to say how it is."""
UNIT = "bpci-node.service"
MACHINE_STATE = Path("/var/lib/bpci/node")
"""Where the node keeps its state when the service manager runs it."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What one run of the doctor looks at."""

    system: System
    """The machine: files below its root, and its commands."""
    config: NodeConfig | None
    """The node's configuration; ``None`` when who looks may not read it."""
    status: Mapping[str, Any] | None
    """What the node says of itself; ``None`` when it does not answer."""
    pid: int | None
    """The process that holds the state directory, ``None`` for none."""
    kernel_clock: Callable[[], KernelClock] | None = None
    """Reads the kernel's clock; ``None`` where that is not permitted."""
    time_ms: Callable[[], int] = field(default=lambda: time.time_ns() // 1_000_000)
    """This machine's clock, Unix milliseconds."""

    def require_config(self) -> NodeConfig:
        """Return the configuration.

        Raises:
            CouldNotTellError: it can't be read from here.
        """
        if self.config is None:
            raise CouldNotTellError("the node's configuration is not readable here", "Run 'sudo bpci doctor'.")
        return self.config

    def require_status(self) -> Mapping[str, Any]:
        """Return what the node says of itself.

        Raises:
            CouldNotTellError: it does not answer.
        """
        if self.status is None:
            raise CouldNotTellError("the node does not answer", "See what 'bpci doctor node' says.")
        return self.status

    @property
    def is_machine_s_own(self) -> bool:
        """Whether the service manager of this machine looks after the node."""
        return (
            self.config is not None
            and self.config.state_dir == MACHINE_STATE
            and self.system.exists("/run/systemd/system")
        )


def find_patient(config: NodeConfig, system: System, kernel_clock: Callable[[], KernelClock] | None) -> Patient:
    """Return the node of ``config`` as it is now, asked over its owner's socket, else over its API."""
    from bpci_node.runtime.supervision import pid_of  # noqa: PLC0415 - brings psutil and an HTTP client, which the console does without

    return Patient(system, config, ask_status(config), pid_of(config.state_dir), kernel_clock)


def ask_status(config: NodeConfig) -> Mapping[str, Any] | None:
    """Return what the node of ``config`` says of itself, ``None`` when it does not answer."""
    from bpci_node.network.client import NodeClient  # noqa: PLC0415 - see find_patient

    try:
        with NodeClient(config.owner.socket, timeout_seconds=ANSWER_SECONDS) as client:
            return client.owner_status()
    except BpciError:
        pass
    url = own_url(config)
    if url is None:
        return None
    try:
        with NodeClient(url, timeout_seconds=ANSWER_SECONDS) as client:
            return client.status()
    except BpciError:
        return None


def own_url(config: NodeConfig) -> str | None:
    """Return the URL of the node's API as seen from this machine, ``None`` if its port is chosen at each start."""
    any_address = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared
    host = any_address.get(config.api.listen, config.api.listen)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{config.api.port}" if config.api.port else None


def is_root() -> bool:
    """Tell whether this process may change the machine."""
    return os.geteuid() == 0
