from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bpci_node.host.checks.processor import ARCHITECTURE, CORES, INSTRUCTIONS
from bpci_node.host.profiles import COMMUNITY, DEV, ENTERPRISE
from bpci_node.host.result import Verdict
from bpci_node.host.runner import run_check


def test_eight_threads_on_four_cores_are_enough_for_a_community_node(machine: Callable[[str], Any]) -> None:
    result = run_check(CORES, machine("mini_pc").context(), COMMUNITY)
    assert (result.measured, result.verdict, result.text) == (8, Verdict.PASS, "8 processors on 4 cores")


def test_two_processors_are_enough_to_try_it_out_only(machine: Callable[[str], Any]) -> None:
    context = machine("virtual_machine").context()
    assert run_check(CORES, context, DEV).verdict is Verdict.PASS
    assert run_check(CORES, context, COMMUNITY).verdict is Verdict.FAIL


def test_affinity_and_quota_take_processors_away(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    tree.write("proc/self/status", "Cpus_allowed_list:\t0-5")
    result = run_check(CORES, tree.context(), COMMUNITY)
    assert (result.measured, result.verdict) == (6, Verdict.FAIL)
    assert "Lift the limit" in result.hint
    tree.mount("0:30", "/sys/fs/cgroup", "cgroup2", "cgroup2")
    tree.write("proc/self/cgroup", "0::/")
    tree.write("sys/fs/cgroup/cpu.max", "350000 100000")
    result = run_check(CORES, tree.context(), COMMUNITY)
    assert (result.measured, result.facts["quota_milli"]) == (3, 3500)


def test_without_a_list_of_processors_the_number_is_unknown(tree: Any) -> None:
    assert run_check(CORES, tree.context(), DEV).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("name", "verdict"), [("x86_64", "pass"), ("aarch64", "pass"), ("armv7l", "fail"), ("", "unknown")]
)
def test_64_bit_pc_and_arm_are_supported(tree: Any, name: str, verdict: Any) -> None:
    assert run_check(ARCHITECTURE, replace(tree.context(), machine=name), COMMUNITY).verdict.value == verdict


def test_both_families_have_their_own_names_for_instructions(machine: Callable[[str], Any]) -> None:
    assert run_check(INSTRUCTIONS, machine("arm_board").context(), ENTERPRISE).text == "AES, NEON"


def test_a_missing_instruction_weighs_as_the_profile_says(machine: Callable[[str], Any]) -> None:
    tree = machine("mini_pc")
    tree.write("proc/cpuinfo", "flags: sse2 avx2")
    results = [run_check(INSTRUCTIONS, tree.context(), profile) for profile in (DEV, COMMUNITY, ENTERPRISE)]
    assert [result.verdict for result in results] == [Verdict.PASS, Verdict.WARN, Verdict.FAIL]
    assert results[0].text == "AVX2, no AES"


def test_instructions_of_another_architecture_are_not_guessed(tree: Any) -> None:
    result = run_check(INSTRUCTIONS, replace(tree.context(), machine="riscv64"), COMMUNITY)
    assert result.verdict is Verdict.UNKNOWN
