"""A devnet of several nodes: real processes, one of them killed, ports that are held, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.network.client import NodeClient
from bpci_node.primitives.keys import LocalSigner

Run = Callable[..., subprocess.CompletedProcess[str]]


def free_ports(count: int) -> int:
    """Return the first of so many neighbouring ports that are free now."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            base = int(first.getsockname()[1])
            try:
                for offset in range(1, count):
                    stack.enter_context(socket.create_server(("127.0.0.1", base + offset)))
            except OSError:
                continue
            return base


def data_of(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path, bpci: Run) -> Iterator[Path]:
    yield tmp_path / "devnet"
    bpci("devnet", "down", "--dir", tmp_path / "devnet")


def test_three_nodes_are_in_step_and_one_that_is_killed_comes_back(home: Path, bpci: Run) -> None:
    base = free_ports(5)
    ports = ["--port", base, "--dashboard-port", base + 3, "--faucet-port", base + 4]
    up = data_of(bpci("devnet", "up", "--dir", home, "--nodes", 3, *ports, "--json"))
    assert [node["url"] for node in up["nodes"]] == [f"http://127.0.0.1:{base + number}" for number in range(3)]
    assert all(node["in_step"] and node["ready"] for node in up["nodes"])
    with NodeClient(up["url"]) as client:
        names = {node["account"] for node in client.nodes()["nodes"]}
        assert names == {node["node"]["account"] for node in up["nodes"]}
        balance = client.ledger.balances(up["developer_account"])
    assert balance == {"BPI": str(1_000_000 * 10**8)}
    key = LocalSigner((home / "developer.key").read_bytes())
    assert account_id_of(key.public_key) == up["developer_account"]
    assert (home / "developer.key").stat().st_mode & 0o777 == 0o600
    page = httpx.get(up["dashboard_url"], headers={"accept": "text/html"})
    assert page.status_code == 200
    assert up["ledger"]["id"] in page.text
    assert httpx.get(up["faucet_url"]).headers["location"] == "/faucet"
    assert httpx.get(up["faucet_url"] + "faucet", headers={"accept": "text/html"}).status_code == 200
    granted = data_of(bpci("faucet", "request", up["developer_account"], "--dir", home, "--json"))
    assert int(granted["amount"]) == 1_500 * 10**8

    # Every node says by itself that it lives, and the list shows it.
    end = time.monotonic() + 60
    while {node["liveness"] for node in data_of(bpci("node", "list", "--dir", home, "--json"))} != {"live"}:
        assert time.monotonic() < end
        time.sleep(0.5)
    assert "active, live" in bpci("node", "list", "--dir", home).stdout

    for killed in (2, 1):
        os.kill(up["nodes"][killed - 1]["pid"], signal.SIGKILL)
        _await_end(up["nodes"][killed - 1]["pid"])
        status = bpci("devnet", "status", "--dir", home, "--json")
        assert status.returncode == 1
        assert [node["running"] for node in json.loads(status.stdout)["nodes"]] == [
            number != killed for number in (1, 2, 3)
        ]
        again = data_of(bpci("devnet", "up", "--dir", home, "--json"))
        pids = [(before["pid"], after["pid"]) for before, after in zip(up["nodes"], again["nodes"], strict=True)]
        assert [before == after for before, after in pids] == [number != killed for number in (1, 2, 3)]
        assert all(node["in_step"] for node in again["nodes"])
        up = again

    fewer = bpci("devnet", "up", "--dir", home, "--nodes", 2, "--json")
    assert (fewer.returncode, json.loads(fewer.stderr)["code"]) == (2, "devnet.nodes")
    assert data_of(bpci("devnet", "down", "--dir", home, "--json"))["was_running"]
    for node in up["nodes"]:
        _await_end(node["pid"])
    assert data_of(bpci("devnet", "reset", "--dir", home, "--yes", "--json"))["removed"]
    assert not home.exists()


def test_a_start_that_fails_names_who_is_in_the_way_and_leaves_nothing(home: Path, bpci: Run) -> None:
    base = free_ports(2)
    with socket.create_server(("127.0.0.1", base + 1)):
        failed = bpci("devnet", "up", "--dir", home, "--nodes", 2, "--port", base, "--json")
    problem = json.loads(failed.stderr)
    assert (failed.returncode, problem["code"]) == (1, "devnet.port")
    assert f"(pid {os.getpid()})" in problem["title"]
    assert not home.exists()


def test_a_node_that_cannot_be_added_leaves_the_devnet_as_it_was(home: Path, bpci: Run) -> None:
    base = free_ports(2)
    up = data_of(bpci("devnet", "up", "--dir", home, "--port", base, "--json"))
    # What a follower needs of the devnet is spoilt, so that its process ends at once.
    network = (home / "network.json").read_bytes()
    (home / "network.json").write_text("{}")
    failed = bpci("devnet", "up", "--dir", home, "--nodes", 2, "--json")
    assert (failed.returncode, json.loads(failed.stderr)["code"]) == (1, "devnet.start")
    assert not (home / "node-2").exists()
    (home / "network.json").write_bytes(network)
    status = data_of(bpci("devnet", "status", "--dir", home, "--json"))
    assert [node["pid"] for node in status["nodes"]] == [up["pid"]]


def test_only_a_devnet_is_removed(tmp_path: Path, home: Path, bpci: Run) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    refused = bpci("devnet", "reset", "--dir", tmp_path / "mine", "--yes", "--json")
    assert (refused.returncode, json.loads(refused.stderr)["code"]) == (2, "devnet.none")
    data_of(bpci("devnet", "up", "--dir", home, "--port", free_ports(1), "--json"))
    (home / "letter.txt").write_text("dear")
    asked = bpci("devnet", "reset", "--dir", home, input="n\n")
    assert asked.returncode == 130
    assert data_of(bpci("devnet", "status", "--dir", home, "--json"))["ready"]
    data_of(bpci("devnet", "reset", "--dir", home, "--yes", "--json"))
    assert [path.name for path in home.iterdir()] == ["letter.txt"]


def _await_end(pid: int) -> None:
    while Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        time.sleep(0.01)
