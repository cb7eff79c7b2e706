"""Reading what Lynis, OpenSCAP and systemd say, and judging it."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest

from image import score
from image.score import Floors, ScoringError, Waivers

LYNIS = """# Lynis Report
report_version_major=1
lynis_version=3.0.8
suggestion[]=KRNL-6000|One or more sysctl values differ|-|-|
suggestion[]=KRNL-6000|another|-|-|
warning[]=LOGG-2138|klogd is not running|-|-|
lynis_tests_done=240
hardening_index=78
"""
RESULTS = """<?xml version="1.0"?>
<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2">
<TestResult version="0.1.65" test-system="cpe:/a:redhat:openscap:1.3.7">
{}</TestResult></Benchmark>"""
RULE_RESULT = '<rule-result idref="xccdf_org.ssgproject.content_rule_{}"><result>{}</result></rule-result>\n'
SCORES: dict[str, Any] = {
    "v": 1,
    "lynis": {"index": 80},
    "openscap": {
        "cis": {"percent": 90.0, "failed": ["a"]},
        "anssi": {"percent": None, "why": "the mirror does not have it"},
    },
    "packages": 303,
    "units": {"bpci-node.service": 1.4, "bpci-setup@.service": 9.5},
}
FLOORS = Floors(80, {"cis": 90.0, "anssi": 77.0})
WAIVERS = Waivers({"a": "because"}, {"bpci-setup@.service": "the wizard"})


def results(path: Path, **outcomes: str) -> Path:
    path.write_text(RESULTS.format("".join(RULE_RESULT.format(name, outcome) for name, outcome in outcomes.items())))
    return path


def test_lynis_report_gives_index_version_and_findings() -> None:
    found = score.parse_lynis(LYNIS)
    assert (found["index"], found["version"], found["tests"]) == (78, "3.0.8", 240)
    assert (found["warnings"], found["suggestions"]) == (["LOGG-2138"], ["KRNL-6000"])


@pytest.mark.parametrize("report", ["", "hardening_index=\n", "hardening_index=many\n"], ids=["empty", "none", "word"])
def test_a_lynis_run_that_broke_off_is_no_score(report: str) -> None:
    with pytest.raises(ScoringError, match="no index"):
        score.parse_lynis(report)


def test_percent_counts_what_passed_or_failed_alone(tmp_path: Path) -> None:
    path = results(tmp_path / "cis.xml", a="pass", b="pass", c="fail", d="notapplicable", e="unknown", f="notselected")
    found = score.parse_xccdf(path)
    assert (found["pass"], found["fail"], found["percent"]) == (2, 1, 66.7)
    assert (found["failed"], found["undecided"]) == (["c"], ["e"])
    assert (found["content"], found["openscap"]) == ("0.1.65", "1.3.7")


def test_a_tree_to_which_no_rule_applies_is_no_score(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="no rule of cis applies"):
        score.parse_xccdf(results(tmp_path / "cis.xml", a="notapplicable"))


def test_results_that_end_early_are_no_score(tmp_path: Path) -> None:
    (tmp_path / "cis.xml").write_text(RESULTS[:100])
    with pytest.raises(ScoringError, match="can't be read"):
        score.parse_xccdf(tmp_path / "cis.xml")


def test_units_are_read_with_their_exposure_and_templates_by_their_own_name() -> None:
    text = "bpci-node.service: 1.4 OK 🙂\nbpci-setup@one.service: 9.5 UNSAFE 😨\n"
    assert score.parse_units(text) == {"bpci-node.service": 1.4, "bpci-setup@.service": 9.5}


def test_only_installed_packages_are_counted() -> None:
    status = "Package: a\nStatus: install ok installed\n\nPackage: b\nStatus: deinstall ok config-files\n"
    assert score.count_packages(status) == 1


def test_a_tree_at_its_floors_with_its_waivers_may_be_shipped() -> None:
    assert score.shortfalls(SCORES, FLOORS, WAIVERS) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("lynis", "index"), 79, "Lynis says 79, the floor is 80"),
        (("openscap", "cis", "percent"), 89.9, "cis says 89.9 %, the floor is 90.0 %"),
        (("units", "bpci-node.service"), 2.1, "bpci-node.service has an exposure of 2.1, at most 2.0 is allowed"),
    ],
    ids=["lynis", "floor", "unit"],
)
def test_what_is_not_good_enough_is_said(path: tuple[str, ...], value: object, said: str) -> None:
    scores = copy.deepcopy(SCORES)
    place = scores
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert score.shortfalls(scores, FLOORS, WAIVERS) == [said]


def test_a_rule_without_a_reason_is_named() -> None:
    scores = copy.deepcopy(SCORES)
    scores["openscap"]["cis"]["failed"] = ["a", "b"]
    assert score.unexplained(scores, WAIVERS) == {"b": ["cis"]}


def test_the_summary_says_why_a_figure_is_missing() -> None:
    assert score.summary(SCORES) == (
        "hardening: Lynis 80, anssi: the mirror does not have it, cis 90.0 %; 303 packages"
    )


def test_the_repository_holds_a_floor_for_each_profile_and_a_reason_for_each_waiver() -> None:
    floors = score.read_floors(score.HARDENING / "floors.toml")
    assert set(floors.openscap) == {"anssi_bp28_enhanced", "cis_level1_server", "cis_level2_server"}
    assert score.read_waivers(score.HARDENING / "waivers.toml").rules


@pytest.mark.parametrize("text", ["[rules]\na = ''\n", "[units]\na = 1\n", "rules"], ids=["empty", "number", "syntax"])
def test_a_waiver_without_a_reason_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "waivers.toml").write_text(text)
    with pytest.raises(ScoringError):
        score.read_waivers(tmp_path / "waivers.toml")


@pytest.mark.parametrize("text", ["", "lynis = 80\n", "lynis = 80\nopenscap = 1\n"], ids=["empty", "half", "kind"])
def test_floors_that_are_not_all_there_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "floors.toml").write_text(text)
    with pytest.raises(ScoringError, match="lacks a floor"):
        score.read_floors(tmp_path / "floors.toml")


def test_rules_that_are_not_those_whose_sum_is_pinned_are_not_used(tmp_path: Path) -> None:
    (tmp_path / f"anssi-{score.ANSSI_SHA256[:16]}.xml").write_text("something else")
    with pytest.raises(ScoringError, match="pinned"):
        score.anssi_rules(tmp_path, "ID=debian\n")


def test_rules_that_are_kept_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "ANSSI_SHA256", hashlib.sha256(b"rules").hexdigest())
    kept = tmp_path / f"anssi-{score.ANSSI_SHA256[:16]}.xml"
    kept.write_bytes(b"rules")
    assert score.anssi_rules(tmp_path, "ID=debian\n") == kept


def test_debian_rules_are_for_debian_alone(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="for Debian"):
        score.anssi_rules(tmp_path, "ID=ubuntu\nID_LIKE=debian\n")
