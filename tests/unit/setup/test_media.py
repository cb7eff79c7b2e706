import os
import stat
from pathlib import Path

import pytest

from bpci_node.setup import media
from bpci_node.setup.system import Finished
from tests.unit.setup.simulated import SimulatedMachine


class Volume:
    """A FAT volume: mounting it makes its directory appear."""

    def __init__(self, machine: SimulatedMachine, content: Path) -> None:
        self.machine, self.content, self.options = machine, content, ""
        machine.__dict__["_blkid"] = lambda _argv, _stdin: Finished(0, b"/dev/sdb\n", "")
        machine.__dict__["_mount"] = self.mount
        machine.__dict__["_umount"] = self.umount

    def mount(self, argv: tuple[str, ...], _stdin: bytes) -> None:
        self.options = argv[4]
        point = Path(argv[-1])
        point.rmdir()
        point.symlink_to(self.content)

    def umount(self, argv: tuple[str, ...], _stdin: bytes) -> None:
        point = Path(argv[-1])
        point.unlink()
        point.mkdir()


@pytest.fixture
def volume(machine: SimulatedMachine, tmp_path: Path) -> Volume:
    (tmp_path / "bpci").mkdir()
    return Volume(machine, tmp_path)


def test_the_directory_bpci_of_a_labelled_volume_is_read_and_nothing_else(volume: Volume) -> None:
    (volume.content / "bpci/Answers.toml").write_bytes(b"v = 1")
    (volume.content / "bpci/network.json").write_bytes(b"{}")
    (volume.content / "bpci/big.bin").write_bytes(bytes(media.MAX_FILE_BYTES + 1))
    (volume.content / "other.txt").write_bytes(b"no")
    [found] = media.read_media(volume.machine.system)
    assert found.device == "/dev/sdb"
    assert found.files == {"answers.toml": b"v = 1", "network.json": b"{}"}
    assert volume.options == "ro,nosuid,nodev,noexec,umask=0077"
    assert stat.S_ISDIR(os.lstat(volume.machine.root / "run/bpci-setup/medium").st_mode)  # not mounted any more


def test_a_volume_without_that_directory_is_no_medium(volume: Volume) -> None:
    (volume.content / "bpci").rmdir()
    assert media.read_media(volume.machine.system) == []


def test_a_volume_that_can_not_be_mounted_is_as_good_as_absent(volume: Volume) -> None:
    volume.machine.failing["mount"] = "mount: wrong fs type"
    assert media.read_media(volume.machine.system) == []


def test_the_efi_partition_of_the_boot_disk_is_looked_at_last(volume: Volume, machine: SimulatedMachine) -> None:
    machine.boot_from_stick()
    partition = machine.root / "sys/block/sda/sda1"
    partition.mkdir()
    (partition / "uevent").write_text("DEVTYPE=partition\nPARTNAME=bpci-esp\n")
    (volume.content / "bpci/answers.toml").write_bytes(b"v = 1")
    assert [item.device for item in media.read_media(machine.system)] == ["/dev/sdb", "/dev/sda1"]


def test_answers_that_were_used_are_overwritten_and_removed(volume: Volume) -> None:
    path = volume.content / "bpci/answers.toml"
    path.write_bytes(b'password = "correct horse battery"')
    link = volume.content / "kept"
    os.link(path, link)
    assert media.forget_answers(volume.machine.system, "/dev/sdb")
    assert not path.exists()
    assert link.read_bytes().strip() == b""
    assert volume.options.startswith("rw,")


def test_a_medium_that_can_not_be_written_is_told(volume: Volume) -> None:
    volume.machine.failing["mount"] = "mount: write-protected"
    assert not media.forget_answers(volume.machine.system, "/dev/sdb")
