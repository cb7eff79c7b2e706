"""What a hardware check finds: one result per check, and the report that holds them all.

Every value is an integer, a text, a boolean or a list or map of these, so a report has one canonical encoding and its
JSON view loses nothing. A report names no serial number and no host name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bpci_node.errors import FormatError

REPORT_VERSION = 1
"""Version of the report's fields, ``docs/spec/hardware-report.md``."""

Fact = int | str | bool | list[str]
"""A supporting value beside the measured one."""


class Verdict(StrEnum):
    """What a check concludes."""

    PASS = "pass"  # noqa: S105 - the word of a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class CouldNotTellError(Exception):
    """A reader found no evidence either way; becomes the verdict ``unknown`` and never leaves this package."""

    def __init__(self, reason: str, hint: str = "", *, later: bool = False) -> None:
        """Say why, and what would let it be told.

        Args:
            reason: what stood in the way, a clause without a full stop.
            hint: one sentence, or empty.
            later: it can only be told at a later stage, so the report need not stay undecided over it.
        """
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.later = later


@dataclass(frozen=True, slots=True)
class Measured:
    """What a check has seen, before it is held against a profile."""

    value: int | str | bool | None
    """The measured value; ``None`` when there is no number to give."""
    unit: str
    """Unit of an integer value (``bytes``, ``processors``, ``us``, ``bit/s``), else empty."""
    text: str
    """The value for people, at most a few words."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Supporting values, by name."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a profile makes of a measured value."""

    verdict: Verdict
    """``UNKNOWN`` when the value does not decide the question."""
    hint: str = ""
    """What to do about it, one sentence; empty when there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a profile asks of one check."""

    text: str
    """For people, such as ``at least 8``."""
    needed: bool
    """Whether the whole report stays undecided while this check could not tell."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    id: str
    """Stable name of the check, lower case with underscores."""
    title: str
    """Its name for people."""
    measured: int | str | bool | None
    """The measured value; ``None`` when there is none."""
    unit: str
    """Unit of an integer ``measured``, else empty."""
    text: str
    """The value for people, or the reason why it could not be told."""
    requirement: str
    """What the profile asks, for people."""
    needed: bool
    """Whether ``unknown`` here leaves the whole report undecided."""
    verdict: Verdict
    """What the check concludes."""
    hint: str
    """What to do next, one sentence, or empty."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Supporting values, by name."""

    def as_object(self) -> dict[str, Any]:
        """Return the form that is signed and shown as JSON."""
        return {
            "id": self.id,
            "title": self.title,
            "measured": self.measured,
            "unit": self.unit,
            "text": self.text,
            "requirement": self.requirement,
            "needed": self.needed,
            "verdict": self.verdict.value,
            "hint": self.hint,
            "facts": dict(self.facts),
        }


@dataclass(frozen=True, slots=True)
class HardwareReport:
    """Everything one run has found."""

    profile: str
    """Name of the profile that was asked for."""
    note: str
    """What a pass under this profile does and does not say."""
    results: tuple[CheckResult, ...]
    """One per check, in the order in which they ran."""
    verdict: Verdict
    """``PASS``, ``FAIL`` or ``UNKNOWN``; warnings do not change it."""
    took_ms: int
    """Duration of the run in milliseconds."""
    time_ms: int
    """When it ended, Unix milliseconds by this machine's clock."""
    versions: Mapping[str, str]
    """Versions of the node software and the kernel."""
    v: int = REPORT_VERSION
    """Version of this form."""

    def as_object(self) -> dict[str, Any]:
        """Return the form that is signed and shown as JSON."""
        return {
            "v": self.v,
            "profile": self.profile,
            "note": self.note,
            "results": [result.as_object() for result in self.results],
            "verdict": self.verdict.value,
            "took_ms": self.took_ms,
            "time_ms": self.time_ms,
            "versions": dict(self.versions),
        }

    @property
    def exit_status(self) -> int:
        """Exit status of the command line: 0 pass, 1 fail, 3 could not be told."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1}.get(self.verdict, 3)


def overall(results: Sequence[CheckResult]) -> Verdict:
    """Return the verdict over all: a failure fails it, else a needed unknown leaves it undecided, else it passes."""
    if any(result.verdict is Verdict.FAIL for result in results):
        return Verdict.FAIL
    if any(result.verdict is Verdict.UNKNOWN and result.needed for result in results):
        return Verdict.UNKNOWN
    return Verdict.PASS


def report_from_object(value: Any) -> HardwareReport:
    """Return the report that :meth:`HardwareReport.as_object` has written as ``value``.

    Raises:
        FormatError: a field is missing, unknown or of the wrong type, the version is not known, or the verdict does
            not follow from the results (``format.hardware_report``).
    """
    fields = _fields(
        value,
        {
            "v": int,
            "profile": str,
            "note": str,
            "results": list,
            "verdict": str,
            "took_ms": int,
            "time_ms": int,
            "versions": dict,
        },
    )
    if fields["v"] != REPORT_VERSION:
        raise _wrong(f"version {fields['v']} is not known here")
    versions = fields["versions"]
    if not all(type(text) is str for text in versions.values()):
        raise _wrong("versions are texts")
    results = tuple(_result(item) for item in fields["results"])
    report = HardwareReport(
        profile=fields["profile"],
        note=fields["note"],
        results=results,
        verdict=_verdict(fields["verdict"]),
        took_ms=fields["took_ms"],
        time_ms=fields["time_ms"],
        versions=versions,
    )
    if report.verdict is not overall(results):
        raise _wrong("the verdict does not follow from the results")
    return report


def _result(value: Any) -> CheckResult:
    fields = _fields(
        value,
        {
            "id": str,
            "title": str,
            "measured": (int, str, bool, type(None)),
            "unit": str,
            "text": str,
            "requirement": str,
            "needed": bool,
            "verdict": str,
            "hint": str,
            "facts": dict,
        },
    )
    for fact in fields["facts"].values():
        is_list = type(fact) is list and all(type(item) is str for item in fact)
        if not is_list and type(fact) not in (int, str, bool):
            raise _wrong("a fact is an integer, a text, a boolean or a list of texts")
    return CheckResult(**{**fields, "verdict": _verdict(fields["verdict"])})


def _verdict(text: str) -> Verdict:
    try:
        return Verdict(text)
    except ValueError:
        raise _wrong("a verdict is pass, warn, fail or unknown") from None


def _fields(value: Any, kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    if type(value) is not dict or set(value) != set(kinds):
        raise _wrong("fields are missing or unknown")
    for name, kind in kinds.items():
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if type(value[name]) not in allowed:
            raise _wrong(f"field {name} has the wrong type")
    return dict(value)


def _wrong(what: str) -> FormatError:
    return FormatError(
        f"not a hardware report: {what}",
        code="format.hardware_report",
        hint="Make the report anew with `bpci hardware check --report`.",
    )
