"""Data encrypted before set-up: opened by the TPM after a power cut, by the recovery key when the TPM refuses."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image.qemu import Hardware, Machine, overlay
from tests.infra.appliance import Appliance, Owner, medium_for

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(3600)]

RECOVERY_KEY = r"(?:[cbdefghijklnrtuv]{8}-){7}[cbdefghijklnrtuv]{8}"


def pcr(appliance: Appliance, number: int) -> str:
    return appliance.run(f"cat /sys/class/tpm/tpm0/pcr-sha256/{number}").strip()


def check(appliance: Appliance, opened: str, did: str) -> None:
    """See that it is the same machine, whole, and how its data were opened at this start."""
    appliance.wait()
    assert json.loads(appliance.run("bpci disk status --json"))["encryption"] == opened
    assert appliance.did == did
    assert appliance.failed_units() == ""


def found_by_the_doctor(appliance: Appliance) -> list[str]:
    report = json.loads(appliance.run("bpci doctor encryption --json || true"))
    return [issue["code"] for result in report["results"] for issue in result["issues"]]


@dataclass(slots=True)
class Lab:
    """Where one machine's disks, keys and TPM are."""

    directory: Path
    owner: Owner
    medium: Path
    """A volume with answers that ask for encryption."""

    def appliance(self, *disks: Path, **hardware: Any) -> Appliance:
        return Appliance(Machine(self.directory, list(disks), Hardware(tpm=True, **hardware)), self.owner)


def make_lab(directory: Path, **disk: object) -> Lab:
    owner = Owner(directory)
    return Lab(directory, owner, medium_for(owner, disk={"encrypt": True, **disk}))


def is_nowhere(appliance: Appliance, key: str) -> bool:
    """Tell whether a file of the machine holds the key that was shown; what root is asked to run is recorded too."""
    appliance.machine.ssh("cat >/tmp/key", user=appliance.owner.name, key=appliance.owner.key, stdin=key.encode())
    found = appliance.sudo(
        "grep -rlF -f /tmp/key /tmp /etc /var /home /run /data /root 2>/dev/null || true; rm /tmp/key"
    )
    return found.split() == ["/tmp/key"]


def shown_key(text: str) -> str:
    """Return the recovery key that was shown."""
    found = re.search(RECOVERY_KEY, text)
    assert found, "no recovery key was shown"
    return found[0]


def key_on_display(appliance: Appliance) -> str:
    """Read the key from the machine's display, which alone shows it, while set-up goes on after it opened SSH."""
    appliance.machine.console.wait_for(r"\[setup\] 9/", 1500, said=True)
    appliance.machine.wait_for_ssh(user=appliance.owner.name, key=appliance.owner.key)
    return shown_key(appliance.sudo("cat /dev/vcs1"))


def test_encrypted_data_are_opened_by_the_tpm_or_by_the_recovery_key(lab: Path, image: Path) -> None:
    made = make_lab(lab / "encrypted")
    disk = overlay(image, made.directory / "disk.qcow2", size="12G")
    appliance = made.appliance(disk, made.medium)
    machine = appliance.machine

    with machine.running():
        machine.console.wait_for("BPCI-SETUP-RESTARTS", 1500, said=True)
        machine.wait_off(400)
        machine.start()
        key = key_on_display(appliance)
        machine.console.wait_for("BPCI-SETUP-DONE", 1500, said=True)
        appliance.wait()
        did = appliance.did
        check(appliance, "tpm", did)
        assert is_nowhere(appliance, key)
        assert "crypto_LUKS" in appliance.sudo("blkid -p /dev/disk/bpci/data")
        assert appliance.sudo("ls /run/bpci-boot").split() == ["data-check.log", "encryption"]
        assert int(appliance.run("df --output=size -B1 /data | tail -n 1")) > 2 * 2**30
        # What an update of the kernel changes is measured too, but not by what the TPM looks at.
        appliance.sudo("head -c 512 /dev/zero >>$(readlink -f /boot/initrd.img); sync")
        identity, system = pcr(appliance, 7), pcr(appliance, 9)
        machine.kill()

        machine.start()
        check(appliance, "tpm", did)
        assert pcr(appliance, 7) == identity
        assert pcr(appliance, 9) != system
        assert found_by_the_doctor(appliance) == []
        machine.power_off()

    appliance = made.appliance(disk, secure_boot=True)
    machine = appliance.machine
    with machine.running():
        machine.console.wait_for("Recovery key of the disk", 900, said=True)
        machine.console.type("cccccccc\r")
        machine.console.wait_for("That is not it", 300, said=True)
        machine.console.type(f"{key.upper().replace('-', ' ')}\r")
        check(appliance, "recovery", did)
        assert found_by_the_doctor(appliance) == ["encryption.tpm"]
        renewed = shown_key(appliance.sudo(f"echo {key} | bpci disk recovery-key --yes"))
        assert "does not open" in appliance.sudo(f"! echo {key} | bpci disk enroll 2>&1")
        appliance.sudo(f"echo {renewed} | bpci disk enroll")
        machine.power_off()

        machine.start()
        check(appliance, "tpm", did)
        machine.power_off()


def test_a_stick_installs_with_encrypted_data(lab: Path, image: Path) -> None:
    made = make_lab(lab / "installed-encrypted", install_to="bpci1")
    stick = overlay(image, made.directory / "stick.qcow2")
    internal = made.directory / "internal.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(internal), "20G"], check=True)
    with made.appliance(stick, internal, made.medium, disk_bus="usb").machine.running() as machine:
        machine.console.wait_for("BPCI-SETUP-INSTALLED", 1800, said=True)
        machine.wait_off(400)

    appliance = made.appliance(internal)
    with appliance.machine.running() as machine:
        machine.console.wait_for("BPCI-SETUP-DONE", 1500, said=True)
        appliance.wait()
        check(appliance, "tpm", appliance.did)
        assert "crypto_LUKS" in appliance.sudo("blkid -p /dev/disk/bpci/data")
        machine.power_off()
