"""Units: whether the node runs and answers, and what the service manager could not keep running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bpci_node.errors import HostError
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.host.units import Unit, read_properties, read_units
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue, Outcome, Repair
from bpci_node.runtime.doctor.patient import UNIT, Patient, is_root

OURS = "bpci-"
MANY_RESTARTS = 5
_PROPERTIES = "LoadState,ActiveState,SubState,Result,NRestarts"


def judge_node(pid: int | None, *, answers: bool, is_managed: bool) -> tuple[Issue, ...]:
    """Return what is wrong with the node as a process.

    Args:
        pid: the process that holds the state directory.
        answers: whether it says how it is.
        is_managed: whether a service manager looks after it.
    """
    if answers:
        return ()
    if pid is None:
        how = f"'sudo systemctl start {UNIT}'" if is_managed else "'bpci node run --config FILE' or 'bpci devnet up'"
        return (
            Issue(
                "unit.stopped",
                Verdict.FAIL,
                UNIT if is_managed else "",
                "the node does not run",
                "it takes nothing in, seals nothing and follows no ledger; what it acknowledged is on its disk",
                f"Start it with {how}; its log says why it ended.",
            ),
        )
    return (
        Issue(
            "unit.silent",
            Verdict.FAIL,
            UNIT if is_managed else str(pid),
            f"the node runs (pid {pid}) and does not answer",
            "it starts still, or it hangs; a service manager kills it after a while and starts it again",
            "Wait ten seconds and look again; then restart it. Nothing that it acknowledged is lost by that.",
        ),
    )


def judge_units(units: Sequence[Unit]) -> tuple[Issue, ...]:
    """Return an issue for each unit that failed; those of this product are failures, others are warnings."""
    found = []
    for unit in units:
        if unit.active != "failed":
            continue
        is_ours = unit.name.startswith(OURS)
        found.append(
            Issue(
                "unit.failed",
                Verdict.FAIL if is_ours else Verdict.WARN,
                unit.name,
                f"{unit.name} failed",
                "the service manager does not start it again by itself",
                f"See why with 'systemctl status {unit.name}' and 'journalctl -u {unit.name}'.",
            )
        )
    return tuple(found)


def judge_restarts(properties: Mapping[str, str]) -> tuple[Issue, ...]:
    """Return an issue if the node's unit starts again and again."""
    restarts = properties.get("NRestarts", "0")
    if properties.get("SubState") != "auto-restart" and not (restarts.isdigit() and int(restarts) >= MANY_RESTARTS):
        return ()
    return (
        Issue(
            "unit.restarts",
            Verdict.WARN,
            UNIT,
            f"{UNIT} was started again {restarts} times, the last end: {properties.get('Result', 'unknown')}",
            "something ends the node again and again",
            f"See why with 'journalctl -u {UNIT}'.",
        ),
    )


def _examine(patient: Patient) -> Findings:
    is_managed = patient.is_machine_s_own or (
        patient.config is None and patient.system.exists("/run/systemd/system") and patient.system.exists("/etc/bpci")
    )
    if patient.config is not None and patient.status is None and patient.pid is None:
        _require_visible(patient)
    issues = list(judge_node(patient.pid, answers=patient.status is not None, is_managed=is_managed))
    if not patient.system.exists("/run/systemd/system"):
        return Findings("the node alone; no systemd here", tuple(issues))
    listed = read_units(
        patient.system.run("systemctl", "list-units", "--state=failed", "--all", "--output=json", "--no-pager")
    )
    issues += judge_units(listed)
    if is_managed:
        shown = patient.system.run("systemctl", "show", UNIT, f"--property={_PROPERTIES}")
        issues += judge_restarts(read_properties(shown))
    return Findings(f"{len(listed)} failed units", tuple(issues))


def _require_visible(patient: Patient) -> None:
    """Check that a lock would be seen: who may not look into the state directory must not say that nobody is there.

    Raises:
        CouldNotTellError: it would not.
    """
    lock = patient.require_config().state_dir / "lock"
    try:
        lock.open("rb").close()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CouldNotTellError(f"{lock}: {error.strerror}", "Run 'sudo bpci doctor'.") from None


def _plan(patient: Patient, issue: Issue) -> tuple[str, ...]:
    del patient
    if not is_root() or not issue.subject.startswith(OURS):
        return ()
    return (f"systemctl reset-failed {issue.subject}", f"systemctl restart {issue.subject}")


def _carry_out(patient: Patient, issue: Issue) -> Outcome:
    patient.system.attempt("systemctl", "reset-failed", issue.subject)
    patient.system.run("systemctl", "restart", issue.subject, hint=f"See 'journalctl -u {issue.subject}'.")
    if not patient.system.attempt("systemctl", "is-active", "--quiet", issue.subject):
        raise HostError(
            f"{issue.subject} was restarted and is not active",
            code="doctor.unit",
            hint=f"See 'journalctl -u {issue.subject}'.",
        )
    return Outcome((f"restarted {issue.subject}",))


_RESTART = Repair(_plan, _carry_out)
NODE_UNIT = Examination(
    "unit",
    "Node and units",
    _examine,
    {"unit.failed": _RESTART, "unit.stopped": _RESTART, "unit.silent": _RESTART},
)
