"""The disk that this machine booted from, and those that it could be installed to.

A disk is named to people by what is printed on it: model and size. Nothing here writes to a disk.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from bpci_node.errors import UsageError
from bpci_node.host.disks import Disk, DiskKind, list_disks, storage_under
from bpci_node.setup.system import System

APPLIANCE = "/usr/share/bpci/appliance"
"""Stands in the image only: on a machine that set-up did not make, no disk is offered."""
MIN_BYTES = 16_000_000_000
"""Smallest disk to install to: 512 MiB boot, twice 4 GiB root, and room for data."""

KINDS = {DiskKind.NVME: "NVMe", DiskKind.SSD: "SSD", DiskKind.USB_SSD: "USB SSD", DiskKind.USB: "USB"}
"""Kinds of disks whose name for people is not the word itself."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A disk that the machine could be installed to."""

    name: str
    """Kernel name, such as ``nvme0n1``."""
    model: str
    """As the disk tells it; ``disk`` if it does not."""
    size_bytes: int
    """Capacity."""
    kind: str
    """NVMe, SSD, rotating ..., for people."""
    serial: str
    """Serial number, empty if it tells none."""

    @property
    def label(self) -> str:
        """Model, size and kind in one line."""
        return f"{self.model}, {size_text(self.size_bytes)}, {self.kind}"


def size_text(size_bytes: int) -> str:
    """Return a capacity as it is printed on the disk: decimal units."""
    if size_bytes >= 10**12:
        return f"{size_bytes // 10**11 / 10:g} TB"
    return f"{round(size_bytes / 10**9)} GB"


def boot_disk(system: System) -> Disk | None:
    """Return the disk that carries the running root, or ``None`` if none does."""
    storage = storage_under(system.root, Path("/"))
    return storage.disks[0] if storage else None


def booted_from_removable(system: System) -> bool:
    """Tell whether this is the appliance's image, running from a stick or a card."""
    disk = boot_disk(system) if system.exists(APPLIANCE) else None
    if disk is None:
        return False
    device = system.path(f"/sys/block/{disk.name}").resolve()
    return disk.removable or "/usb" in str(device)


def candidates(system: System) -> list[Candidate]:
    """Return the disks that are large enough and neither the boot disk, removable, nor read-only; the largest first."""
    running = boot_disk(system)
    serials = _serials(system)
    found = [
        Candidate(
            disk.name,
            disk.model or "disk",
            disk.size_bytes,
            KINDS.get(disk.kind, disk.kind.value),
            serials.get(disk.name, ""),
        )
        for disk in list_disks(system.root)
        if disk != running and not disk.removable and not disk.read_only and disk.size_bytes >= MIN_BYTES
    ]
    return sorted(found, key=lambda disk: (-disk.size_bytes, disk.name))


def too_small(system: System) -> list[str]:
    """Return a line on each internal disk that is not offered because of its size."""
    running = boot_disk(system)
    return [
        f"{disk.model or disk.name}, {size_text(disk.size_bytes)}: smaller than {size_text(MIN_BYTES)}"
        for disk in list_disks(system.root)
        if disk != running and not disk.removable and disk.size_bytes < MIN_BYTES
    ]


def choose(offered: list[Candidate], wanted: str) -> Candidate:
    """Return the one disk that ``install_to`` of the answers means: a serial number, or ``model:size``.

    Raises:
        UsageError: none is meant, or more than one (``usage.disk``); the hint lists what there is.
    """
    model, separator, size = wanted.rpartition(":")
    found = [disk for disk in offered if disk.serial and disk.serial == wanted]
    if not found and separator:
        found = [disk for disk in offered if _same(disk.model, model) and is_size_of(disk, size)]
    if len(found) != 1:
        there = "; ".join(
            f"{disk.model}:{size_text(disk.size_bytes)} (serial {disk.serial or 'none'})" for disk in offered
        )
        raise UsageError(
            f"disk.install_to = {wanted!r} does not mean exactly one disk of this machine",
            code="usage.disk",
            hint=f"There is: {there}" if there else f"No internal disk here has {size_text(MIN_BYTES)} or more.",
            key="disk.install_to",
        )
    return found[0]


def is_confirmed(disk: Candidate, typed: str) -> bool:
    """Tell whether a person has typed the size or the model of ``disk``."""
    return bool(typed.strip()) and (_same(disk.model, typed) or is_size_of(disk, typed))


def is_size_of(disk: Candidate, text: str) -> bool:
    """Tell whether ``text`` is the size of ``disk``: ``500``, ``500 GB``, ``1 TB`` or ``1000GB``."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9])?)\s*(gb|tb|)\s*", text, re.IGNORECASE)
    if not match:
        return False
    number, unit = match[1], match[2].upper()
    return f"{number} {unit or 'GB'}" in (size_text(disk.size_bytes), f"{round(disk.size_bytes / 10**9)} GB")


def _same(model: str, typed: str) -> bool:
    return " ".join(model.lower().split()) == " ".join(typed.lower().split())


def _serials(system: System) -> dict[str, str]:
    done = system.runner(("lsblk", "--json", "--nodeps", "--output", "NAME,SERIAL"), b"")
    try:
        rows = json.loads(done.output)["blockdevices"]
        return {row["name"]: (row["serial"] or "").strip() for row in rows}
    except (ValueError, KeyError, TypeError):
        return {}
