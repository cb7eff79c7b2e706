"""What the owner has put beside the machine: answers, SSH keys and network files on the boot medium or a volume.

Looked for in the directory ``bpci`` of the boot disk's EFI partition and of every FAT volume labelled ``BPCI-SETUP``.
A volume is mounted for as long as it takes to read it, read-only, and nothing on it is executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bpci_node.errors import HostError
from bpci_node.setup.disks import APPLIANCE, boot_disk
from bpci_node.setup.system import System

LABEL = "BPCI-SETUP"
DIRECTORY = "bpci"
ANSWERS = "answers.toml"
SSH_KEYS = "authorized_keys"
MAX_FILE_BYTES = 64 * 1024
MAX_FILES = 16
MOUNT_POINT = "/run/bpci-setup/medium"


@dataclass(frozen=True, slots=True)
class Medium:
    """The files of the directory ``bpci`` on one volume."""

    device: str
    """Device node."""
    files: dict[str, bytes]
    """Content by name; small files only."""


def read_media(system: System) -> list[Medium]:
    """Return every medium with a directory ``bpci`` that holds a file; labelled volumes before the boot disk."""
    system.attempt("udevadm", "settle", "--timeout=5")
    listed = system.runner(("blkid", "--match-token", f"LABEL={LABEL}", "--output", "device"), b"")
    devices = sorted(set(listed.output.decode(errors="replace").split()))
    devices += [device for device in [_boot_partition(system)] if device and device not in devices]
    found = []
    for device in devices:
        # A volume that can't be mounted is as good as absent: set-up must come up without it.
        with suppress(HostError), mounted(system, device) as directory:
            files = _files(directory / DIRECTORY)
            if files:
                found.append(Medium(device, files))
    return found


@contextmanager
def mounted(system: System, device: str, *, writable: bool = False) -> Iterator[Path]:
    """Mount the FAT volume ``device`` for the time of the context.

    Raises:
        HostError: it can't be mounted (``host.command``).
    """
    point = system.path(MOUNT_POINT)
    point.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = f"{'rw' if writable else 'ro'},nosuid,nodev,noexec,umask=0077"
    system.run("mount", "-t", "vfat", "-o", options, device, str(point))
    try:
        yield point
    finally:
        if not system.attempt("umount", str(point)):
            system.attempt("umount", "--lazy", str(point))


def forget_answers(system: System, device: str) -> bool:
    """Overwrite and remove the answers on ``device``; tell whether they are gone."""
    try:
        with mounted(system, device, writable=True) as directory:
            path = directory / DIRECTORY / ANSWERS
            with path.open("r+b") as file:
                file.write(b"\n" * path.stat().st_size)
                file.flush()
            system.attempt("sync", "--file-system", str(path))
            path.unlink()
    except (HostError, OSError):
        return False
    return True


def _files(directory: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        for path in sorted(directory.iterdir())[: 4 * MAX_FILES]:
            if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES and len(found) < MAX_FILES:
                found[path.name.lower()] = path.read_bytes()
    except OSError:
        return found
    return found


def _boot_partition(system: System) -> str:
    """Return the EFI partition of the disk that this machine booted from, empty if it is not the appliance's."""
    disk = boot_disk(system) if system.exists(APPLIANCE) else None
    if disk is None:
        return ""
    for event in sorted(system.path(f"/sys/block/{disk.name}").glob(f"{disk.name}*/uevent")):
        if "PARTNAME=bpci-esp" in event.read_text().splitlines():
            return f"/dev/{event.parent.name}"
    return ""
