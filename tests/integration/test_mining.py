"""A devnet with a validator, and a node that goes with one command from nothing to a seat, and back."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.chain.validators import load_validator
from bpci_node.network.client import NodeClient
from bpci_node.network.proved_state import ProvedState
from bpci_node.primitives.keys import new_phrase
from tests.integration.test_devnet import free_ports

pytestmark = pytest.mark.real_time

Run = Callable[..., subprocess.CompletedProcess[str]]


def data_of(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def wait_for(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.5)


@pytest.fixture
def home(tmp_path: Path, bpci: Run) -> Iterator[Path]:
    yield tmp_path / "devnet"
    bpci("devnet", "down", "--dir", tmp_path / "devnet")


def test_one_command_takes_a_node_to_a_seat_and_another_one_back(home: Path, bpci: Run, tmp_path: Path) -> None:
    base = free_ports(3)
    up = data_of(bpci("devnet", "up", "--dir", home, "--nodes", 3, "--validators", 1, "--port", base, "--json"))
    assert [node["number"] for node in up["nodes"]] == [1, 2, 3]
    assert up["auction"]["validators"] == 1
    for name in ("bls-key", "vrf-key", "ml-dsa-key"):
        assert (home / "node-2" / f"{name}.key").stat().st_mode & 0o777 == 0o600
        assert not (home / "node-3" / f"{name}.key").exists()

    mining = ("--config", home / "node-3" / "node.toml", "--json")
    before = data_of(bpci("miner", "status", *mining), status=1)
    assert (before["registered"], before["staked"], before["validator"], before["miner"]) == (True, "0", None, None)
    assert len(before["missing"]) == 4
    assert data_of(bpci("miner", "init", "--community", *mining), status=1)["missing"] == before["missing"]

    (tmp_path / "words").write_text(new_phrase(bytes(32)))
    foreign = bpci("miner", "init", "--auto-configure", "--phrase-file", tmp_path / "words", *mining)
    assert (foreign.returncode, json.loads(foreign.stderr)["code"]) == (2, "miner.phrase")
    assert not (home / "node-3" / "bls-key.key").exists()

    begun = data_of(bpci("miner", "init", "--community", "--auto-configure", "--pool", "river", *mining))
    assert begun["done"] == ["configuration", "stake", "validator", "miner", "capacity"]
    assert min(begun["capacity"]["mx_verkle_buckets"], begun["capacity"]["auction_windows_per_sec"]) >= 0
    assert (begun["missing"], begun["staked"], begun["pool"]) == ([], begun["least_stake"], "river")
    assert begun["waits_for"] == f"epoch {begun['counts_from']['epoch']}, from which its keys count"
    again = data_of(bpci("miner", "init", "--community", "--auto-configure", *mining))
    assert (again["done"], again["missing"]) == ([], [])
    (shown,) = httpx.get(f"{up['url']}/v1/registry/miners?pool=river", trust_env=False).json()["miners"]
    assert shown["capacity"] == begun["capacity"]
    with NodeClient(up["url"]) as client:
        network = client.network()
        record = load_validator(ProvedState(client, network.registry_key), begun["account"])
    assert record is not None
    assert record.status == "active"

    # Both validators have a seat as soon as their keys count, and the status of the devnet shows it.
    def committee() -> bool:
        found = data_of(bpci("devnet", "status", "--dir", home, "--json"))["auction"]
        return sorted(found["committee"]) == [2, 3] and found["targets"] == ["eip155:1"]

    wait_for(committee, "a committee of both")
    serving = data_of(bpci("miner", "status", *mining))
    assert serving["serves"]
    assert serving["epoch"] >= begun["counts_from"]["epoch"]
    assert data_of(bpci("miner", "earnings", *mining)) == {"account": begun["account"], "earned": []}

    ended = data_of(bpci("miner", "stop", "--yes", *mining))
    assert ended["done"] == ["validator", "miner", "configuration"]
    after = data_of(bpci("miner", "status", *mining), status=1)
    assert (after["validator"], after["miner"], after["serves"]) == ("exited", "retired", False)
    assert after["staked"] == begun["staked"]
    assert data_of(bpci("miner", "stop", "--yes", *mining))["done"] == []

    more = bpci("devnet", "up", "--dir", home, "--nodes", 3, "--validators", 3, "--json")
    assert (more.returncode, json.loads(more.stderr)["code"]) == (2, "devnet.validators")
