"""The roles as they build the appliance, in a root at native speed; and for Ubuntu, whose archive is not at hand."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.infra.native import Play, in_root

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]


def test_a_second_run_changes_nothing(play: Play) -> None:
    assert play.run().changed_tasks() == []


def test_check_mode_finds_nothing_to_change(play: Play) -> None:
    assert play.run("--check", "--diff").changed_tasks() == []


def test_the_command_and_the_users_are_there(play: Play) -> None:
    assert in_root(play, "/usr/local/bin/bpci", "--version").startswith("bpci ")
    assert in_root(play, "id", "-u", "bpci").strip() == "880"
    assert in_root(play, "getent", "group", "bpci-owner").startswith("bpci-owner:x:881:")
    assert in_root(play, "id", "-u", "bpci-console").strip() == "883"


def test_units_are_well_formed_and_start_where_they_should(play: Play) -> None:
    units = ["bpci-node", "bpci-machine", "bpci-hostkeys", "bpci-setup@tty1", "bpci-console@ttyS0"]
    names = [f"{unit}.service" for unit in units]
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={play.root}", *names], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for terminal in ("tty1", "ttyS0"):
        for unit in ("bpci-setup", "bpci-console"):
            assert in_root(play, "systemctl", "is-enabled", f"{unit}@{terminal}.service").strip() == "enabled"
    for masked in ("getty@tty1", "serial-getty@ttyS0", "systemd-networkd-wait-online"):
        assert in_root(play, "systemctl", "is-enabled", f"{masked}.service", status=1).strip() == "masked"
    assert in_root(play, "systemctl", "is-enabled", "getty@tty2.service").strip() == "enabled"


def test_ssh_is_off_and_lets_in_nobody_by_password(play: Play) -> None:
    assert in_root(play, "systemctl", "is-enabled", "ssh.service", status=1).strip() == "disabled"
    in_root(play, "mkdir", "-p", "/run/sshd")
    in_root(play, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/bpci/ssh/ssh_host_ed25519_key")
    settings = in_root(play, "sshd", "-T", "-C", "user=owner,host=h,addr=192.0.2.1").lower().splitlines()
    assert {"permitrootlogin no", "passwordauthentication no", "kbdinteractiveauthentication no"} <= set(settings)
    assert {"authenticationmethods publickey", "hostkey /etc/bpci/ssh/ssh_host_ed25519_key"} <= set(settings)
    assert [line for line in settings if line.startswith("allowgroups")] == [
        "allowgroups bpci-owner",
        "allowgroups bpci-setup",
    ]
    assert "forcecommand none" in settings
    guest = in_root(play, "sshd", "-T", "-C", "user=bpci-setup,host=h,addr=192.0.2.1").splitlines()
    assert "forcecommand sudo /usr/local/bin/bpci setup" in guest
    allowed = in_root(play, "cat", "/etc/sudoers.d/bpci-setup").splitlines()[-1]
    assert allowed == "bpci-setup ALL=(root) NOPASSWD: /usr/local/bin/bpci setup"


def test_nobody_has_a_password(play: Play) -> None:
    for line in (play.root / "etc/shadow").read_text().splitlines():
        name, password = line.split(":")[:2]
        assert password.startswith(("*", "!")), name


def test_the_firewall_lets_in_ssh_the_web_face_and_the_node(play: Play) -> None:
    assert "ENABLED=yes" in (play.root / "etc/ufw/ufw.conf").read_text().splitlines()
    assert 'DEFAULT_INPUT_POLICY="DROP"' in (play.root / "etc/default/ufw").read_text().splitlines()
    rules = re.findall(r"### tuple ### (\w+) (\w+) (\d+) 0\.0\.0\.0/0", (play.root / "etc/ufw/user.rules").read_text())
    assert sorted(rules) == [("allow", "tcp", "443"), ("allow", "tcp", "8545"), ("limit", "tcp", "22")]


@pytest.mark.parametrize("mode", ["rescue", "emergency"])
def test_rescue_asks_for_the_owner_and_never_for_root(play: Play, mode: str) -> None:
    drop_in = (play.root / f"etc/systemd/system/{mode}.service.d/bpci.conf").read_text()
    assert re.findall(r"^ExecStart=(.*)$", drop_in, re.MULTILINE) == ["", f"-/usr/lib/bpci/rescue-login {mode}"]
    assert os.access(play.root / "usr/lib/bpci/rescue-login", os.X_OK)
    assert (play.root / f"usr/lib/systemd/system/{mode}.service").exists()


def test_ubuntu_takes_the_same_way_with_its_own_python(play: Play) -> None:
    """Recorded facts stand for a machine that can't be had here; a dry run shows which way the roles take on it."""
    before = in_root(play, "cat", "/opt/bpci/.complete")
    assert before.startswith("python /usr/bin/python3\n")
    would = play.run("--check", facts="ubuntu-22.04").changed_tasks()
    # Its own python3 is too old, so what was built with it here would be built anew, and nothing else would change.
    assert would == ["node : Make room for it"]
    assert in_root(play, "cat", "/opt/bpci/.complete") == before


def test_an_unsupported_release_is_refused(play: Play) -> None:
    with pytest.raises(AssertionError, match=r"Ubuntu 20\.04 is not supported"):
        play.run("--check", facts="ubuntu-20.04")
