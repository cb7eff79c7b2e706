"""Runs the checks: whatever happens inside one, the run goes on and the report says what could not be told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bpci_node import __version__
from bpci_node.errors import BpciError
from bpci_node.host.check import Check
from bpci_node.host.checks import ALL
from bpci_node.host.context import Context
from bpci_node.host.profiles import Profile
from bpci_node.host.result import CheckResult, CouldNotTellError, Fact, HardwareReport, Verdict, overall


@dataclass(frozen=True, slots=True)
class Step:
    """What a progress callback is told: before a check runs, and again when it has."""

    index: int
    """Position of the check, from 0."""
    total: int
    """Number of checks of this run."""
    title: str
    """Name of the check for people."""
    result: CheckResult | None
    """Its outcome; ``None`` before it runs."""


def run_checks(
    context: Context,
    profile: Profile,
    progress: Callable[[Step], None] | None = None,
    checks: Sequence[Check] = ALL,
) -> HardwareReport:
    """Run all checks one after the other and return what they found. A check that breaks is ``unknown``.

    Args:
        progress: called twice per check; what it raises stops the run and reaches the caller.
    """
    tell = progress or (lambda _step: None)
    start = time.monotonic()
    results = []
    for index, check in enumerate(checks):
        tell(Step(index, len(checks), check.title, None))
        result = run_check(check, context, profile)
        results.append(result)
        tell(Step(index, len(checks), check.title, result))
    return HardwareReport(
        profile=profile.name,
        note=profile.note,
        results=tuple(results),
        verdict=overall(results),
        took_ms=int((time.monotonic() - start) * 1000),
        time_ms=time.time_ns() // 1_000_000,
        versions={"bpci": __version__, "kernel": os.uname().release},
    )


def run_check(check: Check, context: Context, profile: Profile) -> CheckResult:
    """Run one check and return its result, ``unknown`` if it could not tell or broke."""
    requirement = check.require(profile)
    try:
        measured = check.measure(context)
        judgement = check.judge(measured, profile)
    except CouldNotTellError as error:
        return _unknown(
            check, requirement.text, error.reason, error.hint, needed=requirement.needed and not error.later
        )
    except BpciError as error:
        return _unknown(check, requirement.text, error.message, error.hint or "", needed=requirement.needed)
    except Exception as error:  # noqa: BLE001 - a reader that meets an unforeseen machine must not end the report
        reason = f"the check itself failed: {type(error).__name__}: {error}"
        return _unknown(check, requirement.text, reason, "Please report this machine.", needed=requirement.needed)
    return CheckResult(
        id=check.id,
        title=check.title,
        measured=measured.value,
        unit=measured.unit,
        text=_plain(measured.text),
        requirement=requirement.text,
        needed=requirement.needed,
        verdict=judgement.verdict,
        hint=_plain(judgement.hint),
        facts={name: _plain_fact(fact) for name, fact in measured.facts.items()},
    )


def _unknown(check: Check, requirement: str, reason: str, hint: str, *, needed: bool) -> CheckResult:
    return CheckResult(
        id=check.id,
        title=check.title,
        measured=None,
        unit="",
        text=_plain(f"could not tell: {reason}"),
        requirement=requirement,
        needed=needed,
        verdict=Verdict.UNKNOWN,
        hint=_plain(hint),
    )


def _plain(text: str) -> str:
    """Return text that a console may show and CBOR can hold: names of disks, mounts and interfaces hold any bytes."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _plain_fact(fact: Fact) -> Fact:
    if isinstance(fact, str):
        return _plain(fact)
    return [_plain(item) for item in fact] if isinstance(fact, list) else fact
