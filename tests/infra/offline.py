"""What lies on the disk of a machine that is off."""

from __future__ import annotations

import subprocess
from pathlib import Path

from image.boot import ROOT

PLACES = {
    "root-a": "offset=$((ROOT_A_START * MIB)),size=$((ROOT_SIZE * MIB))",
    "data": "offset=$((DATA_START * MIB))",
}
"""Where each partition lies, in the names of the layout; data are what is left."""


class Partition:
    """One file system of a machine's disk, laid out as one file that can be read."""

    def __init__(self, disk: Path, name: str, file: Path) -> None:
        """Copy the partition (:data:`PLACES`) to ``file``, as sparse as it is."""
        layout = f'source "$0/image/rootfs/usr/lib/bpci/layout.sh"; echo "{PLACES[name]}"'
        place = subprocess.run(["bash", "-c", layout, ROOT], check=True, capture_output=True, text=True).stdout.strip()
        options = f"driver=raw,{place},file.driver=qcow2,file.file.driver=file,file.file.filename={disk}"
        subprocess.run(["qemu-img", "convert", "--image-opts", options, "-O", "raw", file], check=True)
        self._file = file

    def read(self, path: str) -> bytes:
        """Return what the file at ``path`` holds."""
        done = subprocess.run(["/sbin/debugfs", "-R", f"cat {path}", self._file], check=True, capture_output=True)
        assert done.stdout, (path, done.stderr)
        return done.stdout
