"""The commands that a person types, against real processes."""

import json
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.keys import LocalSigner, derive_keys, did_of
from bpci_node.runtime.config import load

Run = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def data_of(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def devnet(tmp_path: Path, bpci: Run):
    home = tmp_path / "devnet"
    up = data_of(bpci("devnet", "up", "--dir", home, "--port", free_port(), "--json"))
    yield home, up
    bpci("devnet", "down", "--dir", home)


def test_a_devnet_replays_seals_and_verifies_the_real_blocks(
    devnet: tuple[Path, Any], bpci: Run, mainnet_files: list[Path], tmp_path: Path
) -> None:
    home, up = devnet
    bundle, receipts = tmp_path / "auction.bundle", tmp_path / "receipts.jsonl"
    replayed = data_of(
        bpci(
            "mempool",
            "replay",
            *mainnet_files,
            "--dir",
            home,
            "--seal",
            "--out",
            bundle,
            "--receipts",
            receipts,
            "--json",
        )
    )
    assert (replayed["transactions"], replayed["accepted"], replayed["refused"]) == (1167, 1167, {})
    assert replayed["sealed"]["sequence"] == 1
    assert replayed["sealed"]["gas_used"] <= 60_000_000
    network = home / "network.json"
    assert bpci("bundle", "verify", bundle, "--network", network).returncode == 0
    assert bpci("bundle", "verify", bundle, "--signer", up["node"]["did"]).returncode == 0
    assert bpci("bundle", "verify", bundle).returncode == 3
    altered = bytearray(bundle.read_bytes())
    altered[len(altered) // 2] ^= 1
    bundle.write_bytes(altered)
    assert bpci("bundle", "verify", bundle, "--network", network).returncode == 1

    checked = data_of(bpci("mempool", "check-receipts", receipts, "--dir", home, "--json"))
    assert (checked["receipts"], checked["broken"]) == (1167, [])
    assert checked["sealed"] == replayed["sealed"]["entries"]
    again = data_of(bpci("mempool", "replay", *mainnet_files, "--node", up["url"], "--json"))
    assert (again["accepted"], again["duplicates"]) == (0, 1167)
    assert "eip155:1" in bpci("mempool", "status", "--dir", home).stdout
    sealed = bpci("mempool", "seal", "--dir", home, "--out", tmp_path / "second", "--gas-limit", "1000000")
    assert "sequence:   2" in sealed.stdout, sealed.stdout


def test_receipts_that_are_not_honoured_are_named(
    devnet: tuple[Path, Any], bpci: Run, tmp_path: Path, mainnet_files: list[Path], start: Callable[..., Any]
) -> None:
    home, _ = devnet
    receipts = tmp_path / "receipts.jsonl"
    data_of(bpci("mempool", "replay", mainnet_files[0], "--dir", home, "--receipts", receipts, "--json"))
    other = start("other")
    foreign = bpci("mempool", "check-receipts", receipts, "--node", other.url)
    assert foreign.returncode == 1
    unknown = bpci(
        "mempool", "check-receipts", receipts, "--node", other.url, "--signer", did_of_devnet(home), "--json"
    )
    assert unknown.returncode == 1
    assert len(json.loads(unknown.stdout)["broken"]) == len(receipts.read_text().splitlines())


def is_running(pid: int) -> bool:
    """A zombie that nobody has reaped yet does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def did_of_devnet(home: Path) -> str:
    return did_of(LocalSigner((home / "node.key").read_bytes()).public_key)


def test_a_devnet_is_private_idempotent_and_keeps_its_identity(devnet: tuple[Path, Any], bpci: Run) -> None:
    home, up = devnet
    for name in ("phrase.txt", "node.key", "registry.key"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    keys = derive_keys((home / "phrase.txt").read_text().strip())
    assert did_of(LocalSigner(keys.node).public_key) == up["node"]["did"]
    assert up["node"]["registered"]
    again = data_of(bpci("devnet", "up", "--dir", home, "--json"))
    assert (again["pid"], again["url"]) == (up["pid"], up["url"])
    other_port = bpci("devnet", "up", "--dir", home, "--port", free_port())
    assert other_port.returncode == 2
    assert "already runs" in other_port.stderr
    assert data_of(bpci("devnet", "status", "--dir", home, "--json"))["ready"]
    assert bpci("node", "status", "--node", up["url"]).returncode == 0

    down = data_of(bpci("devnet", "down", "--dir", home, "--json"))
    assert down["was_running"]
    assert not is_running(up["pid"])
    assert not data_of(bpci("devnet", "down", "--dir", home, "--json"))["was_running"]
    assert bpci("devnet", "status", "--dir", home).returncode == 1
    back = data_of(bpci("devnet", "up", "--dir", home, "--json"))
    assert (back["node"]["did"], back["ledger"]["id"], back["url"]) == (
        up["node"]["did"],
        up["ledger"]["id"],
        up["url"],
    )
    assert load(home / "node.toml").api.listen == "127.0.0.1"


def test_a_taken_port_is_named_with_who_has_it(bpci: Run, tmp_path: Path, start: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bpci("devnet", "up", "--dir", tmp_path / "devnet", "--port", port)
        assert done.returncode == 1
        assert f"port {port} is taken by" in done.stderr
        assert str(os.getpid()) in done.stderr
        assert f"--port {port + 1}" in done.stderr
        node = start()
        node.stop()
        config = node.home / "node.toml"
        config.write_text(config.read_text().replace(str(node.config.api.port), str(port)))
        failed = bpci("node", "run", "--config", config)
        assert failed.returncode == 1
        assert f"port {port} on 127.0.0.1 is taken" in failed.stderr


def test_a_node_that_can_not_start_says_why(bpci: Run, start: Callable[..., Any]) -> None:
    node = start()
    config = node.home / "node.toml"
    second = bpci("node", "run", "--config", config)
    assert second.returncode == 1
    assert f"pid {node.process.pid}" in second.stderr
    node.stop()
    text = config.read_text()
    assert bpci("node", "run", "--config", config, "--check").returncode == 0
    config.write_text(text.replace('mode = "embedded"', 'mode = "sometimes"'))
    wrong = bpci("node", "run", "--config", config)
    assert wrong.returncode == 2
    assert "ledger.mode" in wrong.stderr
    config.write_text(text)
    (node.home / "node.key").chmod(0o644)
    open_key = bpci("node", "run", "--config", config)
    assert open_key.returncode == 2
    assert "0644" in open_key.stderr
    (node.home / "node.key").chmod(0o600)
    (node.home / "state" / "node.db").write_bytes(b"x" * 8192)
    damaged = bpci("node", "run", "--config", config)
    assert damaged.returncode == 1
    assert "damaged" in damaged.stderr
    assert "Traceback" not in damaged.stderr


CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"POST /owner/stop HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n")
sys.stdout.write(s.recv(65536).decode())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_the_owners_socket_is_refused_to_another_user(start: Callable[..., Any], tmp_path: Path) -> None:
    node = start()
    nobody = pwd.getpwnam("nobody")

    def connect() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-c", CONNECT, str(node.owner_socket)],
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    for path in (node.home, *node.home.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    assert "PermissionError" in connect().stderr
    node.owner_socket.chmod(0o666)
    answer = connect().stdout
    assert answer.startswith("HTTP/1.1 403 ")
    assert "access.owner" in answer
    assert node.process.poll() is None
    with node.owner() as owner:
        owner.stop()
    assert node.process.wait(60) == 0


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(start: Callable[..., Any], bpci: Run) -> None:
    node = start()
    node.kill()
    assert node.owner_socket.exists()
    node = start()
    with node.owner() as owner:
        assert owner.owner_status()["obstacles"] == []
    other = start("other")
    other.stop()
    config = other.home / "node.toml"
    config.write_text(config.read_text().replace(str(other.owner_socket), str(node.owner_socket)))
    failed = bpci("node", "run", "--config", config)
    assert failed.returncode == 1
    assert "another process listens" in failed.stderr


def test_a_node_with_no_one_there_is_a_plain_sentence(bpci: Run, tmp_path: Path) -> None:
    done = bpci("mempool", "seal", "--out", tmp_path / "x")
    assert done.returncode == 3
    assert "no socket" in done.stderr
    with NodeClient(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(BpciError):
        client.status()
