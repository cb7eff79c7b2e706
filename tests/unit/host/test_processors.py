from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.host import processors


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-3,8", {0, 1, 2, 3, 8}), ("0", {0}), ("", set()), ("x", set()), ("3-1", set())]
)
def test_lists_of_processors_are_read(text: str, numbers: set[int]) -> None:
    assert processors.parse_list(text) == numbers


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_of_single_numbers_gives_them_back(numbers: set[int]) -> None:
    assert processors.parse_list(",".join(map(str, numbers))) == numbers


def test_threads_are_counted_once_as_cores(machine: Callable[[str], Any]) -> None:
    root = machine("mini_pc").root
    assert processors.physical_cores(root, processors.online(root)) == 4


def test_without_topology_cores_are_not_claimed(tree: Any) -> None:
    assert processors.physical_cores(tree.root, {0}) is None


def test_only_instructions_of_every_processor_count(tree: Any) -> None:
    tree.write("proc/cpuinfo", "processor: 0\nflags: aes avx2\n\nprocessor: 1\nflags: aes")
    assert processors.instructions(tree.root) == {"aes"}


def test_this_machine_may_run_on_what_it_has() -> None:
    assert processors.allowed() <= processors.online()
