"""Backups on the appliance: units as shipped, a timer that fires, a drill that proves, figures for the monitoring."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import Owned
from tests.infra.container import Container, booted, changed_copy
from tests.infra.native import Play, in_root

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

OWNED = """v = 1
[machine]
hostname = "attic"
keymap = "us"
timezone = "UTC"
[network]
mode = "dhcp"
interface = ""
address = ""
gateway = ""
dns = []
[owner]
name = "ada"
password_hash = "!"
web_password_hash = "!"
ssh_keys = []
"""
PLACE = "/srv/backups/attic"
UNITS = ("bpci-backup", "bpci-backup-drill")
SOON = "[Timer]\nOnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\nPersistent=no\n"


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_valid_and_confined_to_an_exposure_of_two_at_most(play: Play, unit: str) -> None:
    in_root(play, "systemd-analyze", "verify", "--man=no", f"{unit}.service", f"{unit}.timer")
    in_root(play, "systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", f"{unit}.service")
    assert in_root(play, "systemctl", "is-enabled", f"{unit}.timer").strip() == "enabled"
    wanted = "/etc/systemd/system/bpci-services.target.wants"
    assert f"{unit}.timer" in in_root(play, "ls", wanted).split()


@pytest.fixture(scope="module")
def backed(owned: Owned) -> Iterator[Container]:
    """The machine of an owner who has said where backups go."""
    machine = owned.machine
    machine.run(f"mkdir -p /srv/backups && bpci backup init --to {PLACE}")
    yield machine
    machine.run(
        "rm -rf /srv/backups /etc/bpci/backup.toml /run/systemd/system/bpci-backup.timer.d; systemctl daemon-reload"
    )


def status(machine: Container) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.run("bpci backup status --json || true"))
    return found


def figure(machine: Container, name: str) -> float:
    text = machine.run("cat /var/lib/prometheus/node-exporter/bpci_backup.prom")
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"bpci_backup_{name} ")))


def test_the_timer_makes_a_backup_while_the_node_works(backed: Container) -> None:
    backed.run(
        f"mkdir -p /run/systemd/system/bpci-backup.timer.d /var/lib/prometheus/node-exporter &&"
        f" printf '{SOON}' >/run/systemd/system/bpci-backup.timer.d/soon.conf &&"
        " systemctl daemon-reload && systemctl restart bpci-backup.timer"
    )
    backed.run(
        "for i in $(seq 240); do [ -e /var/lib/bpci/backup/state.json ] &&"
        " systemctl show -p ActiveState bpci-backup.service | grep -q =inactive && exit 0; sleep 0.5; done;"
        " systemctl status --no-pager bpci-backup.timer bpci-backup.service; exit 1",
        seconds=180,
    )
    made = status(backed)
    assert made["failures"] == {}, backed.run("journalctl -u bpci-backup --no-pager -o cat")
    assert made["backup"]["height"] >= 1
    assert figure(backed, "last_success_timestamp_seconds") == made["backup"]["time_ms"] // 1000
    assert backed.run("systemctl is-active bpci-node.service").strip() == "active"
    assert backed.run("find /var/lib/bpci/node ! -user bpci").strip() == ""


def test_the_drill_proves_it_and_leaves_nothing_behind(backed: Container) -> None:
    backed.run("systemctl start bpci-backup-drill.service", seconds=180)
    drilled = status(backed)["drill"]
    assert drilled["height"] >= 1
    assert figure(backed, "last_drill_timestamp_seconds") == drilled["time_ms"] // 1000
    assert backed.run("ls /var/lib/bpci/backup").split() == ["cache", "lock", "state.json"]


def test_keys_and_guards_are_in_no_backup(backed: Container) -> None:
    backed.run("bpci backup restore --to /root/look")
    there = set(backed.run("cd /root/look && find . -type f").split())
    backed.run("rm -r /root/look")
    assert {"./manifest.json", "./node.db", "./etc/bpci/node.toml", "./etc/bpci/settings.toml"} <= there
    assert not [name for name in there if "key" in name or "guard" in name or "ssh" in name]


def test_a_backup_that_fails_is_remembered_and_counted(backed: Container) -> None:
    backed.run(f"mv {PLACE} {PLACE}.away")
    try:
        backed.run("! systemctl start bpci-backup.service", seconds=180)
        assert status(backed)["failures"]["backup"]["code"] == "backup.absent"
        assert figure(backed, "failed") == 1
    finally:
        backed.run(f"mv {PLACE}.away {PLACE}; systemctl reset-failed bpci-backup.service")
    backed.run("systemctl start bpci-backup.service", seconds=180)
    assert figure(backed, "failed") == 0


def test_a_reset_is_valid_confined_and_carried_out_at_boot(play: Play, tmp_path: Path) -> None:
    in_root(play, "systemd-analyze", "verify", "--man=no", "bpci-reset.service")
    in_root(play, "systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", "bpci-reset.service")
    with changed_copy(play.copy.lower, changes=play.copy.changes) as copy:
        for name, text in {
            "etc/bpci/settings.toml": OWNED,
            "etc/bpci/keys/node-key.cred": "sealed",
            "var/lib/systemd/credential.secret": "opens",
            "var/lib/bpci/setup/complete": "",
            "var/lib/bpci/node/node.db": "data",
            "var/lib/bpci/reset.json": json.dumps({"v": 1, "mode": "wipe", "asked_ms": 1}),
            "home/ada/notes": "mine",
        }.items():
            (copy.root / name).parent.mkdir(parents=True, exist_ok=True)
            (copy.root / name).write_text(text)
        subprocess.run(["chroot", copy.root, "useradd", "--no-create-home", "--uid", "1000", "ada"], check=True)
        with booted(copy.root, log=tmp_path / "console.log", own_network=True) as machine:
            machine.run("systemctl is-system-running --wait || true", seconds=120)
            said = machine.run("journalctl --unit bpci-reset --output cat --no-pager")
            assert "the machine was reset (wipe)" in said
            machine.run("! id ada")
            gone = (
                "/etc/bpci/settings.toml /etc/bpci/keys/* /var/lib/systemd/credential.secret /home/* /var/lib/bpci/node"
            )
            assert machine.run(f"ls -d {gone} /var/lib/bpci/reset.json /var/lib/bpci/setup/* || true").strip() == ""
            # The wizard begins again, and the node waits for it.
            assert machine.run("systemctl show -p ConditionResult bpci-node.service").strip() == "ConditionResult=no"


def test_the_unit_saves_to_a_server_over_ssh(backed: Container) -> None:
    # The machine has a network of its own, so nobody else is at this port.
    backed.run(
        "useradd --create-home keeper && usermod --password '*' keeper && mkdir -p -m 0700 /etc/bpci/backup /run/sshd"
        " && install -d -m 0700 -o keeper -g keeper /home/keeper/.ssh"
        " && ssh-keygen -q -t ed25519 -N '' -f /etc/bpci/backup/id && ssh-keygen -q -t ed25519 -N '' -f /run/server-key"
        " && install -m 0600 -o keeper -g keeper /etc/bpci/backup/id.pub /home/keeper/.ssh/authorized_keys"
        " && printf '[127.0.0.1]:2222 %s\\n' \"$(cut -d' ' -f1,2 /run/server-key.pub)\" >/etc/bpci/backup/known_hosts"
        " && printf '%s\\n' 'Port 2222' 'HostKey /run/server-key' 'PasswordAuthentication no' 'UsePAM no'"
        " 'PidFile /run/server.pid' 'Subsystem sftp internal-sftp' 'ForceCommand internal-sftp' >/run/server.conf"
        " && /usr/sbin/sshd -f /run/server.conf"
    )
    try:
        backed.run(
            "bpci backup init --to sftp:keeper@127.0.0.1:/home/keeper/attic --ssh-port 2222"
            " --ssh-key /etc/bpci/backup/id --known-hosts /etc/bpci/backup/known_hosts"
        )
        backed.run("systemctl start bpci-backup.service", seconds=180)
        assert len(json.loads(backed.run("bpci backup list --json"))) == 1
        backed.run("ssh-keygen -q -t ed25519 -N '' -f /tmp/other")
        backed.run(
            "printf '[127.0.0.1]:2222 %s\\n' \"$(cut -d' ' -f1,2 /tmp/other.pub)\" >/etc/bpci/backup/known_hosts"
        )
        backed.run("bpci backup list", status=3)
    finally:
        backed.run(
            "kill $(cat /run/server.pid); userdel --remove keeper 2>/dev/null; rm -rf /etc/bpci/backup /tmp/other*"
            f"; bpci backup init --to {PLACE}"
        )
