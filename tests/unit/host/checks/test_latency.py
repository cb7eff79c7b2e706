import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.host.checks import latency
from bpci_node.host.checks.latency import LATENCY, append_times_us, percentile
from bpci_node.host.context import Context
from bpci_node.host.profiles import COMMUNITY, DEV, ENTERPRISE
from bpci_node.host.result import Measured, Verdict
from bpci_node.host.runner import run_check


def measured(high_us: int, median_us: int = 1000) -> Measured:
    return Measured(high_us, "us", "", {"median_us": median_us})


def test_appends_are_timed_and_leave_nothing_behind(tmp_path: Path) -> None:
    times = append_times_us(tmp_path, most=20)
    assert len(times) == 20
    assert min(times) >= 0
    assert list(tmp_path.iterdir()) == []


def test_the_time_limit_ends_it_after_one_append(tmp_path: Path) -> None:
    assert len(append_times_us(tmp_path, seconds=0)) == 1


def test_an_error_on_the_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(latency.os, "fdatasync", full)
    result = run_check(LATENCY, Context(data_dir=tmp_path), COMMUNITY)
    assert (result.verdict, result.needed) == (Verdict.UNKNOWN, True)
    assert "No space left" in result.text
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_system_without_nameless_files_is_measured_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency.os, "O_TMPFILE", os.O_WRONLY | os.O_DIRECTORY)
    assert append_times_us(tmp_path, most=3)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_does_not_exist_yet_is_measured_at_its_parent(tmp_path: Path) -> None:
    result = run_check(LATENCY, Context(data_dir=tmp_path / "not" / "yet"), DEV)
    assert isinstance(result.measured, int)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_may_not_be_written_is_unknown(
    machine: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(latency, "open_nameless", refused)
    result = run_check(LATENCY, machine("mini_pc").context(), COMMUNITY)
    assert result.verdict is Verdict.UNKNOWN
    assert "--data-dir" in result.hint


def test_a_disk_to_install_to_is_measured_later(machine: Callable[[str], Any]) -> None:
    result = run_check(LATENCY, machine("stick").context(disk="sda"), COMMUNITY)
    assert (result.verdict, result.needed) == (Verdict.UNKNOWN, False)


@pytest.mark.parametrize(
    ("high_us", "community", "enterprise", "dev"),
    [
        (3_000, "pass", "pass", "pass"),
        (15_000, "pass", "warn", "pass"),
        (60_000, "warn", "fail", "pass"),
        (600_000, "fail", "fail", "warn"),
    ],
)
def test_slow_disks_are_judged_by_profile(high_us: int, community: str, enterprise: str, dev: str) -> None:
    verdicts = [LATENCY.judge(measured(high_us), profile).verdict.value for profile in (COMMUNITY, ENTERPRISE, DEV)]
    assert verdicts == [community, enterprise, dev]


def test_a_disk_that_answers_at_once_is_doubted() -> None:
    assert LATENCY.judge(measured(8, 2), COMMUNITY).verdict is Verdict.WARN
    assert LATENCY.judge(replace(measured(30), facts={"median_us": 20}), COMMUNITY).verdict is Verdict.PASS


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[int], per_cent: int) -> None:
    value = percentile(values, per_cent)
    assert value in values
    assert sum(item <= value for item in values) * 100 >= per_cent * len(values)
    assert sum(item < value for item in values) * 100 < per_cent * len(values)
