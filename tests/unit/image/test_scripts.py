from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

IMAGE = Path(__file__).resolve().parents[3] / "image"
BUILD = sorted(IMAGE.glob("*.sh"))
MACHINE = sorted(path for path in (IMAGE / "rootfs/usr/lib/bpci").iterdir() if os.access(path, os.X_OK))
INITIAL = sorted((IMAGE / "rootfs/usr/share/initramfs-tools").rglob("bpci*"))
COMMANDS = [path for path in (*BUILD, *MACHINE) if os.access(path, os.X_OK)]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_every_script_is_clean() -> None:
    result = run("shellcheck", *BUILD, *MACHINE, *INITIAL, IMAGE / "rootfs/usr/lib/bpci/layout.sh")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.name)
def test_every_command_explains_itself(command: Path) -> None:
    result = run(command, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: "), result.stderr


@pytest.mark.parametrize("name", ["base.sh", "build.sh", "disk.sh", "finish.sh", "seed.sh"])
def test_a_wrong_call_is_told_so(name: str) -> None:
    result = run(IMAGE / name, "no", "such", "--thing", "a", "b", "c", "d", "e")
    assert result.returncode == 2
    assert "Usage: " in result.stderr


@pytest.mark.parametrize("arguments", [[], ["status", "a"], ["use"], ["use", "c"], ["write", "a"], ["erase", "a", "b"]])
def test_slot_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    result = run(IMAGE / "rootfs/usr/lib/bpci/slot", *arguments)
    assert (result.returncode, result.stdout) == (2, "")


def test_slot_needs_a_machine_with_slots() -> None:
    result = run(IMAGE / "rootfs/usr/lib/bpci/slot", "status")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "hint: " in result.stderr


@pytest.mark.parametrize("disk", ["/dev/null", "/dev/no-such-disk", "/etc/hostname"])
def test_installing_to_what_is_no_disk_is_refused(disk: str) -> None:
    result = run(IMAGE / "rootfs/usr/lib/bpci/install-disk", "--yes", disk)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")


def test_the_boot_loader_offers_both_slots_and_their_recovery() -> None:
    text = (IMAGE / "grub/grub.cfg").read_text()
    assert set(re.findall(r"bpci_boot (\S+) (\S+)", text)) == {
        ("$slot", "quiet"),
        *((slot, options) for slot in "ab" for options in ("quiet", "systemd.unit=rescue.target")),
        ("SLOT", "OPTIONS"),
    }
    assert "root=PARTUUID=$bpci_root ro bpci.slot=$1" in text


def test_packages_that_both_bases_share_stand_in_both_lists() -> None:
    def packages(target: str) -> set[str]:
        lines = (IMAGE / "packages" / f"{target}.txt").read_text().splitlines()
        return {name for line in lines for name in line.split("#")[0].split()}

    named_otherwise = {
        "linux-image-amd64": "linux-image-generic",
        "busybox": "busybox-initramfs",
        "firmware-linux-free": "linux-firmware",
        "firmware-realtek": "linux-firmware",
        "firmware-iwlwifi": "linux-firmware",
        "firmware-misc-nonfree": "linux-firmware",
        "systemd-resolved": "systemd",
        "python3": "python3.11",
        "python3-venv": "python3.11-venv",
    }
    assert {named_otherwise.get(name, name) for name in packages("debian-12")} == packages("ubuntu-22.04")


def test_no_address_of_a_mirror_is_written_down() -> None:
    files = [
        path for path in IMAGE.rglob("*") if path.is_file() and path.suffix in {".sh", ".txt", ".hcl", ".in", ".cfg"}
    ]
    for file in files:
        assert not re.search(r"https?://(?!\{\{|\$PACKER)", file.read_text()), file
