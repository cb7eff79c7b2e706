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
COMMUNITY = "/srv/bpci/installers/community.sh"
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


KEPT = "cat /etc/hosts /etc/default/keyboard; getent passwd ada; getent shadow ada; id -nG ada"
"""What belongs to whoever has the machine."""


@pytest.fixture(scope="module")
def before(machine: Container) -> str:
    """What an administrator has set up by then: a name with its domain, a keyboard, an account with keys alone."""
    machine.run("useradd --create-home ada; echo '127.0.1.1 clean.example.com clean' >>/etc/hosts")
    machine.run('printf \'XKBLAYOUT="us,ru"\\nXKBOPTIONS="ctrl:nocaps"\\n\' >/etc/default/keyboard')
    return machine.run(KEPT)


@pytest.fixture(scope="module")
def installed(machine: Container, before: str) -> dict[str, Any]:
    """What the installer said when it had made a node of the machine, called by sudo from ada's account."""
    found: dict[str, Any] = json.loads(machine.run(f"umask 077; SUDO_USER=ada {DEV} --json", seconds=1200))
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
    machine.run(f"{DEV} --http-proxy http://ada:word@192.0.2.1:3128", status=2)


def test_what_would_be_done_is_one_document_too(machine: Container) -> None:
    plan = json.loads(machine.run(f"{DEV} --dry-run --json"))
    assert (plan["v"], plan["release"]) == (1, "debian 12")
    assert "set up a node with a ledger of its own, on port 8545" in plan["plan"]


def test_a_port_that_is_taken_is_named_before_anything_is_done(machine: Container) -> None:
    with socket.create_server(("127.0.0.1", 8545)):
        machine.run(f"{DEV} --dry-run", status=1)


def test_a_password_in_another_form_is_not_overwritten(machine: Container) -> None:
    machine.run(
        "useradd old; echo 'old:$5$abcdefgh$ClL0F/Ou7pXxcTyMHVyv9QFjKRkjYIeW6UkWFVpXK/3' | chpasswd --encrypted"
    )
    machine.run(f"SUDO_USER=old {DEV} --dry-run", status=1)
    machine.run("userdel old")


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
    # With a key there is still the port that the firewall would close.
    machine.run("install -d -o ada ~ada/.ssh && echo ssh-ed25519 >~ada/.ssh/authorized_keys")
    machine.run("echo 'Port 2222' >/etc/ssh/sshd_config.d/port.conf")
    machine.run(f"{DEV} --harden", status=1, seconds=600)
    machine.run("rm -r ~ada/.ssh /etc/ssh/sshd_config.d/port.conf")
    assert "SSH listens on 2222" in machine.run("cat /var/log/bpci-installer.log")
    assert machine.run("sshd -T 2>/dev/null | sort") == before


def test_what_the_administrator_has_set_up_stays(machine: Container, before: str, installed: dict[str, Any]) -> None:
    assert machine.run("cat /etc/hosts /etc/default/keyboard") == before[: before.index("ada:")]
    assert "bpci-owner" in machine.run("id -nG ada").split()
    assert machine.run("getent passwd owner", status=None) == ""


def test_a_node_with_a_ledger_of_its_own_joins_no_network(machine: Container, installed: dict[str, Any]) -> None:
    machine.run(f"{COMMUNITY} --network http://192.0.2.20:8545", status=1)


def test_two_runs_do_not_meet(machine: Container, installed: dict[str, Any]) -> None:
    machine.run(f"flock /run/bpci-installer.lock {DEV}", status=1)


def test_a_second_run_changes_nothing(machine: Container, installed: dict[str, Any]) -> None:
    again = json.loads(machine.run(f"{DEV} --json", seconds=900))
    assert again == installed | {"changed": 0}


def test_a_mounted_disk_is_not_removed_with_the_node(machine: Container, installed: dict[str, Any]) -> None:
    disk = "/var/lib/bpci/disk"
    machine.run(f"mkdir {disk} && mount -t tmpfs tmpfs {disk} && touch {disk}/kept")
    machine.run(f"{DEV} --uninstall --yes", status=1)
    machine.run(f"ls {disk}/kept && umount {disk} && rmdir {disk}")
    assert get(machine, "/v1/status")["node"]["did"] == installed["did"]


def test_removing_leaves_the_machine_as_it_was(machine: Container, before: str, installed: dict[str, Any]) -> None:
    machine.run(f"{DEV} --uninstall", status=2)  # there is no terminal to ask on
    assert get(machine, "/v1/status")["node"]["did"] == installed["did"]
    machine.run("touch /usr/local/bin/bpci-of-mine; mkdir /opt/bpci-of-mine")
    removed = json.loads(machine.run(f"{DEV} --uninstall --yes --json"))
    assert removed["removed"] > 10
    machine.run("rm /usr/local/bin/bpci-of-mine; rmdir /opt/bpci-of-mine")
    left = machine.run("find /etc /opt /usr /var /home /run -xdev -iname '*bpci*' -not -path '/var/log/*'")
    assert left == ""
    assert machine.run("getent passwd bpci bpci-console owner; getent group bpci-owner", status=None) == ""
    assert machine.run(KEPT) == before
    assert machine.run("systemctl --failed --no-legend").strip() == ""
