"""What lies on the disk of a machine that is off."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

from image.boot import ROOT


class Partition:
    """One file system of a machine's disk, laid out as one file that can be read."""

    def __init__(self, disk: Path, name: Literal["ROOT_A", "DATA"], file: Path) -> None:
        """Copy the partition to ``file``, as sparse as it is."""
        layout = f'source "$0/image/rootfs/usr/lib/bpci/layout.sh"; echo $(({name}_START * MIB))'
        start = subprocess.run(["bash", "-c", layout, ROOT], check=True, capture_output=True, text=True).stdout.strip()
        place = f"driver=raw,offset={start},file.driver=qcow2,file.file.driver=file,file.file.filename={disk}"
        subprocess.run(["qemu-img", "convert", "--image-opts", place, "-O", "raw", file], check=True)
        self._file = file

    def read(self, path: str) -> bytes:
        """Return what the file at ``path`` holds."""
        done = subprocess.run(["/sbin/debugfs", "-R", f"cat {path}", self._file], check=True, capture_output=True)
        assert done.stdout, (path, done.stderr)
        return done.stdout
