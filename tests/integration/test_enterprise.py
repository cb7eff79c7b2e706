"""A node that becomes an enterprise's validator with one command, as ``installers/core.sh`` gives it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_devnet import free_ports

Run = Callable[..., subprocess.CompletedProcess[str]]

STAKE = 5_000 * 10**8
"""Less than the faucet of a devnet gives to an enterprise's node."""
pytestmark = pytest.mark.real_time


def data_of(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path, bpci: Run) -> Iterator[Path]:
    yield tmp_path / "devnet"
    bpci("devnet", "down", "--dir", tmp_path / "devnet")


def test_one_command_takes_an_enterprise_s_node_to_a_validator_and_asks_for_its_authority(
    home: Path, bpci: Run
) -> None:
    base = free_ports(2)
    up = data_of(bpci("devnet", "up", "--dir", home, "--nodes", 2, "--port", base, "--json"))
    config = ("--config", home / "node-2" / "node.toml")
    init = ("enterprise", "init", "--bank", "First Bank", *config, "--json")

    wrong = bpci(*init, "--regulatory-approval", "sec,SEC !")
    assert json.loads(wrong.stderr)["code"] == "format.body"
    twice = bpci(*init, "--regulatory-approval", "sec,sec")
    assert json.loads(twice.stderr)["code"] == "format.body"

    # More than there is: it says what is missing, and what is done stays done.
    approved = (*init, "--regulatory-approval", "sec,cftc")
    short = bpci(*approved, "--stake", 10**17)
    assert (short.returncode, json.loads(short.stderr)["code"]) == (1, "miner.funds")
    assert int(json.loads(short.stderr)["details"]["short"]) > 0

    approved = (*approved, "--stake", STAKE)
    begun = data_of(bpci(*approved))
    assert begun["done"] == ["stake", "validator"]
    assert (begun["type"], begun["registered"], begun["validator"]) == ("bpci-enterprise", True, "active")
    assert (begun["staked"], begun["missing"]) == (str(STAKE), [])
    assert begun["asked_for"] == {"type": "bank", "name": "First Bank"}
    assert begun["authority"] is None
    again = data_of(bpci(*approved))
    assert (again["done"], again["staked"]) == ([], begun["staked"])

    # What the ledger's own node says of it.
    (node,) = data_of(bpci("registry", "list", "--validator", "--node", up["url"], "--json"))
    assert (node["account"], node["node_type"]) == (begun["account"], "bpci-enterprise")
    shown = data_of(bpci("authority", "show", begun["account"], "--node", up["url"], "--json"))
    assert shown["request"]["approvals"] == ["sec", "cftc"]
    ready = data_of(bpci("notary", "join-committee", *config, "--json"))
    assert ready["draws"]
