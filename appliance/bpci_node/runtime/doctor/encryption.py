"""Encryption: whether the TPM still opens the data partition at a start.

No repair: binding it again takes the recovery key of the disk, which only a person has.
"""

from __future__ import annotations

from bpci_node.host.result import Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.setup.encryption import state

SEEN = {
    "none": "data not encrypted",
    "new": "encrypted, not bound yet",
    "tpm": "opened by the TPM",
    "recovery": "opened by the recovery key",
}


def judge(opened: str) -> tuple[Issue, ...]:
    """Return an issue if the TPM refused at this start.

    Args:
        opened: as :func:`bpci_node.setup.encryption.state` tells it.
    """
    if opened != "recovery":
        return ()
    return (
        Issue(
            "encryption.tpm",
            Verdict.WARN,
            "",
            "the TPM did not open the data partition at this start",
            "the machine waits for the recovery key of its disk at every start",
            "Run 'sudo bpci disk enroll', which binds the data to the TPM as it is now.",
        ),
    )


def _examine(patient: Patient) -> Findings:
    opened = state(patient.system)
    return Findings(SEEN[opened], judge(opened))


ENCRYPTION = Examination("encryption", "Encryption", _examine)
