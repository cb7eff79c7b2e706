from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import UnreachableError, UsageError
from bpci_node.host.check import PASS, Check, in_gb, in_gib, in_megabits, in_milliseconds
from bpci_node.host.checks import ALL
from bpci_node.host.context import Context
from bpci_node.host.profiles import COMMUNITY, DEV, PROFILES, Profile, profile_named
from bpci_node.host.result import Judgement, Measured, Requirement, Verdict
from bpci_node.host.runner import Step, run_checks
from bpci_node.primitives.codec import encode


def check_that(name: str, outcome: Verdict | Exception, *, needed: bool = True) -> Check:
    def measure(_context: Context) -> Measured:
        if isinstance(outcome, Exception):
            raise outcome
        return Measured(1, "", "one")

    def judge(_measured: Measured, _profile: Profile) -> Judgement:
        return Judgement(outcome) if isinstance(outcome, Verdict) else PASS

    return Check(name, name, measure, lambda _profile: Requirement("some", needed=needed), judge)


@pytest.mark.parametrize(
    ("outcomes", "verdict", "status"),
    [
        ([Verdict.PASS, Verdict.WARN], Verdict.PASS, 0),
        ([Verdict.PASS, ValueError("odd")], Verdict.UNKNOWN, 3),
        ([Verdict.FAIL, ValueError("odd")], Verdict.FAIL, 1),
        ([], Verdict.PASS, 0),
    ],
)
def test_a_failure_weighs_more_than_not_knowing_and_a_warning_less(
    tree: Any, outcomes: list[Any], verdict: Verdict, status: int
) -> None:
    checks = [check_that(f"c{n}", outcome) for n, outcome in enumerate(outcomes)]
    report = run_checks(tree.context(), DEV, checks=checks)
    assert (report.verdict, report.exit_status) == (verdict, status)


def test_what_is_not_needed_may_stay_unknown(tree: Any) -> None:
    checks = [check_that("c", UnreachableError("away", hint="Plug it in."), needed=False)]
    report = run_checks(tree.context(), DEV, checks=checks)
    assert report.verdict is Verdict.PASS
    assert (report.results[0].text, report.results[0].hint) == ("could not tell: away", "Plug it in.")


def test_a_check_that_breaks_names_its_fault_and_the_others_run(tree: Any) -> None:
    report = run_checks(
        tree.context(), DEV, checks=[check_that("a", ZeroDivisionError("x")), check_that("b", Verdict.PASS)]
    )
    assert [result.verdict for result in report.results] == [Verdict.UNKNOWN, Verdict.PASS]
    assert "ZeroDivisionError" in report.results[0].text


def test_names_of_any_bytes_can_be_shown_and_signed(tree: Any) -> None:
    tree.interface("eth\udcff\x1b[31m", speed=1000, carrier=0)
    tree.mount("0:40", "/", "odd\x1b", "x")
    report = run_checks(replace(tree.context(), data_dir=Path("/data\udcff")), COMMUNITY)
    assert encode(report.as_object())
    assert all(char.isprintable() for result in report.results for char in result.text + result.hint)


def test_progress_is_told_before_and_after_each_check(tree: Any) -> None:
    steps: list[Step] = []
    checks = [check_that("a", Verdict.PASS), check_that("b", Verdict.FAIL)]
    run_checks(tree.context(), DEV, steps.append, checks)
    assert [(step.index, step.total, step.result and step.result.verdict) for step in steps] == [
        (0, 2, None),
        (0, 2, Verdict.PASS),
        (1, 2, None),
        (1, 2, Verdict.FAIL),
    ]


def test_a_progress_callback_may_stop_the_run(tree: Any) -> None:
    def stop(_step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_checks(tree.context(), DEV, stop)


@pytest.mark.parametrize("name", ["mini_pc", "virtual_machine", "lvm_server", "mirrored", "stick", "arm_board"])
def test_every_recorded_machine_gives_a_report_that_can_be_signed(machine: Any, name: str) -> None:
    for profile in PROFILES.values():
        report = run_checks(
            machine(name).context() if profile is COMMUNITY else Context(root=Path("/nowhere")), profile
        )
        assert len(report.results) == len(ALL)
        assert encode(report.as_object())
        assert not any("itself failed" in result.text for result in report.results)


def test_a_small_virtual_machine_passes_for_trying_out_and_the_report_says_so(machine: Any) -> None:
    report = run_checks(machine("virtual_machine").context(), DEV)
    assert report.verdict is Verdict.PASS
    assert "does not make the machine fit" in report.note


def test_a_good_mini_pc_lacks_nothing_but_a_measured_line(machine: Any) -> None:
    report = run_checks(machine("mini_pc").context(), COMMUNITY)
    told = {result.id: result.verdict for result in report.results if result.verdict is not Verdict.PASS}
    told.pop("storage_latency", None)  # that of the disk beneath this test, whatever else it is doing
    assert told == {"memory": "warn", "bandwidth_download": "unknown", "bandwidth_upload": "unknown"}
    assert report.exit_status == 3


def test_this_machine_can_be_checked(tmp_path: Path) -> None:
    report = run_checks(Context(data_dir=tmp_path), DEV)
    assert not any("itself failed" in result.text for result in report.results)
    assert report.versions["kernel"]
    assert list(tmp_path.iterdir()) == []


def test_names_and_titles_of_checks_are_distinct_and_fit_the_table() -> None:
    assert len({check.id for check in ALL}) == len({check.title for check in ALL}) == len(ALL)
    assert all(len(check.title) <= 15 for check in ALL)


def test_an_unknown_profile_lists_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        profile_named("huge")
    assert caught.value.code == "host.profile"
    assert "community" in (caught.value.hint or "")


def test_values_are_shown_rounded_down_so_that_none_seems_to_reach_a_limit() -> None:
    assert (in_gb(499_999_999_999), in_gb(500 * 10**9)) == ("499.9 GB", "500 GB")
    assert (in_gib(8_020_000 * 1024), in_megabits(94_180_000)) == ("7.6 GiB", "94.1 Mbit/s")
    assert (in_milliseconds(270), in_milliseconds(20_000), in_milliseconds(250_000)) == ("0.27 ms", "20 ms", "250 ms")


def test_a_profile_is_only_data(machine: Any) -> None:
    lower = replace(COMMUNITY, logical_processors=2)
    results = {result.id: result for result in run_checks(machine("virtual_machine").context(), lower).results}
    assert results["cores"].verdict is Verdict.PASS
