"""What an examination finds, what a repair leaves behind, and the two together as a plug-in.

A repair says beforehand what it will do; it copies what it touches, drops nothing that was acknowledged and never
writes to a sign guard or vote guard. What it could not save, it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bpci_node.host.result import Verdict
from bpci_node.runtime.doctor.patient import Patient


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong."""

    code: str
    """Stable, ``docs/spec/errors/doctor.md``; its first word is the examination's name."""
    verdict: Verdict
    """``WARN``: the node works, and will not for ever; ``FAIL``: it does not do what it should."""
    subject: str
    """What it is about: a path, a unit, a port; empty when there is only one."""
    what: str
    """What is wrong, a sentence without a full stop."""
    means: str
    """What follows from that, a sentence without a full stop."""
    advice: str
    """What a person does next, one sentence."""

    def as_map(self) -> dict[str, str]:
        """Return it for programs."""
        return {
            "code": self.code,
            "verdict": self.verdict.value,
            "subject": self.subject,
            "what": self.what,
            "means": self.means,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """What one examination has seen."""

    text: str
    """What is there, for people, at most a few words."""
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a repair left behind."""

    done: tuple[str, ...]
    """What was done, in its order."""
    lost: tuple[str, ...] = ()
    """What could not be saved; empty when nothing was lost."""
    copy: str | None = None
    """Where what was touched was copied to beforehand."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """More for programs, as values of JSON."""

    def as_map(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"done": list(self.done), "lost": list(self.lost), "copy": self.copy, "details": dict(self.details)}


@dataclass(frozen=True, slots=True)
class Repair:
    """What mends one kind of issue."""

    plan: Callable[[Patient, Issue], tuple[str, ...]]
    """Says what would be done, one step each; empty when nothing can be done here. Changes nothing."""
    carry_out: Callable[[Patient, Issue], Outcome]
    """Does it; raises ``BpciError`` when it could not."""


@dataclass(frozen=True, slots=True)
class Examination:
    """One plug-in of the doctor."""

    id: str
    """Stable name, lower case with underscores."""
    title: str
    """Name for people, at most 18 characters."""
    examine: Callable[[Patient], Findings]
    """Looks, and changes nothing; raises ``CouldNotTellError`` when there is no evidence either way."""
    repairs: Mapping[str, Repair] = field(default_factory=dict)
    """By the issue's code."""
