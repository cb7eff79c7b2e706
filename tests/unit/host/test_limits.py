from typing import Any

import pytest

from bpci_node.host.limits import memory_limit_bytes, processor_quota_milli

GIB = 1 << 30


@pytest.fixture
def unified(tree: Any) -> Any:
    tree.mount("0:30", "/sys/fs/cgroup", "cgroup2", "cgroup2")
    tree.write("proc/self/cgroup", "0::/system.slice/bpci-node.service")
    tree.write("sys/fs/cgroup/cgroup.controllers", "cpu memory")
    return tree


def test_without_groups_there_is_no_limit(tree: Any) -> None:
    assert processor_quota_milli(tree.root) is None
    assert memory_limit_bytes(tree.root) is None


def test_the_smallest_limit_of_all_groups_above_counts(unified: Any) -> None:
    base = "sys/fs/cgroup/system.slice"
    unified.write(f"{base}/memory.max", 4 * GIB)
    unified.write(f"{base}/cpu.max", "150000 100000")
    unified.write(f"{base}/bpci-node.service/memory.max", "max")
    unified.write(f"{base}/bpci-node.service/cpu.max", "max 100000")
    assert memory_limit_bytes(unified.root) == 4 * GIB
    assert processor_quota_milli(unified.root) == 1500


def test_a_container_that_sees_only_its_own_root_is_limited_by_it(unified: Any) -> None:
    unified.write("sys/fs/cgroup/memory.max", 2 * GIB)
    assert memory_limit_bytes(unified.root) == 2 * GIB


def test_the_first_version_of_groups_is_read_too(tree: Any) -> None:
    tree.mount("0:31", "/sys/fs/cgroup/cpu", "cgroup", "cgroup", "rw,cpu,cpuacct")
    tree.mount("0:32", "/sys/fs/cgroup/memory", "cgroup", "cgroup", "rw,memory")
    tree.write("proc/self/cgroup", "3:memory:/box\n2:cpu,cpuacct:/box\n1:name=systemd:/")
    tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    tree.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", 3 * GIB)
    tree.write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", 250000)
    tree.write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", 100000)
    assert memory_limit_bytes(tree.root) == 3 * GIB
    assert processor_quota_milli(tree.root) == 2500


def test_no_quota_is_no_limit_in_the_first_version(tree: Any) -> None:
    tree.mount("0:31", "/sys/fs/cgroup/cpu", "cgroup", "cgroup", "rw,cpu")
    tree.write("proc/self/cgroup", "2:cpu:/")
    tree.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", -1)
    tree.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", 100000)
    assert processor_quota_milli(tree.root) is None


@pytest.mark.parametrize("text", ["", "max", "50000", "x y", "50000 0"])
def test_what_cannot_be_read_is_no_limit(unified: Any, text: str) -> None:
    unified.write("sys/fs/cgroup/cpu.max", text)
    assert processor_quota_milli(unified.root) is None
