"""Writing the second root from an image, on the two roots of a real disk file behind loop devices."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SLOT = Path(__file__).resolve().parents[3] / "image/rootfs/usr/lib/bpci/slot"
MIB = 2**20
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
# A machine that runs from slot a, in a mount name space: its command line, its ESP, its disk's names. grub-editenv is
# not on every building machine; what slot asks of it is one line in a file.
WORLD = """
set -euo pipefail
mount -t tmpfs tmpfs /boot
mkdir -p /boot/efi/EFI/bpci
cp "$1/grubenv" /boot/efi/EFI/bpci/grubenv
mount --bind "$1/cmdline" /proc/cmdline
mkdir -p /dev/disk
mount -t tmpfs tmpfs /dev/disk
mkdir /dev/disk/bpci
ln -s "$2" /dev/disk/bpci/root-a
ln -s "$3" /dev/disk/bpci/root-b
export PATH=$1/bin:$PATH
status=0
"${@:4}" || status=$?
cp /boot/efi/EFI/bpci/grubenv "$1/grubenv"
exit $status
"""
GRUB_EDITENV = """#!/bin/sh
if [ "$2" = list ]; then cat "$1"; else echo "$3" >"$1"; fi
"""
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root"),
]


@dataclass(slots=True)
class World:
    directory: Path
    devices: tuple[str, str]

    def slot(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "--mount", "bash", "-c", WORLD, "bash", self.directory, *self.devices, SLOT, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH}, timeout=240
        )

    def status(self) -> list[str]:
        result = self.slot("status")
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()


@pytest.fixture
def world(tiny_disk: Path, tmp_path: Path) -> Iterator[World]:
    disk = tmp_path / "disk.img"
    subprocess.run(["cp", "--sparse=always", tiny_disk, disk], check=True)
    (tmp_path / "grubenv").write_text("slot=a\n")
    (tmp_path / "cmdline").write_text("ro bpci.slot=a quiet\n")
    (tmp_path / "bin").mkdir()
    editor = tmp_path / "bin" / "grub-editenv"
    editor.write_text(GRUB_EDITENV)
    editor.chmod(0o755)
    devices = []
    for start in (513, 4609):
        attach = ["losetup", "-f", "--show", "-o", str(start * MIB), "--sizelimit", str(4096 * MIB), disk]
        attached = subprocess.run(attach, capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH})
        if attached.returncode:
            pytest.skip(f"no loop device: {attached.stderr}")
        devices.append(attached.stdout.strip())
    yield World(tmp_path, (devices[0], devices[1]))
    subprocess.run(["losetup", "-d", *devices], check=True, env={**os.environ, "PATH": PATH})


@pytest.fixture
def published(make_disk: Callable[..., subprocess.CompletedProcess[str]], tiny_root: Path, tmp_path: Path) -> Path:
    root = tmp_path / "newer"
    shutil.copytree(tiny_root, root)
    (root / "usr/lib/bpci").mkdir()
    (root / "usr/lib/bpci/image-release").write_text("version=2.0.0\n")
    (root / "sbin").mkdir()
    (root / "sbin/init").touch()
    image = tmp_path / "published" / "new.img"
    image.parent.mkdir()
    assert make_disk(root, image).returncode == 0
    return image


def test_an_image_s_root_is_written_and_chosen(world: World, published: Path) -> None:
    assert world.status() == ["running a", "next a", "a empty", "b empty"]
    assert world.slot("use", "b").returncode == 1
    written = world.slot("write", "b", published)
    assert written.returncode == 0, written.stderr
    assert world.slot("use", "b").returncode == 0
    assert world.status() == ["running a", "next b", "a empty", "b 2.0.0"]


def test_an_image_that_ends_early_leaves_a_root_that_cannot_be_chosen(world: World, published: Path) -> None:
    with published.open("r+b") as file:
        file.truncate(2000 * MIB)
    (world.directory / "grubenv").write_text("slot=b\n")
    refused = world.slot("write", "b", published)
    assert refused.returncode == 1
    assert "ends within root A" in refused.stderr
    assert world.slot("use", "b").returncode == 1
    assert world.status()[1:] == ["next a", "a empty", "b unusable"]


def test_an_image_with_another_sum_changes_nothing(world: World, published: Path) -> None:
    (published.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {published.name}\n")
    refused = world.slot("write", "b", published)
    assert refused.returncode == 1
    assert "not the file that SHA256SUMS lists" in refused.stderr
    assert world.status()[3] == "b empty"


def test_the_running_root_is_never_written(world: World, published: Path) -> None:
    refused = world.slot("write", "a", published)
    assert refused.returncode == 1
    assert "is the one that runs" in refused.stderr
