"""Disks as the kernel shows them: what stands under a partition, a volume or an array, how large, and of which kind.

Partitions, device-mapper (LVM, encryption, multipath), md arrays, loop devices and bcache are followed down to the
disks that carry them. The rotational flag alone says little: virtual disks, USB bridges and RAID controllers report
whatever they please, so the way a disk is attached is looked at first. ZFS has no such chain and is not followed; of a
btrfs over several disks only the first is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bpci_node.host.context import read_number, read_text
from bpci_node.host.mounts import mount_of

SECTOR_BYTES = 512
"""Unit of ``size`` in sysfs, whatever the disk's own sectors are."""

_MAX_LAYERS = 16
_NO_DISKS = ("sr", "fd", "loop", "dm-", "md")
_VIRTUAL_VENDORS = ("QEMU", "VMware", "Msft", "VBOX", "Virtual", "Google", "Amazon", "Xen", "NVMe EBS")
_RAID_VENDORS = ("AVAGO", "LSI", "PERC", "MegaRAID", "ServeRAID", "LOGICAL VOLUME", "Adaptec", "Smart Array", "MR9")


class DiskKind(StrEnum):
    """What a disk is, as far as it lets itself be told."""

    NVME = "nvme"
    SSD = "ssd"
    ROTATING = "rotating"
    USB_SSD = "usb-ssd"
    USB = "usb"
    CARD = "card"
    CONTROLLER = "controller"
    VIRTUAL = "virtual"
    NETWORK = "network"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk that lies under nothing but its own hardware."""

    name: str
    """Kernel name, such as ``nvme0n1``."""
    model: str
    """Vendor and model as the disk tells them; empty if it does not."""
    size_bytes: int
    """Capacity."""
    kind: DiskKind
    """How it stores, as far as that can be told."""
    removable: bool
    """Whether its medium can be taken out."""
    read_only: bool
    """Whether it refuses to be written."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What carries one file system."""

    disks: tuple[Disk, ...]
    """The disks below it, by name."""
    size_bytes: int
    """Capacity of the whole disks, once per array: two mirrored disks count once."""


def list_disks(root: Path = Path("/")) -> list[Disk]:
    """Return every real disk that holds a medium, by name; no volumes, arrays, loop devices or memory disks."""
    found = []
    try:
        names = sorted(entry.name for entry in (root / "sys/block").iterdir())
    except OSError:
        return []
    for name in names:
        device = _by_name(root, name)
        if device is None or name.startswith(_NO_DISKS) or _children(device) or read_number(device / "hidden") == 1:
            continue
        disk = _disk(root, device)
        # An eMMC shows its boot areas as disks of their own.
        if disk.size_bytes > 0 and disk.kind is not DiskKind.MEMORY and "boot" not in name:
            found.append(disk)
    return found


def disk_named(root: Path, name: str) -> Disk | None:
    """Return the disk of this kernel name, or ``None`` if there is none."""
    device = _by_name(root, name)
    return None if device is None else _disk(root, device)


def storage_under(root: Path, path: Path) -> Storage | None:
    """Return what carries the file system that holds ``path``, or ``None`` if no block device does.

    Args:
        path: absolute, as seen from ``root``.
    """
    device = _device_under(root, path)
    if device is None:
        return None
    disks: dict[str, Disk] = {}
    sizes: dict[str, int] = {}
    _collect(root, device, disks, sizes, _MAX_LAYERS)
    if not disks:
        return None
    return Storage(tuple(disks[name] for name in sorted(disks)), sum(sizes.values()))


def _device_under(root: Path, path: Path) -> Path | None:
    mount = mount_of(root, path)
    if mount is None:
        return None
    link = root / "sys/dev/block" / mount.device
    if link.exists():
        return link.resolve()
    # btrfs gives an anonymous number; the source names a device, a mapper name or the volume behind it.
    if not mount.source.startswith("/dev/"):
        return None
    name = mount.source.removeprefix("/dev/")
    if name.startswith("mapper/"):
        return _by_mapper_name(root, name.removeprefix("mapper/"))
    return _by_name(root, name.replace("/", "!"))


def _collect(root: Path, device: Path, disks: dict[str, Disk], sizes: dict[str, int], layers: int) -> None:
    """Add the disks under ``device``, and the sizes that count, each once under the name of what has it."""
    if layers == 0:
        return
    if (device / "partition").exists():
        _collect(root, device.parent, disks, sizes, layers - 1)
        return
    backing = read_text(device / "loop/backing_file")
    if backing:
        below = _device_under(root, Path(backing))
        lower = [below] if below is not None else []
    else:
        lower = _children(device)
    if not lower:
        disk = _disk(root, device)
        disks[disk.name] = disk
        sizes[disk.name] = disk.size_bytes
        return
    # Members of an array or paths to one disk hold the same bytes more than once, and a loop device has its file's
    # size: there the layer's own size counts. Elsewhere the disks below are counted.
    own = bool(backing) or _is_redundant(device, lower)
    into = {} if own else sizes
    for item in lower:
        _collect(root, item, disks, into, layers - 1)
    if own:
        sizes[device.name] = _size(device)


def _is_redundant(device: Path, lower: Iterable[Path]) -> bool:
    if (device / "md").is_dir() or (read_text(device / "dm/uuid") or "").startswith("mpath-"):
        return True
    return any("_rimage_" in (read_text(item / "dm/name") or "") for item in lower)


def _children(device: Path) -> list[Path]:
    try:
        return sorted(entry.resolve() for entry in (device / "slaves").iterdir())
    except OSError:
        return []


def _by_name(root: Path, name: str) -> Path | None:
    for place in ("sys/class/block", "sys/block"):
        link = root / place / name
        if link.exists():
            return link.resolve()
    return None


def _by_mapper_name(root: Path, name: str) -> Path | None:
    for device in (root / "sys/block").glob("dm-*"):
        if read_text(device / "dm/name") == name:
            return device.resolve()
    return None


def _size(device: Path) -> int:
    return (read_number(device / "size") or 0) * SECTOR_BYTES


def _disk(root: Path, device: Path) -> Disk:
    vendor = read_text(device / "device/vendor") or ""
    # virtio and PCI devices have a number where SCSI disks have a name.
    parts = ["" if vendor.startswith("0x") else vendor, read_text(device / "device/model") or ""]
    # A device names itself, and what it says is printed on consoles.
    model = "".join(c for c in " ".join(part for part in parts if part and part != "ATA") if c.isprintable())
    removable = read_number(device / "removable") == 1
    return Disk(
        name=device.name,
        model=model,
        size_bytes=_size(device),
        kind=_kind(root, device, model, removable=removable),
        removable=removable,
        read_only=read_number(device / "ro") == 1,
    )


def _kind(root: Path, device: Path, model: str, *, removable: bool) -> DiskKind:
    # Only the part below sysfs counts: a recorded tree may stand in a directory of any name.
    way = "/" + str(device.relative_to((root / "sys").resolve()))
    name, spins = device.name, read_number(device / "queue/rotational") != 0
    if name.startswith(("zram", "ram", "pmem")):
        return DiskKind.MEMORY
    if name.startswith(("nbd", "rbd", "drbd")) or "/session" in way:
        return DiskKind.NETWORK
    if "/virtio" in way or name.startswith("xvd") or any(word in model for word in _VIRTUAL_VENDORS):
        return DiskKind.VIRTUAL
    if "/usb" in way:
        return DiskKind.USB if spins or removable else DiskKind.USB_SSD
    if name.startswith("nvme"):
        return DiskKind.NVME
    if name.startswith("mmcblk"):
        return DiskKind.CARD
    if not spins:
        return DiskKind.SSD
    return DiskKind.CONTROLLER if any(word in model for word in _RAID_VENDORS) else DiskKind.ROTATING
