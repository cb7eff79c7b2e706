import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.errors import HostError, UsageError
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.runtime.doctor.catalog import EXAMINATIONS
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.runtime.doctor.visit import as_document, choose, examine

ROOT = Path(__file__).parents[4]
CODE = re.compile(r"\"((?:%s|doctor)\.[a-z0-9_]+)\"" % "|".join(item.id for item in EXAMINATIONS))  # noqa: UP031


def raising(error: Exception) -> Examination:
    def look(patient: Patient) -> Findings:
        raise error

    return Examination("one", "One", look)


def found(*verdicts: Verdict) -> Examination:
    issues = tuple(Issue("a.b", verdict, "", "what", "means", "advice") for verdict in verdicts)
    return Examination("two", "Two", lambda _patient: Findings("text", issues))


@pytest.mark.parametrize(
    "error", [CouldNotTellError("reason"), HostError("reason"), PermissionError(13, "reason", "/a")]
)
def test_an_examination_that_fails_is_unknown_and_the_next_one_runs(
    patient: Callable[..., Patient], error: Exception
) -> None:
    results = examine(patient(), [raising(error), found()])
    assert [item.verdict for item in results] == [Verdict.UNKNOWN, Verdict.PASS]
    assert "reason" in results[0].text


@pytest.mark.parametrize(
    ("examinations", "verdict"),
    [
        ([found()], "pass"),
        ([found(Verdict.WARN)], "warn"),
        ([found(Verdict.WARN), raising(HostError("x"))], "unknown"),
        ([found(Verdict.WARN, Verdict.FAIL), raising(HostError("x"))], "fail"),
    ],
)
def test_the_worst_counts(patient: Callable[..., Patient], examinations: list[Examination], verdict: str) -> None:
    assert as_document(examine(patient(), examinations))["verdict"] == verdict


def test_checks_are_chosen_by_name_and_keep_their_order() -> None:
    assert [item.id for item in choose(EXAMINATIONS, ("clock", "disk"))] == ["disk", "clock"]
    assert len(choose(EXAMINATIONS, ())) == len(EXAMINATIONS)
    with pytest.raises(UsageError, match="there is no check"):
        choose(EXAMINATIONS, ("dsik",))


def test_each_check_has_a_name_of_its_own_and_repairs_its_own_issues() -> None:
    assert len({item.id for item in EXAMINATIONS}) == len(EXAMINATIONS)
    for examination in EXAMINATIONS:
        assert len(examination.title) <= 18
        assert all(code.startswith(f"{examination.id}.") for code in examination.repairs)


def test_every_code_of_the_doctor_is_documented() -> None:
    sources = [*(ROOT / "appliance/bpci_node/runtime/doctor").glob("*.py"), ROOT / "appliance/bpci_node/cli/doctor.py"]
    codes = {code for source in sources for code in CODE.findall(source.read_text())}
    table = (ROOT / "docs/spec/errors/doctor.md").read_text()
    assert len(codes) > 30
    codes -= {"memory.events", "registry.token_clock"}  # a file of the kernel, and a code of another table
    assert codes <= set(re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", table))
