"""Keys: whether the node's key files are there, whole, and nobody else's. Nothing but their length is looked at."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from bpci_node.errors import HostError
from bpci_node.host.privacy import Exposure, enclose
from bpci_node.host.result import Verdict
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue, Outcome, Repair
from bpci_node.runtime.doctor.patient import Patient

KEY_DIRECTORY = "/etc/bpci/keys"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What is seen of one key file."""

    path: Path
    is_there: bool
    is_regular: bool = True
    mode: int = 0o600
    size_bytes: int | None = KEY_BYTES
    """``None`` where the file is sealed by the service manager, and so has another length than the key."""
    has_other_names: bool = False


def references(config: NodeConfig) -> list[str]:
    """Return where the configuration says that the node's keys are."""
    found = [config.keys.node, config.keys.registry, config.faucet.key]
    if config.validator is not None:
        found += [config.validator.bls, config.validator.vrf, config.validator.ml_dsa]
    return list(dict.fromkeys(item for item in found if item))


def look(path: Path) -> KeyFile:
    """Look at one key file, and not into it."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return KeyFile(path, is_there=False)
    sealed = path.suffix == ".cred"
    return KeyFile(
        path,
        is_there=True,
        is_regular=stat.S_ISREG(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        size_bytes=None if sealed else found.st_size,
        has_other_names=found.st_nlink > 1,
    )


def judge(key: KeyFile) -> tuple[Issue, ...]:
    """Return what is wrong with one key file."""
    where = str(key.path)
    if not key.is_there:
        return (
            Issue(
                "keys.absent",
                Verdict.FAIL,
                where,
                f"the key file {where} is not there",
                "the node does not start",
                "Make it again from the recovery phrase: 'bpci setup', restore.",
            ),
        )
    if not key.is_regular or (key.size_bytes is not None and key.size_bytes != KEY_BYTES):
        return (
            Issue(
                "keys.content",
                Verdict.FAIL,
                where,
                f"{where} is not a file of exactly {KEY_BYTES} bytes",
                "it can't be the key; the node does not start with it",
                "Make it again from the recovery phrase: 'bpci setup', restore. The doctor does not touch it.",
            ),
        )
    if key.mode not in (0o600, 0o400) or key.has_other_names:
        how = f"mode {key.mode:04o}" + (", and it has a second name" if key.has_other_names else "")
        return (
            Issue(
                "keys.mode",
                Verdict.FAIL,
                where,
                f"others may read the key file {where} ({how})",
                "whoever has read it can sign as this node; closing it now does not undo that",
                f"Close it with 'chmod 0600 {where}'; if others use this machine, rotate the node's key.",
            ),
        )
    return ()


def _key_files(patient: Patient) -> list[Path]:
    config = patient.require_config()
    found = [Path(item.removeprefix("file:")) for item in references(config) if item.startswith("file:")]
    if any(item.startswith("credential:") for item in references(config)):
        directory = patient.system.path(KEY_DIRECTORY)
        found += sorted(path for path in directory.iterdir() if not path.name.endswith(".partial"))
    return found


def _examine(patient: Patient) -> Findings:
    files = _key_files(patient)
    issues = [issue for path in files for issue in judge(look(path))]
    return Findings(f"{len(files)} files", tuple(issues))


def _plan(patient: Patient, issue: Issue) -> tuple[str, ...]:
    del patient
    return (f"chmod 0600 {issue.subject}",)


def _carry_out(patient: Patient, issue: Issue) -> Outcome:
    del patient
    path = Path(issue.subject)
    try:
        found = path.lstat()
        enclose(Exposure(path, found.st_uid, found.st_uid, stat.S_IMODE(found.st_mode), 0o600))
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise HostError(f"cannot close {path}: {reason}", code="doctor.mode", hint="Run it as root.") from error
    return Outcome((f"only its owner may read {path} now",))


KEYS = Examination("keys", "Key files", _examine, {"keys.mode": Repair(_plan, _carry_out)})
