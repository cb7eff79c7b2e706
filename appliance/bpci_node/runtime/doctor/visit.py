"""One visit of the doctor: every examination gets its turn, and none takes the others down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.errors import BpciError, UsageError
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.runtime.doctor.issue import Examination, Issue
from bpci_node.runtime.doctor.patient import Patient


@dataclass(frozen=True, slots=True)
class Result:
    """What one examination came to."""

    id: str
    title: str
    verdict: Verdict
    text: str
    """What is there, or why it could not be told."""
    hint: str
    """What would let it be told; empty unless the verdict is ``UNKNOWN``."""
    issues: tuple[Issue, ...]

    def as_map(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "id": self.id,
            "title": self.title,
            "verdict": self.verdict.value,
            "text": self.text,
            "hint": self.hint,
            "issues": [issue.as_map() for issue in self.issues],
        }


def examine(
    patient: Patient, examinations: Iterable[Examination], before: Callable[[Examination], None] = lambda _: None
) -> list[Result]:
    """Carry examinations out, one after the other.

    Args:
        before: called before each, to show progress.
    """
    results = []
    for examination in examinations:
        before(examination)
        results.append(_examine(patient, examination))
    return results


def _examine(patient: Patient, examination: Examination) -> Result:
    try:
        found = examination.examine(patient)
    except CouldNotTellError as error:
        return _untold(examination, error.reason, error.hint)
    except BpciError as error:
        return _untold(examination, error.message, error.hint or "")
    except OSError as error:
        return _untold(examination, f"{error.filename or 'the system'}: {error.strerror}", "Run it as root.")
    return Result(examination.id, examination.title, worst(found.issues), found.text, "", found.issues)


def _untold(examination: Examination, reason: str, hint: str) -> Result:
    return Result(examination.id, examination.title, Verdict.UNKNOWN, reason, hint, ())


def worst(issues: Iterable[Issue]) -> Verdict:
    """Return the verdict over issues: a failure before a warning, and nothing found is a pass."""
    verdicts = {issue.verdict for issue in issues}
    return next((verdict for verdict in (Verdict.FAIL, Verdict.WARN) if verdict in verdicts), Verdict.PASS)


def overall(results: Iterable[Result]) -> Verdict:
    """Return the verdict over all: a failure first, then what could not be told, then a warning."""
    verdicts = {result.verdict for result in results}
    order = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.WARN)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.PASS)


def as_document(results: Sequence[Result]) -> dict[str, Any]:
    """Return results for programs."""
    return {
        "v": 1,
        "verdict": overall(results).value,
        "issues": sum(len(result.issues) for result in results),
        "results": [result.as_map() for result in results],
    }


def choose(examinations: Sequence[Examination], names: Sequence[str]) -> list[Examination]:
    """Return the examinations of these names in their own order, or all without names.

    Raises:
        UsageError: there is none of a name (``doctor.check``).
    """
    known: Mapping[str, Examination] = {item.id: item for item in examinations}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no check {name!r}", code="doctor.check", hint=f"There are: {', '.join(known)}.")
    return [item for item in examinations if not names or item.id in names]
