from collections.abc import Callable
from typing import Any

import pytest

from bpci_node.host.checks.memory import MEMORY
from bpci_node.host.profiles import COMMUNITY, DEV, ENTERPRISE, Profile
from bpci_node.host.result import CheckResult, Verdict
from bpci_node.host.runner import run_check

GIB = 1 << 30
MIB = 1 << 20


def judge(tree: Any, profile: Profile = COMMUNITY) -> CheckResult:
    return run_check(MEMORY, tree.context(), profile)


def test_a_machine_sold_with_8_gb_passes_with_7_6_gib_usable(machine: Callable[[str], Any]) -> None:
    result = judge(machine("mini_pc"))
    assert result.verdict is Verdict.WARN  # 16 GB are advised
    assert (result.measured, result.facts["evidence"]) == (8 * GIB, "firmware")
    assert result.text == "8 GiB installed, 7.6 GiB usable"


def test_an_arm_board_of_8_gb_without_firmware_tables_passes_by_its_memory_blocks(
    machine: Callable[[str], Any],
) -> None:
    result = judge(machine("arm_board"))
    assert (result.verdict, result.facts["evidence"]) == (Verdict.WARN, "blocks")


def test_graphics_that_takes_two_of_eight_gb_fails_and_says_where_to_change_it(tree: Any) -> None:
    tree.memory(5900 * MIB, modules=(8 * GIB,))
    result = judge(tree)
    assert result.verdict is Verdict.FAIL
    assert "graphics" in result.hint


@pytest.mark.parametrize(
    ("total_mib", "blocks", "modules_gib", "verdict"),
    [
        (15900, 0, (16,), Verdict.PASS),
        (7400, 0, (4, 4), Verdict.WARN),
        (5900, 47, (6,), Verdict.FAIL),
        (7200, 58, (), Verdict.FAIL),  # a virtual machine of 7.25 GiB, seen by its blocks
        (7700, 62, (), Verdict.WARN),
        (7200, 0, (), Verdict.WARN),  # nothing but the total: the tolerance has to do
        (7100, 0, (), Verdict.FAIL),
        (7700, 62, (2,), Verdict.WARN),  # firmware that lists less than there is, is not believed
    ],
)
def test_evidence_is_weighed_from_best_to_least(
    tree: Any, total_mib: int, blocks: int, modules_gib: tuple[int, ...], verdict: Any
) -> None:
    tree.memory(total_mib * MIB, blocks=blocks, modules=tuple(size * GIB for size in modules_gib))
    assert judge(tree).verdict is verdict


def test_a_limit_on_the_process_counts_as_its_memory(machine: Callable[[str], Any]) -> None:
    tree = machine("lvm_server")
    assert judge(tree, ENTERPRISE).verdict is Verdict.WARN
    tree.mount("0:30", "/sys/fs/cgroup", "cgroup2", "cgroup2")
    tree.write("proc/self/cgroup", "0::/")
    tree.write("sys/fs/cgroup/memory.max", 4 * GIB)
    result = judge(tree)
    assert (result.verdict, result.measured) == (Verdict.FAIL, 4 * GIB)
    assert "limit" in result.hint
    assert judge(tree, DEV).verdict is Verdict.PASS


def test_memory_blocks_that_are_offline_do_not_count(tree: Any) -> None:
    tree.memory(7700 * MIB, blocks=64)
    for number in range(4):
        tree.write(f"sys/devices/system/memory/memory{number}/online", 0)
    assert judge(tree).text.startswith("7.5 GiB")


def test_an_unreadable_size_is_unknown(tree: Any) -> None:
    tree.write("proc/meminfo", "MemTotal: lots")
    assert judge(tree).verdict is Verdict.UNKNOWN


def test_a_small_virtual_machine_passes_the_development_profile(machine: Callable[[str], Any]) -> None:
    assert judge(machine("virtual_machine"), DEV).verdict is Verdict.PASS
