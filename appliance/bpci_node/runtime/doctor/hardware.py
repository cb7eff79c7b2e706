"""Hardware: whether the machine is still the one that its report describes.

No repair: measuring loads the machine for minutes, and the owner chooses when.
"""

from __future__ import annotations

from bpci_node.errors import BpciError
from bpci_node.host.fingerprint import fingerprint
from bpci_node.host.report import MAX_BYTES, claimed_key, verify_report
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.setup.system import System

REPORT = "/var/lib/bpci/hardware/report.cbor"
"""The report that ``bpci hardware report`` made last."""
_ADVICE = "Run 'bpci hardware measure', then 'bpci hardware report --register'."


def judge(reported: bytes, present: bytes) -> tuple[Issue, ...]:
    """Return an issue if a machine of one fingerprint was reported and another one is here."""
    if reported == present:
        return ()
    return (
        Issue(
            "hardware.changed",
            Verdict.WARN,
            "",
            "processor, memory or disks are others than in this machine's hardware report",
            "what the registration names describes another machine",
            _ADVICE,
        ),
    )


def reported_fingerprint(system: System) -> bytes | None:
    """Return the fingerprint in the report that this machine made last; ``None`` without a report of figures.

    Raises:
        BpciError: it does not hold.
    """
    path = system.path(REPORT)
    try:
        with path.open("rb") as file:
            signed = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CouldNotTellError(f"{REPORT} can't be read: {error.strerror}") from error
    figures = verify_report(signed, node_key=claimed_key(signed)).figures
    return None if figures is None else figures.fingerprint


def _examine(patient: Patient) -> Findings:
    try:
        reported = reported_fingerprint(patient.system)
    except BpciError as error:
        raise CouldNotTellError(f"the hardware report is unreadable: {error.message}", _ADVICE) from error
    if reported is None:
        return Findings("never measured; see 'bpci hardware measure'")
    issues = judge(reported, fingerprint(patient.system.path("/")))
    return Findings("changed" if issues else "as it was measured", issues)


HARDWARE = Examination("hardware", "Hardware", _examine)
