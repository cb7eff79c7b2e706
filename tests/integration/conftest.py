"""Real node processes on loopback, and the real command line."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.ethereum import from_rpc_json
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import (
    ApiSection,
    KeysSection,
    LedgerSection,
    LimitsSection,
    NodeConfig,
    NodeSection,
    OwnerSection,
    TargetSection,
    dump,
)

ROOT = Path(__file__).parents[2]
MAINNET = sorted((ROOT / "data" / "mainnet").glob("*.json.gz"))
COMMAND = [sys.executable, "-m", "bpci_node.cli.main"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "appliance")}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@dataclass
class Running:
    """One node process."""

    home: Path
    config: NodeConfig
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.config.api.port}"

    @property
    def owner_socket(self) -> Path:
        return self.config.owner.socket

    @property
    def signer(self) -> LocalSigner:
        return LocalSigner((self.home / "node.key").read_bytes())

    def client(self, **options: Any) -> NodeClient:
        return NodeClient(self.url, **options)

    def owner(self) -> NodeClient:
        return NodeClient(self.owner_socket)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def log(self) -> str:
        return (self.home / "node.log").read_text()


def _config(
    home: Path,
    port: int,
    *,
    network_file: Path | None,
    state_dir: Path | None,
    limits: LimitsSection,
    ledger: LedgerSection | None,
) -> NodeConfig:
    home.mkdir(exist_ok=True)
    for name in ("node.key", "registry.key"):
        if not (home / name).exists():
            (home / name).write_bytes(os.urandom(32))
            (home / name).chmod(0o600)
    embedded = network_file is None
    return NodeConfig(
        state_dir=state_dir or home / "state",
        node=NodeSection(home.name, endpoints=(f"http://127.0.0.1:{port}",), capabilities=("auction",)),
        api=ApiSection("127.0.0.1", port),
        owner=OwnerSection(home / "owner.sock", ""),
        # No heartbeats by themselves, which make blocks: a test that wants them gives a ledger section of its own.
        ledger=ledger
        or (
            LedgerSection("embedded", "testnet", heartbeat_seconds=0)
            if embedded
            else LedgerSection("network", network_file=network_file, heartbeat_seconds=0)
        ),
        keys=KeysSection(f"file:{home / 'node.key'}", f"file:{home / 'registry.key'}" if embedded else None),
        targets=(TargetSection("eip155:1", 45_000_000, 10_000_000),),
        limits=limits,
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start a node process in ``tmp_path/name`` and wait until it is ready; the same name starts it again."""
    started: list[Running] = []
    ports: dict[str, int] = {}

    def launch(
        name: str = "a",
        *,
        network_file: Path | None = None,
        state_dir: Path | None = None,
        environment: dict[str, str] | None = None,
        limits: LimitsSection = LimitsSection(),  # noqa: B008 - frozen
        ledger: LedgerSection | None = None,
        adapt: Callable[[NodeConfig], NodeConfig] = lambda config: config,
    ) -> Running:
        home = tmp_path / name
        port = ports.setdefault(name, free_port())
        config = _config(home, port, network_file=network_file, state_dir=state_dir, limits=limits, ledger=ledger)
        config = adapt(config)
        (home / "node.toml").write_text(dump(config))
        with (home / "node.log").open("ab") as log:
            process = subprocess.Popen(
                [*COMMAND, "node", "run", "--config", str(home / "node.toml")],
                env=ENVIRONMENT | (environment or {}),
                stdout=log,
                stderr=log,
            )
        node = Running(home, config, process)
        started.append(node)
        with node.client() as client:
            for _ in range(4800):
                assert process.poll() is None, node.log()
                try:
                    client.status()
                except BpciError:
                    time.sleep(0.025)
                else:
                    return node
        raise AssertionError(node.log())

    yield launch
    for node in started:
        if node.process.poll() is None:
            node.kill()


@pytest.fixture
def bpci(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line; its home is the test's own directory."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = ENVIRONMENT | {"XDG_STATE_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path)}
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def raws() -> list[bytes]:
    """The repository's real transactions."""
    return [
        from_rpc_json(tx) for path in MAINNET for tx in json.loads(gzip.decompress(path.read_bytes()))["transactions"]
    ]


@pytest.fixture(scope="session")
def mainnet_files() -> list[Path]:
    """The files that they come from."""
    return MAINNET
