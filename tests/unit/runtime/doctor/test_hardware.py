from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.chain.challenge import issue_challenge
from bpci_node.host.figures import Figures
from bpci_node.host.fingerprint import fingerprint
from bpci_node.host.report import sign_measured_report
from bpci_node.host.result import CouldNotTellError, HardwareReport, Verdict
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.doctor.hardware import HARDWARE, REPORT
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.setup.system import System

NODE, REGISTRY = LocalSigner(bytes([1]) * 32), LocalSigner(bytes([3]) * 32)


def put_report(root: Path) -> Path:
    challenge, _ = issue_challenge(
        REGISTRY, ledger_id="devnet:" + "ab" * 32, node_key=NODE.public_key, now_ms=1_767_225_600_000, nonce16=bytes(16)
    )
    report = HardwareReport("dev", "", (), Verdict.PASS, 1, 1_767_225_600_000, {})
    figures = Figures({"memory": {"all": 1}}, 1_767_225_600_000, fingerprint(root))
    path = root / REPORT.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_bytes(sign_measured_report(NODE, challenge, report, figures))
    return path


def test_a_machine_that_was_never_measured_has_nothing_wrong(patient: Callable[..., Patient], tmp_path: Path) -> None:
    found = HARDWARE.examine(patient(system=System(tmp_path)))
    assert found.issues == ()
    assert "never measured" in found.text


def test_other_hardware_than_in_the_report_is_noticed(patient: Callable[..., Patient], tmp_path: Path) -> None:
    put_report(tmp_path)
    assert HARDWARE.examine(patient(system=System(tmp_path))).issues == ()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16000000 kB\n")
    issues = HARDWARE.examine(patient(system=System(tmp_path))).issues
    assert [(issue.code, issue.verdict) for issue in issues] == [("hardware.changed", Verdict.WARN)]


def test_a_report_that_was_altered_tells_nothing(patient: Callable[..., Patient], tmp_path: Path) -> None:
    path = put_report(tmp_path)
    altered = bytearray(path.read_bytes())
    altered[-1] ^= 1
    path.write_bytes(altered)
    with pytest.raises(CouldNotTellError):
        HARDWARE.examine(patient(system=System(tmp_path)))
