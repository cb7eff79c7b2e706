"""Clock: whether a time daemon steers it, and whether it agrees with the registries and the ledger.

The repair lets the daemon that is there set the clock; it never takes a time from a node or a registry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bpci_node.errors import BpciError, HostError
from bpci_node.host.chrony import read_tracking
from bpci_node.host.profiles import profile_named
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue, Outcome, Repair
from bpci_node.runtime.doctor.patient import Patient, is_root

if TYPE_CHECKING:
    from bpci_node.runtime.doctor.registry import Answer

TOLERANCE_MS = profile_named("community").clock_offset_ms
"""How far a node's clock may be off."""
_STEER = ("chrony.service", "chronyd.service", "systemd-timesyncd.service")
_ADVICE = "Install and start chrony, and let it reach its servers; 'chronyc tracking' says what it knows."


def judge(*, is_steered: bool, answers: Sequence[Answer], token_is_ahead: bool) -> tuple[Issue, ...]:
    """Return what is wrong with the clock.

    Args:
        is_steered: whether the kernel calls it synchronised.
        answers: what registries say of the time.
        token_is_ahead: whether the node's activation ends later than any may, so that its clock must be behind.
    """
    told = [answer for answer in answers if answer.error is None]
    off = [item for item in told if abs(item.ahead_ms) - item.uncertainty_ms > TOLERANCE_MS]
    # One registry may be wrong; when most say so, or the token shows it, this clock is.
    if token_is_ahead or (off and len(off) * 2 > len(told)):
        how = f"{abs(off[0].ahead_ms) / 1000:.1f} s {'behind' if off[0].ahead_ms > 0 else 'ahead'}" if off else "behind"
        return (
            Issue(
                "clock.wrong",
                Verdict.FAIL,
                "",
                f"this clock is {how}, by the registry's",
                "blocks, challenges and windows carry times, so what this node signs is refused",
                _ADVICE,
            ),
        )
    if not is_steered:
        return (
            Issue(
                "clock.free",
                Verdict.WARN,
                "",
                "no time daemon steers the clock",
                "it drifts, even if it is right now",
                _ADVICE,
            ),
        )
    return ()


def _is_steered(patient: Patient) -> bool:
    if patient.kernel_clock is not None:
        try:
            return patient.kernel_clock().synchronized
        except OSError as error:
            raise CouldNotTellError(f"the kernel does not tell: {error.strerror}") from None
    # A sandboxed node may not ask the kernel; the service manager answers anyone.
    try:
        return patient.system.run("timedatectl", "show", "--property=NTPSynchronized", "--value").strip() == b"yes"
    except HostError as error:
        raise CouldNotTellError(error.message, "Run 'bpci doctor clock'.") from None


def _examine(patient: Patient) -> Findings:
    is_steered = _is_steered(patient)
    answers = _ask(patient)
    guard = {} if patient.status is None else patient.status.get("guard", {})
    token_is_ahead = guard.get("failure") == "registry.token_clock"
    offsets = [answer.ahead_ms for answer in answers if answer.error is None]
    tracking = read_tracking(patient.system.runner(("chronyc", "-c", "tracking"), b"").output)
    text = "steered" if is_steered else "not steered"
    if tracking is not None:
        text += f" by {tracking.source}" if tracking.is_synchronized else ": chrony follows no source"
    text += f", {-min(offsets, key=abs):+d} ms to the registry" if offsets else ""
    return Findings(text, judge(is_steered=is_steered, answers=answers, token_is_ahead=token_is_ahead))


def _ask(patient: Patient) -> list[Answer]:
    """Ask the registries for the time; that one can't be asked is reported by its own examination."""
    if patient.config is None:
        return []
    from bpci_node.runtime.doctor.registry import ask_all  # noqa: PLC0415 - the console does without an HTTP client

    try:
        return ask_all(patient) or []
    except BpciError:
        return []


def _daemon(patient: Patient) -> str | None:
    """Return the time daemon that is installed here."""
    if not is_root() or not patient.system.exists("/run/systemd/system"):
        return None
    return next((unit for unit in _STEER if patient.system.attempt("systemctl", "cat", unit)), None)


def _plan(patient: Patient, issue: Issue) -> tuple[str, ...]:
    del issue
    daemon = _daemon(patient)
    if daemon is None:
        return ()
    steps = [f"systemctl enable --now {daemon}", f"systemctl restart {daemon}"]
    return (
        (*steps, "chronyc -m 'burst 4/4' 'waitsync 30' makestep: the clock jumps")
        if _has_chrony(daemon)
        else tuple(steps)
    )


def _has_chrony(daemon: str) -> bool:
    return daemon.startswith("chrony")


def _carry_out(patient: Patient, issue: Issue) -> Outcome:
    del issue
    daemon = _daemon(patient)
    if daemon is None:
        raise HostError("there is no time daemon here", code="doctor.clock", hint=_ADVICE)
    patient.system.run("systemctl", "enable", "--now", daemon)
    patient.system.run("systemctl", "restart", daemon)
    done = [f"restarted {daemon}"]
    if _has_chrony(daemon):
        # 30 tries of 2 seconds; a server that does not answer leaves the clock as it is.
        patient.system.run("chronyc", "burst", "4/4", hint=_ADVICE)
        patient.system.run("chronyc", "waitsync", "30", "0", "0", "2", hint=_ADVICE)
        patient.system.run("chronyc", "makestep", hint=_ADVICE)
        done.append("set the clock by its servers")
    return Outcome(tuple(done))


_SET = Repair(_plan, _carry_out)
CLOCK = Examination("clock", "Clock", _examine, {"clock.wrong": _SET, "clock.free": _SET})
