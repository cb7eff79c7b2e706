"""The faucet in a real process: the command line asks it, and what it remembers outlives a crash."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.network.faucet_client import FaucetClient
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.config import dump, load
from bpci_node.runtime.faucet_section import FaucetSection
from tests.integration.conftest import free_port


def wallet() -> str:
    return account_id_of(LocalSigner(os.urandom(32)).public_key)


@pytest.fixture
def faucet_node(start: Callable[..., Any]) -> Callable[[], Any]:
    section = FaucetSection(enabled=True, work_bits=8, grants_per_source=2)
    return lambda: start("a", adapt=lambda config: replace(config, faucet=section))


def test_who_was_given_something_is_remembered_over_a_crash(
    faucet_node: Callable[[], Any], bpci: Callable[..., Any], tmp_path: Path
) -> None:
    node = faucet_node()
    first, second, third = wallet(), wallet(), wallet()

    def ask(account: str, *options: str | Path) -> Any:
        return bpci("faucet", "request", account, "--node", node.url, "--json", *options)

    given = ask(first)
    assert given.returncode == 0, given.stderr
    assert json.loads(given.stdout)["amount"] == "150000000000"
    assert ask(second).returncode == 0
    codes = json.loads(bpci("faucet", "codes", "--count", "2", "--socket", node.owner_socket, "--json").stdout)["codes"]
    node.kill()
    node = faucet_node()

    def refused(account: str, *options: str | Path) -> str:
        done = ask(account, *options)
        assert done.returncode == 1
        return str(json.loads(done.stderr[done.stderr.index("{") :])["code"])

    assert refused(first) == "faucet.granted"
    assert refused(third) == "faucet.source_rate"
    for number, code in enumerate(codes):
        (tmp_path / f"code-{number}").write_text(code + "\n")
    assert ask(third, "--code-file", tmp_path / "code-0").returncode == 0
    assert refused(wallet(), "--code-file", tmp_path / "code-0") == "faucet.code"
    node.kill()
    node = faucet_node()
    assert refused(wallet(), "--code-file", tmp_path / "code-0") == "faucet.code"
    shown = bpci("faucet", "request", wallet(), "--node", node.url, "--code-file", tmp_path / "code-1")
    assert shown.stdout.startswith("1,500 BPI are bpa1")
    status = json.loads(bpci("faucet", "status", "--node", node.url, "--json").stdout)
    assert status["pool"] == str((500_000_000 - 4 * 1_500) * 10**8)
    with FaucetClient(node.url) as client:
        assert client.terms() == status


def test_a_node_without_a_faucet_says_so(start: Callable[..., Any], bpci: Callable[..., Any]) -> None:
    node = start("a")
    done = bpci("faucet", "status", "--node", node.url, "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["code"] == "faucet.closed"
    config = load(node.home / "node.toml")
    assert dump(replace(config, faucet=FaucetSection())) == dump(config)


def test_a_devnet_has_a_faucet_on_a_port_of_its_own(bpci: Callable[..., Any], tmp_path: Path) -> None:
    home = tmp_path / "devnet"
    ports = [free_port() for _ in range(3)]
    options = ("--port", ports[0], "--dashboard-port", ports[1], "--faucet-port", ports[2])
    up = bpci("devnet", "up", "--dir", home, *map(str, options), "--json")
    assert up.returncode == 0, up.stderr
    try:
        account = wallet()
        given = bpci("faucet", "request", account, "--dir", home, "--json")
        assert given.returncode == 0, given.stderr
        page = httpx.get(json.loads(up.stdout)["faucet_url"], follow_redirects=True, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "499,998,500 BPI" in page.text
    finally:
        assert bpci("devnet", "down", "--dir", home).returncode == 0
