from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

MIB = 2**20
ENVIRONMENT = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
DiskMaker = Callable[..., subprocess.CompletedProcess[str]]


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout


def partitions(disk: Path) -> dict[str, dict[str, str]]:
    found = {}
    for line in output("sfdisk", "--dump", disk).splitlines():
        fields = {key: value.strip('"') for key, value in re.findall(r'(\w+)= *("[^"]*"|[^,]+)', line)}
        if "name" in fields:
            found[fields["name"]] = fields
    return found


def on_esp(disk: Path, name: str) -> str:
    return output("mtype", "-i", f"{disk}@@{MIB}", f"::{name}")


def file_system(disk: Path, partition: str) -> dict[str, str]:
    offset = int(partitions(disk)[partition]["start"]) * 512
    listing = output("dumpe2fs", "-h", f"{disk}?offset={offset}")
    return dict(re.findall(r"^([^:]+): +(.*)$", listing, re.MULTILINE))


def test_the_disk_has_the_settled_layout(tiny_disk: Path) -> None:
    found = partitions(tiny_disk)
    assert list(found) == ["bpci-esp", "bpci-root-a", "bpci-root-b", "bpci-data"]
    sizes = [int(fields["size"]) * 512 // MIB for fields in found.values()]
    assert sizes[:3] == [512, 4096, 4096]
    assert found["bpci-esp"]["type"] == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    assert all(int(fields["start"]) % 2048 == 0 for fields in found.values())


def test_the_boot_loader_knows_this_disk_s_partitions(tiny_disk: Path) -> None:
    names = {"root_a": "bpci-root-a", "root_b": "bpci-root-b", "data": "bpci-data"}
    found = partitions(tiny_disk)
    settings = dict(re.findall(r"^set bpci_(\w+)=(.*)$", on_esp(tiny_disk, "EFI/bpci/disk.cfg"), re.MULTILINE))
    assert settings == {name: found[partition]["uuid"].lower() for name, partition in names.items()}


def test_the_signed_chain_lies_where_firmware_shim_and_grub_look(tiny_disk: Path) -> None:
    assert on_esp(tiny_disk, "EFI/BOOT/BOOTX64.EFI") == "shim"
    assert on_esp(tiny_disk, "EFI/BOOT/grubx64.efi") == "GRUB"
    assert on_esp(tiny_disk, "EFI/BOOT/mmx64.efi") == "key manager"
    assert on_esp(tiny_disk, "EFI/debian/grub.cfg") == "source ($root)/EFI/bpci/grub.cfg\n"
    assert "regexp" in on_esp(tiny_disk, "EFI/bpci/grub.cfg")


def test_slot_a_is_chosen_in_an_environment_block_that_grub_accepts(tiny_disk: Path) -> None:
    block = on_esp(tiny_disk, "EFI/bpci/grubenv")
    assert len(block) == 1024
    assert block.startswith("# GRUB Environment Block\nslot=a\n#")
    assert set(block.splitlines()[2]) == {"#"}


def test_root_a_holds_the_tree_and_root_b_waits_empty(tiny_disk: Path) -> None:
    offset = int(partitions(tiny_disk)["bpci-root-a"]["start"]) * 512
    assert output("debugfs", "-R", "cat /boot/vmlinuz", f"{tiny_disk}?offset={offset}") == "kernel"
    for name in ("bpci-root-a", "bpci-root-b", "bpci-data"):
        header = file_system(tiny_disk, name)
        assert header["Filesystem volume name"] == name
        assert header["Filesystem state"] == "clean"
    empty = file_system(tiny_disk, "bpci-root-b")
    assert int(empty["Inode count"]) - int(empty["Free inodes"]) == 11


def test_grub_of_both_distributions_can_read_the_roots(tiny_disk: Path) -> None:
    features = file_system(tiny_disk, "bpci-root-a")["Filesystem features"].split()
    assert not {"metadata_csum_seed", "orphan_file", "encrypt"} & set(features)


def test_data_is_born_small_with_the_geometry_of_what_it_grows_to(tiny_disk: Path) -> None:
    header = file_system(tiny_disk, "bpci-data")
    assert header["Block size"] == "4096"
    assert int(header["Reserved GDT blocks"]) * 64 * 128 >= 4 * 2**20  # MiB: 64 groups of 128 MiB in a block, to 4 TiB


def test_no_two_disks_share_an_identifier(
    make_disk: DiskMaker, tiny_root: Path, tiny_disk: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.img"
    assert make_disk(tiny_root, other).returncode == 0
    first, second = partitions(tiny_disk), partitions(other)
    assert not {fields["uuid"] for fields in first.values()} & {fields["uuid"] for fields in second.values()}


def test_a_machine_without_data_is_not_told_of_the_partition(
    make_disk: DiskMaker, tiny_root: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    assert make_disk(tiny_root, disk, "--no-data").returncode == 0
    assert "bpci_data" not in on_esp(disk, "EFI/bpci/disk.cfg")


def test_a_root_that_would_not_boot_is_refused(make_disk: DiskMaker, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    refused = make_disk(root, tmp_path / "disk.img")
    assert refused.returncode == 1
    assert "has no /boot/vmlinuz" in refused.stderr
    assert not (tmp_path / "disk.img").exists()
