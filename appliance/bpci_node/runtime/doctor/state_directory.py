"""State directory: whether all of it belongs to who runs the node, and nobody else may look in."""

from __future__ import annotations

import pwd
from collections.abc import Sequence
from pathlib import Path

from bpci_node.errors import HostError
from bpci_node.host.privacy import Exposure, enclose, exposures
from bpci_node.host.result import Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue, Outcome, Repair
from bpci_node.runtime.doctor.patient import Patient

USER = "bpci"
"""Who runs the node of a machine."""
SHOWN = 5


def judge(found: Sequence[Exposure], top: Path) -> tuple[Issue, ...]:
    """Return what is wrong with owner and modes below a state directory."""
    foreign = [item for item in found if item.is_foreign]
    issues = []
    if foreign:
        issues.append(
            Issue(
                "state_directory.owner",
                Verdict.FAIL,
                str(top),
                f"{_some(foreign, top)} in {top} belong to another user than the node's",
                "the node can't write there, and may not start",
                "Run 'sudo bpci doctor --fix state_directory'; commands of the node run as 'sudo -u bpci bpci ...'.",
            )
        )
    if len(foreign) < len(found):
        issues.append(
            Issue(
                "state_directory.mode",
                Verdict.WARN,
                str(top),
                f"{_some([item for item in found if not item.is_foreign], top)} in {top} have modes that are too wide,"
                " or too narrow for the node",
                "others on this machine may read what waits, who sent it from where, and the guards",
                "Run 'sudo bpci doctor --fix state_directory'.",
            )
        )
    return tuple(issues)


def _some(found: Sequence[Exposure], top: Path) -> str:
    names = [str(item.path.relative_to(top)) for item in found[:SHOWN]]
    return ", ".join(names) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _owner(patient: Patient, top: Path) -> int:
    if patient.is_machine_s_own:
        try:
            return pwd.getpwnam(USER).pw_uid
        except KeyError:
            pass
    return top.stat().st_uid


def _look(patient: Patient) -> tuple[Path, list[Exposure]]:
    top = patient.require_config().state_dir
    return top, list(exposures(top, _owner(patient, top)))


def _examine(patient: Patient) -> Findings:
    try:
        top, found = _look(patient)
    except FileNotFoundError as error:
        if error.filename == str(patient.require_config().state_dir):
            return Findings("not made yet")
        raise  # a file that came and went while the node works
    return Findings(f"{len(found)} to mend" if found else "as it should be", judge(found, top))


def _plan(patient: Patient, issue: Issue) -> tuple[str, ...]:
    top, found = _look(patient)
    wanted = [item for item in found if item.is_foreign == (issue.code == "state_directory.owner")]
    steps = [
        f"{item.path}: owner {item.owner}, mode {item.mode:04o} become {item.wanted_owner}, {item.wanted_mode:04o}"
        for item in wanted[:SHOWN]
    ]
    more = len(wanted) - SHOWN
    return (*steps, f"{more} more below {top} likewise") if more > 0 else tuple(steps)


def _carry_out(patient: Patient, issue: Issue) -> Outcome:
    _, found = _look(patient)
    mended = 0
    for item in found:
        if item.is_foreign != (issue.code == "state_directory.owner"):
            continue
        try:
            enclose(item)
        except FileNotFoundError:
            continue  # the node has removed it meanwhile
        except OSError as error:
            raise HostError(
                f"cannot close {item.path}: {error.strerror}", code="doctor.mode", hint="Run it as root."
            ) from error
        mended += 1
    return Outcome((f"owner and mode of {mended} files and directories are as they should be",))


_ENCLOSE = Repair(_plan, _carry_out)
STATE_DIRECTORY = Examination(
    "state_directory",
    "State directory",
    _examine,
    {"state_directory.owner": _ENCLOSE, "state_directory.mode": _ENCLOSE},
)
