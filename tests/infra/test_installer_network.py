"""``installers/community.sh`` on a clean Debian 12, beside a registry's node on this host: joined, registered, removed.

The container shares this host's network, so that it reaches the registry as a machine in the same network would.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.infra.container import ROOT, Container, base_root, booted, changed_copy
from tests.infra.proxy import Proxy, proxy
from tests.infra.test_installer import CLEAN, get

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(2400)]

COMMUNITY, CORE = "/srv/bpci/installers/community.sh", "/srv/bpci/installers/core.sh"
BANK = "--bank 'First Bank' --regulatory-approval sec,cftc"
NAMED = "--network /root/network.json --name attic --profile dev"
PORTS = {8545: "the node", 443: "the web face", 9090: "Prometheus", 9093: "Alertmanager", 9100: "node_exporter"}


def bpci(*arguments: str | Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "bpci_node.cli.main", *map(str, arguments), "--json"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "appliance")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the node that makes the network's blocks."""
    home = tmp_path_factory.mktemp("registry") / "devnet"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    up = bpci("devnet", "up", "--dir", home, "--nodes", "1", "--port", port)
    yield up["url"]
    bpci("devnet", "down", "--dir", home)


@pytest.fixture(scope="module")
def forward() -> Iterator[Proxy]:
    with proxy() as running:
        yield running


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Iterator[Container]:
    for port, what in PORTS.items():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.fail(
                    f"port {port} of this host is taken, and {what} of the container needs it: stop what listens"
                )
    with (
        changed_copy(base_root(*CLEAN)) as copy,
        booted(copy.root, log=tmp_path_factory.mktemp("console") / "console.log") as container,
    ):
        network = bpci("network", "show", registry)
        (copy.root / "root" / "network.json").write_text(json.dumps(network))
        digest = network["genesis_hash"].removeprefix("0x")
        (copy.root / "root" / "other.json").write_text(json.dumps(network).replace(digest, digest[::-1]))
        yield container


def run_until(machine: Container, unit: str, options: str, reached: str) -> None:
    """Run the installer, with a narrow umask, and kill it and all that it has begun when a command succeeds."""
    machine.run("export -p >/root/environment; chmod 600 /root/environment")
    command = f". /root/environment; exec {COMMUNITY} {NAMED} {options}"
    machine.run(f"systemd-run --quiet --property=UMask=0077 --unit={unit} bash -c '{command}'")
    end = time.monotonic() + 1500
    while machine.run(f"{reached} >/dev/null 2>&1 && echo reached", status=None) == "":
        said = f"tail -n 40 /var/log/bpci-installer.log; journalctl --no-pager --unit={unit}"
        assert time.monotonic() < end, machine.run(said)
        assert machine.run(f"systemctl is-active {unit}", status=None).strip() == "active", machine.run(said)
        time.sleep(0.5)
    machine.run(f"systemctl kill --signal=KILL {unit}")
    machine.run(f"while systemctl is-active -q {unit}; do sleep 0.2; done; systemctl reset-failed {unit}")


@pytest.fixture(scope="module")
def interrupted(machine: Container, forward: Proxy) -> str:
    """A first run, through a proxy, was killed in the roles, a second in set-up; what was there of set-up between."""
    run_until(machine, "first", f"--http-proxy {forward.url}", "ls /usr/lib/systemd/system/bpci-services.target")
    found = machine.run("ls /var/lib/bpci/setup", status=None)
    run_until(machine, "second", "", "systemctl is-active bpci-node.service")
    return found


@pytest.fixture(scope="module")
def installed(machine: Container, interrupted: str) -> dict[str, Any]:
    """What the installer said when it had gone on to the end."""
    found: dict[str, Any] = json.loads(machine.run(f"{COMMUNITY} {NAMED} --json", seconds=1200))
    return found


def registered_at(registry: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{registry}/v1/registry/nodes", trust_env=False).json()["nodes"]
    return found


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--network",
        "--network /root/none.json",
        f"{NAMED} --profile large",
        f"{NAMED} --name 'a;b'",
        f"{NAMED} --dev",
        "--network 'http://a\"b'",
        f"{NAMED} --phrase-file /root",
    ],
    ids=["no network", "no value", "no file", "no profile", "no name", "no option", "no address", "no words"],
)
def test_a_wrong_option_is_a_wrong_call(machine: Container, options: str) -> None:
    machine.run(f"{COMMUNITY} {options}", status=2)


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--regulatory-approval sec",
        f"{BANK} --stake 1.5",
        f"{BANK} --stake 0",
        f"{BANK},S!",
        f"{BANK} --phrase-file /none",
    ],
    ids=["no bank", "no name", "no whole stake", "no stake", "no approval", "no phrase"],
)
def test_a_wrong_option_of_an_enterprise_is_a_wrong_call(machine: Container, options: str) -> None:
    machine.run(f"{CORE} {NAMED} {options}", status=2)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(machine: Container, registry: str) -> None:
    before = len(registered_at(registry))
    plan = machine.run(f"{COMMUNITY} {NAMED} --dry-run")
    assert "join the network and register a community node" in plan
    assert machine.run("ls -A /opt /var/cache/bpci-installer 2>/dev/null", status=None) in ("", "/opt:\n")
    assert len(registered_at(registry)) == before


def test_a_port_that_is_taken_is_named_before_anything_is_done(machine: Container) -> None:
    with socket.create_server(("127.0.0.1", 443)):
        machine.run(f"{COMMUNITY} {NAMED} --dry-run", status=1)


def test_a_run_that_was_killed_goes_on(
    machine: Container, interrupted: str, installed: dict[str, Any], registry: str
) -> None:
    assert interrupted == ""
    status = get(machine, "/v1/status")
    assert status["node"]["did"] == installed["did"]
    # The run that was killed in set-up had drawn keys already: they stay, and no second node is registered.
    (node,) = [item for item in registered_at(registry) if item["endpoints"] != [registry]]
    assert (node["did"], node["node_type"], node["status"]) == (installed["did"], "bpi-community", "active")
    assert status["ledger"]["id"] == installed["ledger"] == bpci("network", "show", registry)["ledger_id"]


def test_what_the_first_run_fetched_came_through_the_proxy(forward: Proxy, interrupted: str) -> None:
    assert interrupted == ""
    assert len(forward.hosts) >= 2  # of the distribution's packages and of Python's
    assert "127.0.0.1" not in forward.hosts


def test_a_certificate_authority_that_is_none_is_a_wrong_call(machine: Container, installed: dict[str, Any]) -> None:
    machine.run(f"{COMMUNITY} {NAMED} --ca /etc/hostname", status=2)


def test_a_node_of_one_network_joins_no_other(machine: Container, installed: dict[str, Any]) -> None:
    machine.run(f"{COMMUNITY} --network /root/other.json --profile dev", status=1)


def test_everything_beside_the_node_runs(machine: Container, installed: dict[str, Any]) -> None:
    units = "bpci-node bpci-nginx bpci-prometheus bpci-alertmanager bpci-node-exporter bpci-backup.timer"
    machine.run(f"systemctl is-active {units} bpci-update-window.timer")
    assert machine.run("systemctl --failed --no-legend").strip() == ""


def test_a_second_run_changes_nothing_but_what_makes_an_enterprise_of_it(
    machine: Container, installed: dict[str, Any], registry: str
) -> None:
    """The roles of both installers are the same, so each change is one of the five steps to a validator."""
    said = machine.run(f"{CORE} {BANK} --stake 1000000000 2>&1 >/dev/null; [ $? -eq 1 ]", seconds=900)
    assert re.search("error: the node is registered, but no validator yet: the node's account lacks [0-9]+", said), said
    (node,) = [item for item in registered_at(registry) if item["did"] == installed["did"]]
    assert node["node_type"] == "bpci-enterprise"
    again = json.loads(machine.run(f"{CORE} {BANK} --stake 5000 --json", seconds=900))
    assert again == installed | {"changed": 2}  # the stake and the validator; what came before was done
    asked = bpci("authority", "show", node["account"], "--node", registry)
    assert (asked["request"]["name"], asked["request"]["approvals"]) == ("First Bank", ["sec", "cftc"])
    (validator,) = bpci("registry", "list", "--validator", "--node", registry)
    assert validator["account"] == node["account"]
    assert json.loads(machine.run("bpci notary join-committee --json"))["draws"]


def test_removing_leaves_the_machine_as_it_was(machine: Container, installed: dict[str, Any]) -> None:
    machine.run(f"{COMMUNITY} --uninstall --yes")
    assert machine.run("find /etc /opt /usr /var /home /run -xdev -iname '*bpci*' -not -path '/var/log/*'") == ""
    accounts = "getent passwd owner; cut -d: -f1 /etc/passwd /etc/group | grep -E 'bpci|dockremap'"
    assert machine.run(accounts, status=None) == ""
    assert machine.run("systemctl --failed --no-legend").strip() == ""
    assert machine.run("ss -Hltn 'sport = 8545 or sport = 443 or sport = 9090'").strip() == ""
