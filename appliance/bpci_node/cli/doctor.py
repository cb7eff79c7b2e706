"""``bpci doctor``: what is wrong on this machine, what that means, and what to do; with ``--fix``, doing it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bpci_node.cli.node_config import NODE_CONFIG
from bpci_node.cli.output import Progress, emit, json_option, say, styled, table
from bpci_node.errors import BpciError, UsageError

if TYPE_CHECKING:
    from bpci_node.runtime.doctor.issue import Examination, Issue
    from bpci_node.runtime.doctor.patient import Patient
    from bpci_node.runtime.doctor.visit import Result

_STATUS = {"pass": 0, "warn": 0, "fail": 1, "unknown": 3}
_WIDTH = 78


@click.command("doctor")
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The node's configuration; this machine's, or the devnet's in its default place.",
)
@click.option("--fix", is_flag=True, help="Repair what can be repaired, after saying how and asking.")
@click.option("--plan", is_flag=True, help="Say how --fix would repair it, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(*, checks: tuple[str, ...], config: Path | None, fix: bool, plan: bool, yes: bool, as_json: bool) -> int:
    """Find what is wrong on this machine: what it is, what it means, what to do next.

    With --fix it says what it will do to each thing and asks; with --json it asks nothing, so --yes is needed. Damaged
    files are copied before they are touched, nothing that was acknowledged is dropped, sign guards are never written,
    and what is lost is named. As root it sees, and may do, more.

    Checks: disk, encryption, memory, state_directory, keys, database, port, unit, clock, registry, guard, token,
    follower, sealing, hardware.

    Exit status: 0 nothing is wrong (perhaps warnings), 1 something is, 3 something could not be told.

    \b
    Examples:
      sudo bpci doctor
      sudo bpci doctor --plan
      sudo bpci doctor --fix
      bpci doctor disk clock --json
      sudo bpci doctor database --fix --yes
    """
    from bpci_node.runtime.doctor.catalog import EXAMINATIONS
    from bpci_node.runtime.doctor.visit import as_document, choose, overall

    if yes and not fix:
        raise UsageError("--yes goes with --fix", code="usage.call")
    if plan and fix:
        raise UsageError("give either --plan or --fix", code="usage.call")
    if fix and as_json and not yes:
        raise UsageError("with --json nothing is asked", code="usage.call", hint="Give --yes as well.")
    chosen = choose(EXAMINATIONS, checks)
    path = _config_path(config)
    results = _visit(_patient(path), chosen)
    document = as_document(results)
    if fix:
        if not as_json:
            say(_render(document))
        document["repairs"] = repairs = _repair(path, chosen, results, answer=yes or None)
        if any(item["state"] in ("done", "failed") for item in repairs):
            results = _visit(_patient(path), chosen)
        document |= as_document(results)
    if plan:
        document["repairs"] = _repair(path, chosen, results, answer=False)
    emit(document, as_json, _render)
    if any(item["state"] == "failed" for item in document.get("repairs", [])):
        return 1
    return _STATUS[overall(results).value]


def _config_path(given: Path | None) -> Path:
    from bpci_node.cli.local import default_directory

    if given is not None:
        return given
    devnet = default_directory() / "node.toml"
    return devnet if devnet.exists() and not NODE_CONFIG.exists() else NODE_CONFIG


def _patient(path: Path) -> Patient:
    from bpci_node.host.kernel_clock import read_kernel_clock
    from bpci_node.runtime.config import load
    from bpci_node.runtime.doctor.patient import find_patient
    from bpci_node.setup.system import System

    return find_patient(load(path), System(), read_kernel_clock)


def _visit(patient: Patient, chosen: list[Examination]) -> list[Result]:
    from bpci_node.runtime.doctor.visit import examine

    progress = Progress()
    try:
        return examine(patient, chosen, lambda item: progress.update(f"{item.title} ..."))
    finally:
        progress.finish()


def _repair(
    path: Path, chosen: list[Examination], results: list[Result], *, answer: bool | None
) -> list[dict[str, Any]]:
    """Carry out the repairs that there are, each on the patient as it is by then.

    Args:
        answer: to the question whether to do it; ``None`` asks.
    """
    return [
        _repair_one(_patient(path), examination, issue, answer=answer)
        for examination, result in zip(chosen, results, strict=True)
        for issue in result.issues
    ]


def _repair_one(patient: Patient, examination: Examination, issue: Issue, *, answer: bool | None) -> dict[str, Any]:
    report: dict[str, Any] = {
        "code": issue.code,
        "subject": issue.subject,
        "plan": [],
        "state": "none",
        "outcome": None,
    }
    repair = examination.repairs.get(issue.code)
    try:
        plan = () if repair is None else repair.plan(patient, issue)
        if repair is None or not plan:
            return report
        report["plan"] = list(plan)
        say(f"{issue.code} {issue.subject}".rstrip() + ": this would be done")
        for step in plan:
            say(f"  - {step}")
        if not (click.confirm("Do it?", err=True) if answer is None else answer):
            return report | {"state": "declined"}
        report["outcome"] = repair.carry_out(patient, issue).as_map()
    except BpciError as error:
        return report | {"state": "failed", "error": error.as_problem()}
    except OSError as error:
        failed = BpciError(f"{error.filename}: {error.strerror}", code="doctor.system", hint="Run it as root.")
        return report | {"state": "failed", "error": failed.as_problem()}
    return report | {"state": "done"}


def _render(data: dict[str, Any]) -> str:
    """Return results for a person, at most 80 columns."""
    lines = []
    for repair in data.get("repairs", []):
        lines += _repair_lines(repair)
    if lines:
        lines.append("")
    rows = [[item["verdict"], item["title"], item["text"]] for item in data["results"]]
    lines += table(rows, ["verdict", "check", "seen"]).splitlines()
    for item in data["results"]:
        for issue in item["issues"]:
            lines += ["", *_wrapped(f"{issue['verdict'].upper()} {issue['code']}: {issue['what']}.", "")]
            lines += _wrapped(f"It means: {issue['means']}.", "  ")
            lines += _wrapped(f"Next: {issue['advice']}", "  ")
        if item["hint"]:
            lines += ["", *_wrapped(f"{item['title']} could not be told: {item['text']}. {item['hint']}", "")]
    return "\n".join([*lines, "", _conclusion(data)])


def _repair_lines(repair: dict[str, Any]) -> list[str]:
    what = f"{repair['code']} {repair['subject']}".rstrip()
    if repair["state"] == "none":
        return [f"{what}: no repair here; see what to do next"]
    if repair["state"] == "declined":
        return [f"{what}: left as it is"]
    if repair["state"] == "failed":
        error = repair["error"]
        return [f"{what}: {styled('not repaired', fg='red')}: {error['title']}", *_wrapped(error.get("hint", ""), "  ")]
    outcome = repair["outcome"]
    lines = [f"{what}: {'; '.join(outcome['done'])}"]
    if outcome["copy"]:
        lines.append(f"  what was touched is kept in {outcome['copy']}")
    return lines + [f"  lost: {item}" for item in outcome["lost"] or ["nothing"]]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False)


def _conclusion(data: dict[str, Any]) -> str:
    count = data["issues"]
    if data["verdict"] == "pass":
        return "Nothing is wrong that can be seen from here."
    if not count:
        return "Nothing wrong was seen, but not everything could be told."
    return f"{count} {'thing' if count == 1 else 'things'} to look at."
