"""Booted from a stick, the machine moves to its internal disk and goes on there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from image.qemu import Hardware, Machine, overlay
from tests.infra.appliance import Appliance, Owner, medium_for

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(3600)]


def test_a_stick_installs_to_the_internal_disk_and_set_up_ends_there(lab: Path, image: Path) -> None:
    directory = lab / "installed"
    owner = Owner(directory)
    medium = medium_for(owner, disk={"install_to": "bpci1"})
    stick = overlay(image, directory / "stick.qcow2")
    internal = directory / "internal.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(internal), "20G"], check=True)

    with Machine(directory / "from-stick", [stick, internal, medium], Hardware(disk_bus="usb")).running() as machine:
        machine.console.wait_for("BPCI-SETUP-INSTALLED", 1500, said=True)
        machine.wait_off(180)

    with Machine(directory / "from-disk", [internal]).running() as machine:
        machine.console.wait_for("BPCI-SETUP-DONE", 1500, said=True)
        appliance = Appliance(machine, owner)
        appliance.wait()
        assert appliance.status()["node"]["registered"]
        assert int(appliance.run("df --output=size -B1 /data | tail -n 1")) > 8 * 2**30
        assert appliance.failed_units() == ""
        machine.power_off()
