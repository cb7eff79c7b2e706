"""Database: whether what the node keeps is sound; a repair saves what can be read, and names what is lost.

While the node runs, its own reading and writing notices damage; at rest every page and row is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bpci_node.errors import NotFoundError, StorageError
from bpci_node.host.privacy import enclose, exposures
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue, Outcome, Repair
from bpci_node.runtime.doctor.patient import UNIT, Patient
from bpci_node.runtime.sealing import bundle_guard
from bpci_node.store import repair as store_repair
from bpci_node.store.database import REPAIR_MARK

_ADVICE = "Run 'bpci doctor --fix database': it copies the damaged files aside first, and says what is lost."


def _damaged(what: str) -> Issue:
    return Issue(
        "database.damaged",
        Verdict.FAIL,
        "",
        what,
        "the node does not start, or stops taking entries in; a failing disk or memory may be the cause",
        _ADVICE,
    )


def judge_status(status: Any) -> tuple[Issue, ...]:
    """Return what a running node says of its database."""
    codes = {str(item.get("code")): str(item.get("title")) for item in status.get("obstacles", [])}
    found = [_damaged(title) for code, title in codes.items() if code in ("storage.damaged", "storage.repair")]
    found += [
        Issue(
            "database.failing",
            Verdict.FAIL,
            "",
            title,
            "what the node acknowledged is safe; nothing new is",
            "See 'bpci doctor disk', 'smartctl -a' and 'journalctl -k'; restart the node when the disk works again.",
        )
        for code, title in codes.items()
        if code in ("storage.io", "storage.access", "storage.stalled")
    ]
    return tuple(found)


def judge_report(report: store_repair.Report, *, is_interrupted: bool) -> tuple[Issue, ...]:
    """Return what is wrong with a database at rest."""
    if is_interrupted:
        return (_damaged("a repair of the database was interrupted, and the node does not start before it is done"),)
    if report.is_sound:
        return ()
    found = report.findings
    parts = sorted(found.broken | set(found.bad_rows))
    named = f" ({', '.join(parts)})" if parts else ""
    return (_damaged(f"the database is damaged{named}; {_summary(report) or 'nothing seems lost'}"),)


def _summary(report: store_repair.Report) -> str:
    return "; ".join(_losses(report))


def _losses(report: store_repair.Report) -> list[str]:
    lines = []
    for target in report.targets:
        count = sum(last - first + 1 for first, last in target.arrivals)
        if count:
            lines.append(f"{target.name}: {count} entries lost, {target.waiting} of which waited")
        if target.bundles:
            lines.append(f"{target.name}: {len(target.bundles)} bundles lost")
        if target.is_end_lost:
            lines.append(f"{target.name}: the end of the order may be lost")
    return lines


@contextmanager
def _as_owner(directory: Path) -> Iterator[None]:
    """Give what is made in the directory meanwhile to whom the directory belongs: root leaves nothing of its own."""
    if not directory.is_dir():
        yield
        return
    before = set(directory.rglob("*"))
    try:
        yield
    finally:
        for item in exposures(directory, directory.stat().st_uid):
            if item.is_foreign and item.path not in before:
                with suppress(OSError):  # gone again, or not permitted: the state directory's examination tells
                    enclose(item)


def _examine(patient: Patient) -> Findings:
    config = patient.require_config()
    if patient.pid is not None:
        return Findings("in use, and the node watches it", judge_status(patient.require_status()))
    is_interrupted = (config.state_dir / REPAIR_MARK).exists()
    names = tuple(target.id for target in config.targets)
    try:
        with _as_owner(config.state_dir):
            report = store_repair.check(config.state_dir, names)
    except NotFoundError as error:
        if is_interrupted:
            raise
        del error
        return Findings("none yet")
    except StorageError as error:
        if error.code in ("storage.locked", "storage.full", "storage.access"):
            raise CouldNotTellError(error.message, error.hint or "") from error
        if error.code in ("storage.newer", "storage.foreign"):
            issue = Issue(
                "database.foreign",
                Verdict.FAIL,
                str(config.state_dir),
                error.message,
                "this program can't read it, and leaves it as it is",
                error.hint or "Use the program that wrote it.",
            )
            return Findings("not ours", (issue,))
        raise
    issues = judge_report(report, is_interrupted=is_interrupted)
    kept = sum(report.findings.kept.values())
    return Findings(f"{kept} rows looked at, {'damage found' if issues else 'sound'}", issues)


def _plan(patient: Patient, issue: Issue) -> tuple[str, ...]:
    del issue
    config = patient.config
    if config is None or (patient.pid is not None and not patient.is_machine_s_own):
        return ()  # somebody else's process: whoever started it stops it first
    own = patient.is_machine_s_own
    steps = [f"stop the node: systemctl stop {UNIT}"] if own else []
    steps += [
        f"copy the damaged files to {config.state_dir}/damaged-<time>, synced",
        "build a sound database of all that can be read, and put it in their place",
        "leave the sign guards and vote guards as they are",
    ]
    return (*steps, f"start the node: systemctl start {UNIT}") if own else tuple(steps)


def _carry_out(patient: Patient, issue: Issue) -> Outcome:
    del issue
    config, done = patient.require_config(), []
    if patient.is_machine_s_own:
        patient.system.run("systemctl", "stop", UNIT)
        done.append("stopped the node")
    with _as_owner(config.state_dir):
        report = store_repair.repair(config.state_dir, tuple(target.id for target in config.targets), patient.time_ms())
    copy = None if report.copy is None else str(report.copy)
    done.append("the database is sound again" if copy else "the database was sound; nothing was changed")
    lost, found = _losses(report), report.as_map()
    for name in (target.id for target in config.targets):
        remembered = bundle_guard(config.state_dir / "guard", name).last()
        signed, last = remembered[0] if remembered else 0, found["targets"].get(name, {}).get("last_bundle", 0)
        if signed > last:
            lost.append(
                f"{name}: bundle {signed} was signed and the last one here is {last}; the node seals no more under its"
                " identity, see docs/spec/journal.md"
            )
    if patient.is_machine_s_own:
        patient.system.run("systemctl", "reset-failed", UNIT)
        patient.system.run("systemctl", "start", UNIT)
        done.append("started the node")
    return Outcome(tuple(done), tuple(lost), copy, found)


DATABASE = Examination("database", "Database", _examine, {"database.damaged": Repair(_plan, _carry_out)})
