"""Other machines: the unattended boot of `make boot`, and the parts that a mini-PC is made of."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.boot import DIRECTORY as BOOT
from image.boot import ROOT, built_image
from image.console import Console
from image.qemu import Hardware, Machine, overlay
from tests.infra.appliance import Appliance, Owner
from tests.infra.offline import Partition

pytestmark = [pytest.mark.infra, pytest.mark.timeout(3600)]

SECRETS = (
    "/etc/machine-id",
    "/etc/bpci/ssh/ssh_host_ed25519_key",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
)
"""Paths on a running machine, and on the data partition of one that is off."""


@pytest.fixture(scope="module")
def unattended(image: Path) -> str:
    """What `make boot` printed, run without a terminal; its machine's disk and key stay in build/boot."""
    assert image.exists()
    command = [sys.executable, "-m", "image.boot", "--target", "debian-12"]
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2400, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def owner(unattended: str) -> Owner:
    """The owner whom `make boot` made."""
    assert unattended
    owner = Owner.__new__(Owner)
    owner.directory, owner.name = BOOT, "owner"
    owner.password, owner.key = (BOOT / "owner-password").read_text().strip(), BOOT / "owner-key"
    return owner


def switched_on(lab: Path, name: str, owner: Owner, hardware: Hardware) -> Iterator[Appliance]:
    """The machine that `make boot` set up, in another body."""
    disk = overlay(BOOT / "disk.qcow2", lab / name / "disk.qcow2")
    with Machine(lab / name, [disk], hardware).running() as machine:
        appliance = Appliance(machine, owner)
        appliance.wait()
        yield appliance
        machine.power_off()


@pytest.fixture(scope="module")
def mini_pc(lab: Path, owner: Owner) -> Iterator[Appliance]:
    body = Hardware(disk_bus="ahci", network="e1000e", usb_keyboard=True, display=True)
    yield from switched_on(lab, "mini-pc", owner, body)


def test_make_boot_goes_unattended_to_a_bundle_that_is_verified_outside(unattended: str) -> None:
    assert "verified outside the machine" in unattended
    assert unattended.rstrip().endswith("done")
    assert re.search(r"addresses: .*\d+\.\d+\.\d+\.\d+", unattended)
    assert re.search(r"hardware: .*(pass|warn)", unattended)
    figures = json.loads(built_image("debian-12").with_suffix(".boot.json").read_text())
    assert 0 < figures["seconds"]["set_up"] < figures["seconds"]["set_up_to_bundle"]
    assert figures["seconds"]["recovery"] > 0
    assert {name for name in figures["listening"] if name.startswith("tcp/")} == {"tcp/22", "tcp/443", "tcp/8545"}


@pytest.mark.usefixtures("unattended")
def test_two_machines_from_one_image_have_nothing_secret_in_common(appliance: Appliance, tmp_path: Path) -> None:
    data = Partition(BOOT / "disk.qcow2", "data", tmp_path / "data.img")
    of_one = [hashlib.sha256(data.read(path)).hexdigest() for path in SECRETS]
    appliance.machine.qmp("cont")
    of_other = [line.split()[0] for line in appliance.sudo(f"sha256sum {' '.join(SECRETS)}").splitlines()]
    appliance.machine.qmp("stop")
    assert len(of_one) == len(of_other) == len(SECRETS)
    assert not set(of_one) & set(of_other)


@pytest.mark.long
def test_a_machine_with_ahci_e1000e_and_a_usb_keyboard_serves_its_owner(mini_pc: Appliance, lab: Path) -> None:
    modules = mini_pc.run("/sbin/lsmod | awk '{print $1}'").split()
    assert {"ahci", "e1000e", "usbhid"} <= set(modules)
    assert json.loads(mini_pc.run("bpci node status --json"))["node"]["registered"]

    def screen() -> str:
        return mini_pc.sudo("cat /dev/vcs1")

    mini_pc.machine.console.wait_until(lambda: "dev-node" in screen(), "the console on the display", 600)
    mini_pc.machine.photograph(lab / "mini-pc" / "console.png")
    mini_pc.machine.press("s")
    mini_pc.machine.console.wait_until(lambda: "Password:" in screen(), "the question for the owner's password", 300)


def choose(console: Console, entry: str) -> None:
    """Move the boot menu's mark down to an entry and take it; keys that come while it draws are lost."""
    console.wait_for(re.escape(entry))

    def is_marked() -> bool:
        if f"*{entry}" in console.text():
            return True
        console.press("down")
        time.sleep(1)
        return False

    console.wait_until(is_marked, f"the mark at {entry}", 120)
    console.press("enter")


@pytest.mark.long
def test_rescue_mode_takes_the_owner_s_password_and_no_other(lab: Path, owner: Owner) -> None:
    disk = overlay(BOOT / "disk.qcow2", lab / "rescue" / "disk.qcow2")
    with Machine(lab / "rescue", [disk]).running() as machine:
        console = machine.console
        choose(console, "More ...")
        choose(console, "Recovery, slot A")
        console.wait_for("Log in as its owner, owner", 900)
        console.wait_for("Password:$")
        console.type("not this one\r")
        console.wait_for("Login incorrect", 240)
        console.wait_for("login:$")
        console.type(f"{owner.name}\r")
        console.wait_for(r"login: owner\n+Password:$")
        console.type(f"{owner.password}\r")
        console.wait_for(r"\$$")
        console.type("sudo systemctl is-active rescue.service bpci-node.service\r")
        console.wait_for(r"password for owner:$")
        console.type(f"{owner.password}\r")
        console.wait_for(r"^active\n+inactive$")
        console.type("exit\r")
        Appliance(machine, owner).wait()
