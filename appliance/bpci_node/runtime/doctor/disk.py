"""Disk: room in every file system that the node uses, and whether its own can be written.

A repair removes only what can be made again: unfinished copies that an interrupted program left, downloaded packages,
and old messages of the journal. Entries, bundles, blocks, guards and the copies of earlier repairs stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from bpci_node.errors import StorageError
from bpci_node.host.check import in_gb
from bpci_node.host.result import Verdict
from bpci_node.host.space import Space, read_space
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue, Outcome, Repair
from bpci_node.runtime.doctor.patient import MACHINE_STATE, Patient, is_root

FULL_PERCENT, NEARLY_PERCENT = 2, 10
FULL_BYTES = 100 * 10**6
"""Less than this is full, on any file system of more than ten times as much."""
NEARLY_BYTES = 5 * 10**9
"""A large file system that has this much left is not nearly full, whatever the share."""
JOURNAL, PACKAGES = Path("/var/log/journal"), Path("/var/cache/apt/archives")
JOURNAL_KEPT = "64M"


def _uses(patient: Patient) -> dict[Path, str]:
    """Return paths that the node or its machine writes to, and what is there."""
    uses = {Path("/"): "the system", Path("/var/log"): "logs", Path("/tmp"): "temporary files"}  # noqa: S108 - looked at
    if patient.config is not None:
        uses |= {patient.config.owner.socket.parent: "sockets", patient.config.state_dir: "the node's data"}
    else:
        uses[MACHINE_STATE] = "the node's data"
    return uses


def judge(space: Space, use: str, *, is_state: bool) -> list[Issue]:
    """Return what is wrong with one file system.

    Args:
        use: what it is used for.
        is_state: whether the node's data is there.
    """
    found = []
    where = f"the file system of {space.path} ({use})"
    if space.is_read_only:
        if is_state:
            found.append(
                Issue(
                    "disk.read_only",
                    Verdict.FAIL,
                    str(space.path),
                    f"{where} can't be written",
                    "the kernel does this when a disk fails; the node takes nothing in",
                    "See 'journalctl -k' and 'smartctl -a', back up, then check the file system at a restart.",
                )
            )
        return found
    left = f"{in_gb(space.available_bytes)} of {in_gb(space.size_bytes)}"
    if space.available_bytes * 100 < space.size_bytes * FULL_PERCENT or (
        space.available_bytes < FULL_BYTES < space.size_bytes // 10
    ):
        found.append(
            Issue(
                "disk.full",
                Verdict.FAIL,
                str(space.path),
                f"{where} is full: {left} left",
                "the node refuses new entries and blocks until there is room; what it acknowledged is safe",
                "Remove what is not needed ('du -xh --max-depth=2' shows where it is), or give it a larger disk.",
            )
        )
    elif space.available_bytes * 100 < space.size_bytes * NEARLY_PERCENT and space.available_bytes < NEARLY_BYTES:
        found.append(
            Issue(
                "disk.nearly_full",
                Verdict.WARN,
                str(space.path),
                f"{where} is nearly full: {left} left",
                "the node stops taking entries in when it is full",
                "Make room, lower journal.keep_days or ledger.keep_blocks, or give it a larger disk.",
            )
        )
    if space.files and space.available_files * 100 < space.files * FULL_PERCENT:
        found.append(
            Issue(
                "disk.files",
                Verdict.FAIL,
                str(space.path),
                f"{where} can hold only {space.available_files} more files",
                "no file can be made there soon, though there may be room",
                "Remove many small files; 'du --inodes -x --max-depth=2' shows where they are.",
            )
        )
    return found


def _examine(patient: Patient) -> Findings:
    seen: dict[int, tuple[Space, list[str], bool]] = {}
    state = MACHINE_STATE if patient.config is None else patient.config.state_dir
    for path, use in _uses(patient).items():
        space = read_space(patient.system.path(str(path)))
        known, uses, is_state = seen.get(space.device, (space, [], False))
        seen[space.device] = (space if path == state else known, [*uses, use], is_state or path == state)
    issues = [
        issue for space, uses, is_state in seen.values() for issue in judge(space, ", ".join(uses), is_state=is_state)
    ]
    shares = [space.available_bytes * 100 // space.size_bytes for space, _, _ in seen.values() if space.size_bytes]
    return Findings(f"{len(seen)} file systems, least room {min(shares, default=0)} %", tuple(issues))


def leftovers(state_dir: Path) -> Iterator[Path]:
    """Yield what an interrupted program left unfinished in a state directory that no node uses."""
    for pattern in ("damaged-*.partial", "snapshots/*.partial"):
        yield from state_dir.glob(pattern)
    new = state_dir / "node.db.new"
    if new.exists():
        yield new


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(item.lstat().st_blocks * 512 for item in files if item.is_symlink() or item.is_file())


def _here(patient: Patient, path: Path, issue: Issue) -> bool:
    try:
        return patient.system.path(str(path)).stat().st_dev == Path(issue.subject).stat().st_dev
    except OSError:
        return False


def _leftovers_here(patient: Patient, issue: Issue) -> list[Path]:
    if patient.config is None or patient.pid is not None or not _here(patient, patient.config.state_dir, issue):
        return []
    return list(leftovers(patient.config.state_dir))


def _plan(patient: Patient, issue: Issue) -> tuple[str, ...]:
    steps = [f"remove {path}, {in_gb(_size(path))}, left unfinished" for path in _leftovers_here(patient, issue)]
    if is_root() and _here(patient, PACKAGES, issue):
        steps.append("remove downloaded packages: apt-get clean")
    if is_root() and _here(patient, JOURNAL, issue):
        steps.append(f"shorten the machine's log to {JOURNAL_KEPT}: journalctl --vacuum-size={JOURNAL_KEPT}")
    return tuple(steps)


def _carry_out(patient: Patient, issue: Issue) -> Outcome:
    before = read_space(Path(issue.subject)).available_bytes
    done, lost = [], []
    for path in _leftovers_here(patient, issue):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise StorageError(f"cannot remove {path}: {error.strerror}", code="doctor.remove") from error
        done.append(f"removed {path}")
    if is_root() and _here(patient, PACKAGES, issue) and patient.system.attempt("apt-get", "clean"):
        done.append("removed downloaded packages")
    is_log_here = is_root() and _here(patient, JOURNAL, issue)
    if is_log_here and patient.system.attempt("journalctl", "--rotate", f"--vacuum-size={JOURNAL_KEPT}"):
        done.append(f"shortened the machine's log to {JOURNAL_KEPT}")
        lost.append("the oldest messages of the machine's log")
    freed = read_space(Path(issue.subject)).available_bytes - before
    return Outcome((*done, f"{in_gb(max(freed, 0))} freed"), tuple(lost))


_MAKE_ROOM = Repair(_plan, _carry_out)
DISK = Examination("disk", "Disk", _examine, {"disk.full": _MAKE_ROOM, "disk.nearly_full": _MAKE_ROOM})
