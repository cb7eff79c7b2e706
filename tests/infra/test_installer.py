"""``installers/dev.sh`` on a clean Debian 12: a container whose first process is systemd, with this host's network."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.container import Container, base_root, booted, changed_copy

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

DEV = "/srv/bpci/installers/dev.sh"
CLEAN = ("systemd-sysv", "dbus", "iproute2", "ca-certificates", "openssh-server", "sudo")
PROBE = """python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:8545{path}").read().decode())'"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8545)) == 0:
            pytest.fail("port 8545 of this host is taken, and the container shares it: stop what listens there")
    with (
        changed_copy(base_root(*CLEAN)) as copy,
        booted(copy.root, log=tmp_path_factory.mktemp("console") / "console.log") as container,
    ):
        yield container


@pytest.fixture(scope="module")
def installed(machine: Container) -> dict[str, Any]:
    """What the installer said when it had made a node of the machine."""
    found: dict[str, Any] = json.loads(machine.run(f"{DEV} --json", seconds=1200))
    return found


def get(machine: Container, path: str) -> Any:
    return json.loads(machine.run(PROBE.replace("{path}", path)))


def test_a_dry_run_says_what_it_would_do_and_does_nothing(machine: Container) -> None:
    machine.run(f"{DEV} --dry-run")
    assert machine.run("ls -A /opt /var/cache/bpci-installer /var/log/bpci-installer.log 2>/dev/null", status=None) in (
        "",
        "/opt:\n",
    )


def test_a_wrong_option_is_a_wrong_call(machine: Container) -> None:
    machine.run(f"{DEV} --frobnicate", status=2)


def test_the_machine_is_a_registered_node(machine: Container, installed: dict[str, Any]) -> None:
    assert installed["changed"] > 10
    assert machine.run("systemctl is-active bpci-node.service").strip() == "active"
    assert machine.run("systemctl --failed --no-legend").strip() == ""
    status = get(machine, "/v1/status")
    assert status["node"]["registered"]
    assert status["node"]["did"] == installed["did"]
    assert status["ledger"]["id"] == installed["ledger"]
    machine.run(PROBE.replace("{path}", "/healthz"))


def test_the_node_is_confined_as_it_runs(machine: Container, installed: dict[str, Any]) -> None:
    machine.run("systemd-analyze security --threshold=20 bpci-node.service")
    assert machine.run("ps -o user= -p $(systemctl show -P MainPID bpci-node.service)").strip() == "bpci"


def test_the_confined_node_takes_real_transactions_and_seals_them(
    machine: Container, installed: dict[str, Any]
) -> None:
    """Recovering senders runs native code, which a service that may not write executable memory has to be able to."""
    machine.run("bpci mempool replay /usr/share/bpci/mainnet/*.json.gz --seal --out /root/bundle.cbor", seconds=400)
    machine.run(f"bpci bundle verify /root/bundle.cbor --signer {installed['did']}")


def test_the_log_holds_no_recovery_phrase(machine: Container, installed: dict[str, Any]) -> None:
    log = machine.run("cat /var/log/bpci-installer.log; journalctl --no-pager").lower()
    assert "==> " in log
    assert "recovery phrase, shown once" not in log


def test_the_installer_locks_nobody_out(machine: Container, installed: dict[str, Any]) -> None:
    before = machine.run("sshd -T 2>/dev/null | sort")
    machine.run(f"{DEV} --harden", status=1, seconds=600)
    assert machine.run("sshd -T 2>/dev/null | sort") == before
    assert "has an SSH key on this machine" in machine.run("cat /var/log/bpci-installer.log")


def test_a_second_run_changes_nothing(machine: Container, installed: dict[str, Any]) -> None:
    again = json.loads(machine.run(f"{DEV} --json", seconds=900))
    assert again == installed | {"changed": 0}


def test_removing_leaves_the_machine_as_it_was(machine: Container, installed: dict[str, Any]) -> None:
    machine.run(f"{DEV} --uninstall", status=2)  # there is no terminal to ask on
    assert get(machine, "/v1/status")["node"]["did"] == installed["did"]
    machine.run(f"{DEV} --uninstall --yes")
    left = machine.run("find /etc /opt /usr /var /home /run -xdev -iname '*bpci*' -not -path '/var/log/*'")
    assert left == ""
    assert machine.run("getent passwd bpci bpci-console owner; getent group bpci-owner", status=None) == ""
    assert machine.run("systemctl --failed --no-legend").strip() == ""
