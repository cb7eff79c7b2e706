"""Booted from a stick, the machine moves to its internal disk and goes on there."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
import tomli_w

from image.boot import DEVELOPMENT_ANSWERS, complete
from image.qemu import Hardware, Machine, overlay, volume
from tests.infra.appliance import Appliance, Owner

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(3600)]


def test_a_stick_installs_to_the_internal_disk_and_set_up_ends_there(lab: Path, image: Path) -> None:
    directory = lab / "installed"
    owner = Owner(directory)
    answers = complete(tomllib.loads(DEVELOPMENT_ANSWERS.read_text()), owner.key, directory)
    answers["disk"] = {"install_to": "bpci1"}
    medium = volume(directory / "answers.img", "BPCI-SETUP", {"bpci/answers.toml": tomli_w.dumps(answers).encode()})
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
        assert appliance.run("systemctl --failed --plain --no-legend").strip() == ""
        machine.power_off()
