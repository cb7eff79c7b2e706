from collections.abc import Callable
from typing import Any

import pytest

from bpci_node.host.checks.storage import _WORST_FIRST, KIND, KIND_TEXTS, SIZE, SPACE
from bpci_node.host.disks import DiskKind
from bpci_node.host.profiles import COMMUNITY, DEV, ENTERPRISE
from bpci_node.host.result import Verdict
from bpci_node.host.runner import run_check


@pytest.mark.parametrize(
    ("name", "size", "kind"),
    [
        ("mini_pc", "pass", "pass"),
        ("virtual_machine", "fail", "warn"),
        ("lvm_server", "pass", "pass"),
        ("mirrored", "pass", "fail"),
        ("stick", "fail", "fail"),
        ("arm_board", "fail", "fail"),
    ],
)
def test_recorded_machines_are_judged_for_a_community_node(
    machine: Callable[[str], Any], name: str, size: str, kind: Any
) -> None:
    context = machine(name).context()
    assert run_check(SIZE, context, COMMUNITY).verdict.value == size
    assert run_check(KIND, context, COMMUNITY).verdict.value == kind


@pytest.mark.parametrize("name", ["virtual_machine", "mirrored", "stick", "arm_board"])
def test_any_disk_will_do_to_try_it_out(machine: Callable[[str], Any], name: str) -> None:
    context = machine(name).context()
    assert run_check(SIZE, context, DEV).verdict is Verdict.PASS
    assert run_check(KIND, context, DEV).verdict is Verdict.PASS


def test_a_disk_to_install_to_is_judged_instead_of_the_stick_that_was_booted(machine: Callable[[str], Any]) -> None:
    context = machine("stick").context(disk="sda")
    size = run_check(SIZE, context, COMMUNITY)
    assert (size.verdict, size.facts["disks"]) == (Verdict.PASS, ["sda"])
    assert run_check(KIND, context, COMMUNITY).text == "rotating disk ST2000DM008"
    space = run_check(SPACE, context, COMMUNITY)
    assert (space.verdict, space.needed) == (Verdict.UNKNOWN, False)


def test_a_disk_that_is_not_there_is_unknown(machine: Callable[[str], Any]) -> None:
    result = run_check(SIZE, machine("stick").context(disk="sdz"), COMMUNITY)
    assert (result.verdict, result.needed) == (Verdict.UNKNOWN, True)


def test_the_worst_of_several_disks_decides(tree: Any) -> None:
    fast = tree.disk("nvme0n1", "259:0", "pci0/nvme/nvme0", 10**12)
    slow = tree.disk("sda", "8:0", "pci0/ata1/block", 10**12, rotational=1)
    tree.volume("dm-0", "253:0", 19 * 10**11, [fast, slow], title="vg-data")
    tree.mount("253:0", "/", "ext4", "/dev/mapper/vg-data")
    result = run_check(KIND, tree.context(), COMMUNITY)
    assert (result.measured, result.verdict) == ("rotating", Verdict.FAIL)
    assert result.facts["kinds"] == ["nvme", "rotating"]


def test_data_in_memory_fails_and_says_so(tree: Any) -> None:
    tree.mount("0:40", "/", "tmpfs", "tmpfs")
    result = run_check(KIND, tree.context(), COMMUNITY)
    assert (result.measured, result.verdict) == ("memory", Verdict.FAIL)


def test_a_container_that_hides_the_disk_is_unknown(tree: Any) -> None:
    tree.mount("0:40", "/", "overlay", "overlay")
    result = run_check(SIZE, tree.context(), COMMUNITY)
    assert result.verdict is Verdict.UNKNOWN
    assert "overlay" in result.text


def test_a_disk_on_usb_is_warned_of(tree: Any) -> None:
    tree.disk("sda", "8:0", "pci0/usb2/2-1/block", 10**12)
    tree.mount("8:0", "/", "ext4", "/dev/sda")
    assert run_check(KIND, tree.context(), COMMUNITY).verdict is Verdict.WARN


def test_a_large_disk_with_a_small_partition_fails_on_room(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    assert run_check(SPACE, tree.context(), COMMUNITY).verdict is Verdict.PASS
    tree.usable_bytes = 100 * 10**9
    result = run_check(SPACE, tree.context(), COMMUNITY)
    assert (result.verdict, result.text) == (Verdict.FAIL, "100 GB usable (ext4 on /var/lib/bpci)")


def test_what_remains_of_a_disk_of_the_smallest_size_has_room_enough() -> None:
    # 512 MiB boot, two roots of 4 GiB, 2 % for the file system's own use and 5 % kept for root
    for profile in (COMMUNITY, ENTERPRISE):
        left = (profile.storage_bytes - (9 << 30)) * 98 * 95 // 10_000
        assert left >= profile.usable_bytes


def test_every_kind_has_words_and_a_rank() -> None:
    assert set(KIND_TEXTS) == set(_WORST_FIRST) == set(DiskKind)
