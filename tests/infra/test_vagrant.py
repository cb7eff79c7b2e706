"""``vagrant up`` by libvirt's qemu driver, with the box that the image build makes; its log is build/vagrant.log."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.boot import ROOT

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(3600)]

PROGRAMS = ("vagrant", "virsh", "virtlogd", "libvirtd", "dnsmasq")
VIRSH = ("virsh", "--quiet", "--connect", "qemu:///system")
PROGRESS = re.compile(rb"(?:\r|\x1b\[K)*Progress: \d+% \([^)]*\)(?:\r|\x1b\[K)*")


def virsh(*arguments: str, check: bool = True) -> list[str]:
    """Ask libvirt, and return the first word of each line of the answer."""
    done = subprocess.run([*VIRSH, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"virsh {arguments}: {done.stderr}"
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def libvirt(lab: Path) -> Iterator[None]:
    """Libvirt's daemon: the service manager's, or one of the test's where there is none."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    assert not missing, f"{missing} are not installed: scripts/host-setup.sh long"
    started = []
    if subprocess.run([*VIRSH, "version"], capture_output=True, check=False).returncode:
        for daemon in ("virtlogd", "libvirtd"):
            with (lab / f"{daemon}.log").open("wb") as log:
                started.append(subprocess.Popen([daemon], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    try:
        end = time.monotonic() + 60
        while subprocess.run([*VIRSH, "version"], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, (lab / "libvirtd.log").read_text()
            time.sleep(1)
        yield
    finally:
        if started:
            virsh("net-destroy", "vagrant-libvirt", check=False)
        for process in reversed(started):
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def box(image: Path) -> Path:
    """The box of the image that was built last."""
    done = subprocess.run([ROOT / "image" / "box.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return image.with_suffix(".box")


class Vagrant:
    """The commands of somebody who has the repository and the box, with a home of their own."""

    def __init__(self, lab: Path, box: Path) -> None:
        self.home = home = lab / "vagrant"
        self.log = ROOT / "build" / "vagrant.log"
        self.log.write_bytes(b"")
        self.environment = os.environ | {
            "BPCI_BOX": str(box),
            "BPCI_DRIVER": "qemu",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_DOTFILE_PATH": str(home / "machines"),
            "VAGRANT_HOME": str(home),
        }

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run a command, note what it said and how it ended, and return its standard output."""
        # Files, not pipes: what it leaves running in the background may hold its output open.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            command = ["vagrant", *arguments]
            done = subprocess.run(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                check=False,
            )  # fmt: skip
            for file in (output, errors):
                file.seek(0)
            said = output.read()
            whole = PROGRESS.sub(b"", said + errors.read())
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode() + whole + f"[exit status {done.returncode}]\n".encode())
        assert done.returncode == 0 or not check, whole[-4000:].decode(errors="replace")
        return said.decode(errors="replace")

    def ssh(self, command: str) -> str:
        """Run a command in the box, and return its standard output."""
        return self.run("ssh", "--no-tty", "--command", command)


@pytest.fixture(scope="module")
def vagrant(lab: Path, box: Path, libvirt: None) -> Iterator[Vagrant]:
    made = Vagrant(lab, box)
    try:
        yield made
    finally:
        made.run("destroy", "--force", check=False)
        for volume in virsh("vol-list", "default", check=False):
            if volume.startswith("bpci-os_vagrant_box_image_"):
                virsh("vol-delete", volume, "--pool", "default", check=False)
        shutil.rmtree(made.home, ignore_errors=True)


def test_vagrant_up_brings_a_registered_node(vagrant: Vagrant) -> None:
    vagrant.run("up", "--provider=libvirt", "--no-color")
    assert vagrant.ssh("bpci --version").startswith("bpci")
    vagrant.ssh("for _ in $(seq 600); do sudo test -e /var/lib/bpci/setup/complete && exit 0; sleep 1; done; exit 1")
    assert json.loads(vagrant.ssh("bpci node status --json"))["node"]["registered"]
    assert vagrant.ssh("systemctl --failed --plain --no-legend").strip() == ""
