"""A root tree just large enough to be made into a disk, and disks made from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
IMAGE = Path(__file__).resolve().parents[3] / "image"
FILES = {
    "etc/os-release": "ID=debian\nVERSION_ID=12\n",
    "boot/vmlinuz": "kernel",
    "boot/initrd.img": "initial RAM disk",
    "usr/lib/shim/shimx64.efi.signed": "shim",
    "usr/lib/shim/mmx64.efi.signed": "key manager",
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": "GRUB",
}


DiskMaker = Callable[..., subprocess.CompletedProcess[str]]


def _make_disk(root: Path, disk: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": PATH}
    return subprocess.run(
        [IMAGE / "disk.sh", *options, root, disk], capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture(scope="session")
def make_disk() -> DiskMaker:
    missing = [
        tool for tool in ("mcopy", "mkfs.vfat", "sfdisk", "mke2fs", "debugfs") if not shutil.which(tool, path=PATH)
    ]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    return _make_disk


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    for name, content in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


@pytest.fixture(scope="session")
def tiny_disk(make_disk: DiskMaker, tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    disk = tmp_path_factory.mktemp("disk") / "disk.img"
    made = make_disk(tiny_root, disk)
    assert made.returncode == 0, made.stderr
    return disk
