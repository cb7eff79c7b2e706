import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bpci_node.host.kernel_clock import KernelClock
from bpci_node.runtime.config import (
    ApiSection,
    KeysSection,
    LedgerSection,
    NodeConfig,
    NodeSection,
    OwnerSection,
    TargetSection,
)
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.setup.system import Finished, System, run_command


def key_file(path: Path) -> str:
    path.write_bytes(os.urandom(32))
    path.chmod(0o600)
    return f"file:{path}"


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return NodeConfig(
        state_dir=tmp_path / "state",
        node=NodeSection("patient"),
        api=ApiSection("127.0.0.1", 0),
        owner=OwnerSection(tmp_path / "owner.sock", ""),
        ledger=LedgerSection("embedded", "testnet", heartbeat_seconds=0),
        keys=KeysSection(key_file(tmp_path / "node.key"), key_file(tmp_path / "registry.key")),
        targets=(TargetSection("eip155:1", 45_000_000, 10_000_000),),
    )


@pytest.fixture
def patient(config: NodeConfig) -> Callable[..., Patient]:
    def make(**changes: object) -> Patient:
        values: dict[str, object] = {
            "system": System(),
            "config": config,
            "status": None,
            "pid": None,
            "kernel_clock": lambda: KernelClock(synchronized=True, max_error_us=1),
        }
        return Patient(**(values | changes))  # type: ignore[arg-type]

    return make


class Commands:
    """Commands of a service manager that does not run here: what systemd 252 prints, and what was asked of it."""

    def __init__(self, answers: dict[str, Finished]) -> None:
        self.answers, self.calls = answers, list[str]()

    def __call__(self, argv: Sequence[str], stdin: bytes) -> Finished:
        line = " ".join(argv)
        self.calls.append(line)
        for beginning, answer in self.answers.items():
            if line.startswith(beginning):
                return answer
        return Finished(0, b"", "") if argv[0] in ("systemctl", "chronyc") else run_command(argv, stdin)


def in_mount_namespace(script: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run shell lines that mount, and then Python, where nobody else sees the mounts."""
    appliance = Path(__file__).parents[4] / "appliance"
    whole = f"set -e\n{script}\nexec {sys.executable} - <<'PYTHON'\n{code}\nPYTHON\n"
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", whole],
        env={**os.environ, "PYTHONPATH": str(appliance)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def may_mount() -> bool:
    return os.geteuid() == 0 and in_mount_namespace("mount -t tmpfs none /mnt", "pass").returncode == 0
