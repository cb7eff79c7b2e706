"""What ``bpci hardware report`` holds a machine against unless it is told."""

from pathlib import Path

from bpci_node.chain.challenge import issue_challenge
from bpci_node.cli.vouching import profile_before
from bpci_node.host.report import sign_report
from bpci_node.host.result import HardwareReport, Verdict
from bpci_node.primitives.keys import LocalSigner

NODE, OTHER, REGISTRY = (LocalSigner(bytes([byte]) * 32) for byte in (1, 2, 3))


def signed(signer: LocalSigner, profile: str) -> bytes:
    challenge, _ = issue_challenge(
        REGISTRY,
        ledger_id="devnet:" + "ab" * 32,
        node_key=signer.public_key,
        now_ms=1_767_225_600_000,
        nonce16=bytes(16),
    )
    found = HardwareReport(
        profile=profile,
        note="",
        results=(),
        verdict=Verdict.PASS,
        took_ms=1,
        time_ms=1_767_225_600_500,
        versions={"bpci": "0.1.0"},
    )
    return sign_report(signer, challenge, found)


def test_a_machine_is_held_against_the_profile_of_its_last_report(tmp_path: Path) -> None:
    last, setup = tmp_path / "report.cbor", tmp_path / "setup.cbor"
    assert profile_before((last, setup), NODE.public_key) == "community"
    setup.write_bytes(signed(NODE, "dev"))
    assert profile_before((last, setup), NODE.public_key) == "dev"
    last.write_bytes(signed(NODE, "enterprise"))
    assert profile_before((last, setup), NODE.public_key) == "enterprise"


def test_reports_of_another_node_or_torn_ones_say_nothing_of_the_profile(tmp_path: Path) -> None:
    torn, foreign = tmp_path / "torn.cbor", tmp_path / "foreign.cbor"
    torn.write_bytes(signed(NODE, "dev")[:-7])
    foreign.write_bytes(signed(OTHER, "enterprise"))
    assert profile_before((torn, foreign), NODE.public_key) == "community"
