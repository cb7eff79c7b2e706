"""The disk: its size, what kind it is, and how much of it the node's data can have.

Size means the whole disk, because that is what is bought and what an owner can compare; the file system gets a check
of its own, because a large disk with a small partition holds no more than the partition.
"""

from __future__ import annotations

from collections.abc import Iterable

from bpci_node.host.check import PASS, Check, in_gb, number, without
from bpci_node.host.context import Context
from bpci_node.host.disks import Disk, DiskKind, Storage, disk_named, storage_under
from bpci_node.host.mounts import mount_of
from bpci_node.host.profiles import Need, Profile
from bpci_node.host.result import CouldNotTellError, Judgement, Measured, Requirement, Verdict

KIND_TEXTS = {
    DiskKind.NVME: "NVMe SSD",
    DiskKind.SSD: "SSD",
    DiskKind.ROTATING: "rotating disk",
    DiskKind.USB_SSD: "SSD on USB",
    DiskKind.USB: "USB stick or disk",
    DiskKind.CARD: "memory card or eMMC",
    DiskKind.CONTROLLER: "behind a RAID controller",
    DiskKind.VIRTUAL: "virtual disk",
    DiskKind.NETWORK: "network disk",
    DiskKind.MEMORY: "memory, lost at power-off",
}
"""Kinds of disks for people, worst last only where the order of :data:`_WORST_FIRST` says so."""

_WORST_FIRST = (
    DiskKind.MEMORY,
    DiskKind.USB,
    DiskKind.CARD,
    DiskKind.ROTATING,
    DiskKind.NETWORK,
    DiskKind.CONTROLLER,
    DiskKind.USB_SSD,
    DiskKind.VIRTUAL,
    DiskKind.SSD,
    DiskKind.NVME,
)
_UNFIT = {DiskKind.MEMORY, DiskKind.USB, DiskKind.CARD, DiskKind.ROTATING}


def _storage(context: Context) -> Storage:
    if context.disk is not None:
        disk = disk_named(context.root, context.disk)
        if disk is None:
            raise CouldNotTellError(f"there is no disk {context.disk}", "Choose one of the disks that `lsblk` lists.")
        return Storage((disk,), disk.size_bytes)
    storage = storage_under(context.root, context.data_dir)
    if storage is not None:
        return storage
    mount = mount_of(context.root, context.data_dir)
    if mount is not None and mount.kind in {"tmpfs", "ramfs"}:
        disk = Disk(mount.kind, "", 0, DiskKind.MEMORY, removable=False, read_only=False)
        return Storage((disk,), 0)
    what = "no file system" if mount is None else f"a {mount.kind} file system, whose disks can't be seen from here"
    raise CouldNotTellError(
        f"{context.data_dir} lies on {what}", "Run the check on the machine itself, or put the data on a local disk."
    )


def _names(disks: Iterable[Disk]) -> list[str]:
    return [disk.name for disk in disks]


def _measure_size(context: Context) -> Measured:
    storage = _storage(context)
    facts = {"disks": _names(storage.disks), "models": [disk.model for disk in storage.disks]}
    return Measured(
        storage.size_bytes, "bytes", f"{in_gb(storage.size_bytes)} ({', '.join(_names(storage.disks))})", {**facts}
    )


def _require_size(profile: Profile) -> Requirement:
    return Requirement(f"at least {in_gb(profile.storage_bytes)}", needed=True)


def _judge_size(measured: Measured, profile: Profile) -> Judgement:
    if number(measured) >= profile.storage_bytes:
        return PASS
    return Judgement(Verdict.FAIL, f"Use a disk of {in_gb(profile.storage_bytes)} or more.")


SIZE = Check("storage_size", "Disk size", _measure_size, _require_size, _judge_size)


def _measure_kind(context: Context) -> Measured:
    storage = _storage(context)
    worst = min(storage.disks, key=lambda disk: _WORST_FIRST.index(disk.kind))
    text = KIND_TEXTS[worst.kind]
    if worst.model:
        text += f" {worst.model}"
    return Measured(worst.kind.value, "", text, {"kinds": [disk.kind.value for disk in storage.disks]})


def _require_kind(profile: Profile) -> Requirement:
    if profile.solid_state is Need.NONE:
        return Requirement("any", needed=False)
    return Requirement("SSD, NVMe preferred", needed=True)


def _judge_kind(measured: Measured, profile: Profile) -> Judgement:
    kind = DiskKind(str(measured.value))
    if kind in {DiskKind.NVME, DiskKind.SSD}:
        return PASS
    if kind in _UNFIT:
        return without(profile.solid_state, "Put the node on an internal SSD, best an NVMe one.")
    if profile.solid_state is Need.NONE:
        return PASS
    if kind is DiskKind.USB_SSD:
        return Judgement(
            Verdict.WARN, "A disk on USB can come loose, and many bridges lose writes: use an internal SSD."
        )
    return Judgement(
        Verdict.WARN, "What lies behind it can't be seen from here: make sure it is an SSD, and look at flush latency."
    )


KIND = Check("storage_kind", "Disk kind", _measure_kind, _require_kind, _judge_kind)


def _measure_space(context: Context) -> Measured:
    if context.disk is not None:
        raise CouldNotTellError(
            "not yet installed on this disk", "It is measured once the node runs from this disk.", later=True
        )
    directory = context.existing_data_dir()
    mount = mount_of(context.root, context.data_dir)
    try:
        usable = context.capacity(directory)
    except OSError as error:
        raise CouldNotTellError(f"{context.data_dir} can't be looked at: {error.strerror}") from None
    text = f"{in_gb(usable)} usable"
    if mount is not None:
        text += f" ({mount.kind} on {mount.point})"
    return Measured(usable, "bytes", text)


def _require_space(profile: Profile) -> Requirement:
    return Requirement(f"at least {in_gb(profile.usable_bytes)}", needed=True)


def _judge_space(measured: Measured, profile: Profile) -> Judgement:
    if number(measured) >= profile.usable_bytes:
        return PASS
    return Judgement(Verdict.FAIL, "Enlarge the partition that holds the node's data, or mount a larger one there.")


SPACE = Check("storage_space", "Room for data", _measure_space, _require_space, _judge_space)
