from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.host.disks import DiskKind, disk_named, list_disks, storage_under

DATA = Path("/var/lib/bpci/node")


@pytest.mark.parametrize(
    ("name", "disks", "size_bytes", "kind"),
    [
        ("mini_pc", ["nvme0n1"], 512_110_190_592, DiskKind.NVME),
        ("virtual_machine", ["vda"], 16 << 30, DiskKind.VIRTUAL),
        ("lvm_server", ["sda", "sdb"], 2 * 480_103_981_056, DiskKind.SSD),
        ("mirrored", ["sda", "sdb"], 999_000_000_000, DiskKind.ROTATING),
        ("stick", ["sdb"], 62_109_253_632, DiskKind.USB),
        ("arm_board", ["mmcblk0"], 64_000_000_000, DiskKind.CARD),
    ],
)
def test_the_disks_under_the_data_directory_are_found_through_every_layer(
    machine: Callable[[str], Any], name: str, disks: list[str], size_bytes: int, kind: Any
) -> None:
    storage = storage_under(machine(name).root, DATA)
    assert [disk.name for disk in storage.disks] == disks
    assert {disk.kind for disk in storage.disks} == {kind}
    assert storage.size_bytes == size_bytes


def test_one_disk_under_two_volumes_counts_once(tree: Any) -> None:
    disk = tree.disk("sda", "8:0", "pci0/ata1/block", 10**12)
    parts = [tree.partition(disk, f"sda{n}", f"8:{n}", 4 * 10**11) for n in (1, 2)]
    tree.volume("dm-0", "253:0", 8 * 10**11, parts, title="vg-data")
    tree.mount("253:0", "/", "ext4", "/dev/mapper/vg-data")
    assert storage_under(tree.root, DATA).size_bytes == 10**12 // 512 * 512


def test_two_paths_to_one_disk_count_once(tree: Any) -> None:
    paths = [tree.disk(f"sd{c}", f"8:{n}", f"pci0/fc/{c}/block", 10**12) for n, c in enumerate("ab")]
    tree.volume("dm-0", "253:0", 10**12, paths, title="mpatha", uuid="mpath-3600")
    tree.mount("253:0", "/", "ext4", "/dev/mapper/mpatha")
    assert storage_under(tree.root, DATA).size_bytes == 10**12 // 512 * 512


def test_a_mirrored_volume_has_its_own_size(tree: Any) -> None:
    disks = [tree.disk(f"sd{c}", f"8:{n}", f"pci0/ata{n}/block", 10**12) for n, c in enumerate("ab")]
    images = [
        tree.volume(f"dm-{n}", f"253:{n}", 9 * 10**11, [disk], title=f"vg-data_rimage_{n}")
        for n, disk in enumerate(disks)
    ]
    tree.volume("dm-2", "253:2", 9 * 10**11, images, title="vg-data")
    tree.mount("253:2", "/", "ext4", "/dev/mapper/vg-data")
    assert storage_under(tree.root, DATA).size_bytes == 9 * 10**11 // 512 * 512


def test_a_loop_device_has_the_kind_of_the_disk_that_holds_its_file_and_its_own_size(tree: Any) -> None:
    tree.disk("sda", "8:0", "pci0/ata1/block", 10**12, rotational=1)
    loop = tree.disk("loop0", "7:0", "virtual/block", 20 * 10**9)
    tree.write(f"{loop}/loop/backing_file", "/srv/data.img")
    tree.mount("8:0", "/", "ext4", "/dev/sda")
    tree.mount("7:0", "/var/lib/bpci", "ext4", "/dev/loop0")
    storage = storage_under(tree.root, DATA)
    assert [(disk.name, disk.kind) for disk in storage.disks] == [("sda", DiskKind.ROTATING)]
    assert storage.size_bytes == 20 * 10**9 // 512 * 512


def test_a_loop_that_carries_itself_ends(tree: Any) -> None:
    loop = tree.disk("loop0", "7:0", "virtual/block", 20 * 10**9)
    tree.write(f"{loop}/loop/backing_file", "/data.img")
    tree.mount("7:0", "/", "ext4", "/dev/loop0")
    assert storage_under(tree.root, DATA) is None


def test_btrfs_is_found_by_its_source(tree: Any) -> None:
    disk = tree.disk("sda", "8:0", "pci0/ata1/block", 10**12)
    part = tree.partition(disk, "sda2", "8:2", 9 * 10**11)
    tree.mount("0:25", "/", "btrfs", "/dev/sda2")
    assert [item.name for item in storage_under(tree.root, DATA).disks] == ["sda"]
    tree.volume("dm-0", "253:0", 9 * 10**11, [part], title="vg-root")
    tree.mount("0:26", "/var", "btrfs", "/dev/mapper/vg-root")
    assert [item.name for item in storage_under(tree.root, DATA).disks] == ["sda"]


@pytest.mark.parametrize(("kind", "source"), [("overlay", "overlay"), ("zfs", "tank/data"), ("nfs4", "192.0.2.1:/x")])
def test_what_no_block_device_carries_is_not_guessed(tree: Any, kind: Any, source: str) -> None:
    tree.mount("0:40", "/", kind, source)
    assert storage_under(tree.root, DATA) is None


def test_without_a_mount_table_nothing_is_found(tree: Any) -> None:
    assert storage_under(tree.root, DATA) is None


def test_the_last_mount_on_a_point_covers_the_others_and_names_may_hold_spaces(tree: Any) -> None:
    tree.disk("sda", "8:0", "pci0/ata1/block", 10**12)
    tree.disk("sdb", "8:16", "pci0/ata2/block", 10**12)
    tree.mount("8:0", "/my\\040data", "ext4", "/dev/sda")
    tree.mount("8:16", "/my\\040data", "ext4", "/dev/sdb")
    assert [disk.name for disk in storage_under(tree.root, Path("/my data/node")).disks] == ["sdb"]


ATTACHED: list[tuple[str, str, dict[str, Any], DiskKind]] = [
    ("sda", "pci0/usb2/2-1/host4/block", {"model": "T7"}, DiskKind.USB_SSD),
    ("sda", "pci0/usb2/2-1/host4/block", {"model": "Expansion", "rotational": 1}, DiskKind.USB),
    ("sda", "pci0/usb2/2-1/host4/block", {"model": "Ultra", "removable": 1}, DiskKind.USB),
    ("sda", "pci0/host2/block", {"vendor": "VMware", "model": "Virtual disk", "rotational": 1}, DiskKind.VIRTUAL),
    ("sda", "pci0/virtio3/host2/block", {"rotational": 1}, DiskKind.VIRTUAL),
    ("nvme0n1", "pci0/nvme/nvme0", {"model": "Amazon Elastic Block Store"}, DiskKind.VIRTUAL),
    ("xvda", "vbd-51712/block", {}, DiskKind.VIRTUAL),
    ("sda", "pci0/host0/block", {"vendor": "DELL", "model": "PERC H730 Mini", "rotational": 1}, DiskKind.CONTROLLER),
    ("sda", "pci0/host0/block", {"vendor": "DELL", "model": "PERC H730 Mini"}, DiskKind.SSD),
    ("sda", "platform/host3/session1/target3:0:0/block", {"vendor": "LIO-ORG"}, DiskKind.NETWORK),
    ("nbd0", "virtual/block", {}, DiskKind.NETWORK),
    ("zram0", "virtual/block", {}, DiskKind.MEMORY),
    ("nvme0n1", "virtual/nvme-subsystem/nvme-subsys0", {"model": "WD_BLACK SN770"}, DiskKind.NVME),
]


@pytest.mark.parametrize(("name", "way", "told", "kind"), ATTACHED)
def test_the_way_a_disk_is_attached_decides_before_its_rotational_flag(
    tree: Any, name: str, way: str, told: dict[str, Any], kind: DiskKind
) -> None:
    tree.disk(name, "8:0", way, 10**12, **told)
    assert disk_named(tree.root, name).kind is kind


def test_the_list_holds_real_disks_with_a_medium_only(machine: Callable[[str], Any], tree: Any) -> None:
    assert [disk.name for disk in list_disks(machine("stick").root)] == ["sda", "sdb"]


def test_boot_areas_of_an_emmc_and_hidden_paths_are_not_listed(machine: Callable[[str], Any]) -> None:
    tree = machine("arm_board")
    hidden = tree.disk("nvme0c0n1", "259:9", "pci0/nvme/nvme0", 10**12)
    tree.write(f"{hidden}/hidden", 1)
    assert [disk.name for disk in list_disks(tree.root)] == ["mmcblk0"]


def test_what_a_disk_says_of_itself_cannot_drive_a_console(machine: Callable[[str], Any]) -> None:
    assert disk_named(machine("stick").root, "sdb").model == "SanDisk Ultra[31m"


def test_this_machine_lists_no_disk_twice_and_finds_its_own_root() -> None:
    disks = list_disks()
    assert len({disk.name for disk in disks}) == len(disks)
    storage = storage_under(Path("/"), Path("/"))
    assert storage is None or storage.size_bytes > 0
