"""Score a root tree: Lynis, OpenSCAP's CIS and ANSSI profiles, and what each service could do to the machine.

``python -m image.score ROOT OUT.json`` writes the figures and fails when one is below its floor
(``hardening/floors.toml``), or when a unit is more exposed than ``hardening/waivers.toml`` explains. Rules that do not
hold and have no reason there are named. A waived rule counts as failed in the figures. ROOT stays as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
HARDENING = HERE / "hardening"
XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
RULE = "xccdf_org.ssgproject.content_rule_"
PROFILE = "xccdf_org.ssgproject.content_profile_"
CIS = Path("/usr/share/xml/scap/ssg/content/ssg-ubuntu2204-ds.xml")
"""What the package ssg-debderived of this machine brings; it knows no Debian 12."""
ANSSI_PACKAGE = "pool/main/s/scap-security-guide/ssg-debian_0.1.76-1_all.deb"
ANSSI_PACKAGE_SHA256 = "f6880719015c16e8e221bc2503c0e5a9f83d6a09fc6f9292d3522e46bf4fc9d7"
ANSSI_MEMBER = "usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml"
ANSSI_SHA256 = "ed594d33cfd38c6bbb91f2283fee7fe436641d1176861b67a474e11bf445062c"
UNITS_MOST = 2.0


class ScoringError(Exception):
    """A figure can't be had, or what was found is not what it should be; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A profile of OpenSCAP's content."""

    name: str
    codename: str
    """What the tree calls itself while it is looked at; "-": what it is."""
    datastream: Path


@dataclass(frozen=True, slots=True)
class Floors:
    """What a build must reach."""

    lynis: int
    openscap: Mapping[str, float]
    """Percentages by profile."""


@dataclass(frozen=True, slots=True)
class Waivers:
    """What may fail, each with its reason."""

    rules: Mapping[str, str]
    units: Mapping[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a tree; the exit status is 1 when it is not good enough, 2 when it could not be scored."""
    parser = argparse.ArgumentParser(prog="python -m image.score", description=__doc__)
    parser.add_argument("root", type=Path, metavar="ROOT")
    parser.add_argument("out", type=Path, metavar="OUT.json")
    parser.add_argument("--content", type=Path, help="directory where fetched rules are kept", default=None)
    options = parser.parse_args(arguments)
    try:
        floors, waivers = read_floors(HARDENING / "floors.toml"), read_waivers(HARDENING / "waivers.toml")
        scores = score(options.root, options.content)
    except (ScoringError, subprocess.CalledProcessError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.write_text(json.dumps(scores, indent=1, sort_keys=True) + "\n")
    print(summary(scores), file=sys.stderr)
    for rule, profiles in unexplained(scores, waivers).items():
        print(
            f"note: {rule} does not hold ({', '.join(profiles)}), for no reason that is written down", file=sys.stderr
        )
    problems = shortfalls(scores, floors, waivers)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        print("hint: mend it in the roles, or give the reason in image/hardening/waivers.toml", file=sys.stderr)
    return 1 if problems else 0


def score(root: Path, content: Path | None = None) -> dict[str, Any]:
    """Look at ``root`` and return all figures.

    Args:
        content: where the fetched ANSSI rules are kept from one run to the next; a directory for this run alone
            if None.

    Raises:
        ScoringError: a tool left nothing that can be read.
    """
    with tempfile.TemporaryDirectory(prefix="bpci-score-") as name:
        work = Path(name)
        yardsticks = [Yardstick(f"cis_level{level}_server", "jammy", CIS) for level in (1, 2)]
        missing: dict[str, Any] = {}
        try:
            rules = anssi_rules(content or work / "content", (root / "etc/os-release").read_text())
            yardsticks.insert(0, Yardstick("anssi_bp28_enhanced", "-", rules))
        except ScoringError as error:
            missing["anssi_bp28_enhanced"] = {"percent": None, "why": str(error)}
        lines = [f"{one.name} {one.codename} {one.datastream.resolve()} {PROFILE}{one.name}\n" for one in yardsticks]
        (work / "profiles").write_text("".join(lines))
        results = work / "results"
        results.mkdir()
        subprocess.run([HERE / "score.sh", root, work / "profiles", results], check=True, stdout=sys.stderr)
        return {
            "v": 1,
            "lynis": parse_lynis((results / "lynis.dat").read_text(errors="replace")),
            "openscap": {one.name: parse_xccdf(results / f"{one.name}.xml") for one in yardsticks} | missing,
            "packages": count_packages((root / "var/lib/dpkg/status").read_text()),
            "units": parse_units((results / "units.txt").read_text()),
        }


def anssi_rules(directory: Path, release: str) -> Path:
    """Return the ANSSI rules, fetched from this machine's own Debian mirror unless they are in ``directory`` already.

    Debian 12 has none for itself; those of its successor have, and stay readable for its OpenSCAP.

    Raises:
        ScoringError: ``release`` (os-release) is not Debian's, the mirror does not have them, or what came is
            something else.
    """
    if "ID=debian" not in release.splitlines():
        raise ScoringError("its rules are for Debian")
    kept = directory / f"anssi-{ANSSI_SHA256[:16]}.xml"
    if not kept.is_file():
        with tempfile.TemporaryDirectory(prefix="bpci-content-") as name:
            work = Path(name)
            package = work / "ssg.deb"
            uri = mirror() + ANSSI_PACKAGE
            fetch = ["/usr/lib/apt/apt-helper", "download-file", uri, str(package), f"SHA256:{ANSSI_PACKAGE_SHA256}"]
            try:
                subprocess.run(fetch, check=True, capture_output=True, timeout=120)
                subprocess.run(["dpkg-deb", "-x", package, work / "tree"], check=True, capture_output=True)
            except (OSError, subprocess.SubprocessError) as error:
                raise ScoringError("the mirror does not give the package ssg-debian 0.1.76-1") from error
            directory.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work / "tree" / ANSSI_MEMBER, kept)
    if hashlib.sha256(kept.read_bytes()).hexdigest() != ANSSI_SHA256:
        raise ScoringError(f"{kept} is not the file whose sum is pinned")
    return kept


def mirror() -> str:
    """Return the address of the Debian archive that this machine's apt uses, with a slash at its end.

    Raises:
        ScoringError: apt is missing or knows none.
    """
    ask = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages", "Origin: Debian"]
    try:
        answer = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ScoringError("this machine's apt can't be asked for its mirror") from error
    found = [uri for uri, component in (line.split() for line in answer.splitlines()) if component == "main"]
    archive = [uri for uri in found if "security" not in uri]
    if not archive:
        raise ScoringError("this machine's apt knows no mirror of Debian")
    return archive[0].rstrip("/") + "/"


def parse_lynis(report: str) -> dict[str, Any]:
    """Return index, version and findings of a Lynis report (``key=value`` lines, ``key[]=value`` for lists).

    Raises:
        ScoringError: the report has no index.
    """
    values: dict[str, str] = {}
    findings: dict[str, list[str]] = {"warning": [], "suggestion": []}
    for line in report.splitlines():
        key, _, value = line.partition("=")
        values[key] = value
        if (kind := key.removesuffix("[]")) in findings:
            findings[kind].append(value.split("|")[0])
    if not re.fullmatch(r"\d{1,3}", values.get("hardening_index", "")):
        raise ScoringError("Lynis left no index")
    return {
        "index": int(values["hardening_index"]),
        "version": values.get("lynis_version", ""),
        "tests": int(values.get("lynis_tests_done", 0)),
        "warnings": sorted(set(findings["warning"])),
        "suggestions": sorted(set(findings["suggestion"])),
    }


def parse_xccdf(path: Path) -> dict[str, Any]:
    """Return the figures of OpenSCAP's results; ``percent`` is of the rules that passed or failed.

    Raises:
        ScoringError: the file is no XCCDF results, or no rule applied.
    """
    outcomes: dict[str, list[str]] = {}
    version = benchmark = ""
    try:
        for _, element in ET.iterparse(path):  # noqa: S314 (written by oscap just now)
            if element.tag == XCCDF + "rule-result":
                outcome = element.findtext(XCCDF + "result", "")
                outcomes.setdefault(outcome, []).append(element.get("idref", "").removeprefix(RULE))
            elif element.tag == XCCDF + "TestResult":
                version = element.get("test-system", "").rpartition(":")[2]
                benchmark = element.get("version", "")
    except ET.ParseError as error:
        raise ScoringError(f"{path.name} can't be read: {error}") from error
    passed, failed = outcomes.get("pass", []), outcomes.get("fail", [])
    if not passed:
        raise ScoringError(f"no rule of {path.stem} applies: was the tree taken for something else?")
    return {
        "pass": len(passed),
        "fail": len(failed),
        "percent": round(100 * len(passed) / (len(passed) + len(failed)), 1),
        "failed": sorted(failed),
        "undecided": sorted(outcomes.get("unknown", []) + outcomes.get("error", [])),
        "content": benchmark,
        "openscap": version,
    }


def parse_units(text: str) -> dict[str, float]:
    """Return the exposure by unit of lines ``NAME: EXPOSURE WORD``."""
    found = re.findall(r"^(\S+): (\d+\.\d+) ", text, re.MULTILINE)
    return {name.replace("@one.", "@."): float(exposure) for name, exposure in found}


def count_packages(status: str) -> int:
    """Return how many packages dpkg's status file calls installed."""
    return len(re.findall(r"^Status: \S+ ok installed$", status, re.MULTILINE))


def read_floors(path: Path) -> Floors:
    """Read the floors.

    Raises:
        ScoringError: the file is not TOML or lacks one.
    """
    table = _toml(path)
    try:
        return Floors(int(table["lynis"]), {name: float(floor) for name, floor in table["openscap"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ScoringError(f"{path} lacks a floor: {error}") from error


def read_waivers(path: Path) -> Waivers:
    """Read the waivers.

    Raises:
        ScoringError: the file is not TOML, or a waiver gives no reason.
    """
    table = _toml(path)
    waivers = Waivers(table.get("rules", {}), table.get("units", {}))
    for name, reason in (*waivers.rules.items(), *waivers.units.items()):
        if not isinstance(reason, str) or not reason.strip():
            raise ScoringError(f"{path}: the waiver of {name} gives no reason")
    return waivers


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ScoringError(f"{path}: {error}") from error


def shortfalls(scores: Mapping[str, Any], floors: Floors, waivers: Waivers) -> list[str]:
    """Return what is not good enough, in words; nothing when the tree may be shipped."""
    found = []
    if scores["lynis"]["index"] < floors.lynis:
        found.append(f"Lynis says {scores['lynis']['index']}, the floor is {floors.lynis}")
    for name, result in sorted(scores["openscap"].items()):
        if result["percent"] is not None and result["percent"] < floors.openscap[name]:
            found.append(f"{name} says {result['percent']} %, the floor is {floors.openscap[name]} %")
    found += [
        f"{unit} has an exposure of {exposure}, at most {UNITS_MOST} is allowed"
        for unit, exposure in sorted(scores["units"].items())
        if exposure > UNITS_MOST and unit not in waivers.units
    ]
    return found


def unexplained(scores: Mapping[str, Any], waivers: Waivers) -> dict[str, list[str]]:
    """Return the rules that do not hold and have no waiver, each with the profiles that ask for it."""
    found: dict[str, list[str]] = {}
    for name, result in sorted(scores["openscap"].items()):
        for rule in result.get("failed", []):
            if rule not in waivers.rules:
                found.setdefault(rule, []).append(name)
    return dict(sorted(found.items()))


def summary(scores: Mapping[str, Any]) -> str:
    """Return the figures in one line."""
    parts = [f"Lynis {scores['lynis']['index']}"]
    for name, result in sorted(scores["openscap"].items()):
        parts.append(f"{name} {result['percent']} %" if result["percent"] is not None else f"{name}: {result['why']}")
    return "hardening: " + ", ".join(parts) + f"; {scores['packages']} packages"


if __name__ == "__main__":
    sys.exit(main())
