import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.chain.challenge import issue_challenge
from bpci_node.errors import BpciError, FormatError, ProofError, RefusedError
from bpci_node.host.figures import Figures, figures_from_object
from bpci_node.host.quote import quote_from_object
from bpci_node.host.report import (
    CONTEXT,
    claimed_key,
    read_challenge,
    report_digest,
    sign_measured_report,
    sign_report,
    verify_report,
)
from bpci_node.host.result import CheckResult, HardwareReport, Verdict, report_from_object
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import LocalSigner, sign_object

VECTORS = json.loads((Path(__file__).parents[3] / "docs/spec/vectors/hardware.json").read_text())
NODE, OTHER, REGISTRY = (LocalSigner(bytes([byte]) * 32) for byte in (1, 2, 3))
LEDGER = "devnet:" + "ab" * 32


def challenge_for(signer: LocalSigner, nonce: int = 0) -> bytes:
    data, _ = issue_challenge(
        REGISTRY, ledger_id=LEDGER, node_key=signer.public_key, now_ms=1_767_225_600_000, nonce16=bytes([nonce]) * 16
    )
    return data


REPORT = HardwareReport(
    profile="community",
    note="Meets what a community node needs.",
    results=(
        CheckResult(
            id="cores",
            title="Processors",
            measured=8,
            unit="processors",
            text="8 processors",
            requirement="at least 8",
            needed=True,
            verdict=Verdict.PASS,
            hint="",
            facts={"online": 8, "names": ["a", "b"]},
        ),
    ),
    verdict=Verdict.PASS,
    took_ms=1234,
    time_ms=1_767_225_600_500,
    versions={"bpci": "0.1.0", "kernel": "6.1.0"},
)
SIGNED = sign_report(NODE, challenge_for(NODE), REPORT)


def test_a_signed_report_gives_back_what_was_signed() -> None:
    found = verify_report(SIGNED, node_key=NODE.public_key, challenge=challenge_for(NODE), digest=report_digest(SIGNED))
    assert found.report == REPORT
    assert found.challenge == challenge_for(NODE)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_published_vectors_hold(vector: dict[str, Any]) -> None:
    signer = LocalSigner(bytes.fromhex(vector["node_seed"][2:]))
    challenge = bytes.fromhex(vector["challenge"][2:])
    signed = sign_report(signer, challenge, report_from_object(vector["report"]))
    assert "0x" + signed.hex() == vector["signed_report"]
    assert "0x" + report_digest(signed).hex() == vector["digest"]
    assert verify_report(signed, node_key=signer.public_key, challenge=challenge).report.profile == "community"


@pytest.mark.parametrize(
    "asked",
    [
        {"node_key": OTHER.public_key},
        {"node_key": NODE.public_key, "challenge": challenge_for(NODE, 1)},
        {"node_key": NODE.public_key, "digest": bytes(32)},
    ],
)
def test_a_report_of_another_node_challenge_or_digest_is_refused(asked: dict[str, bytes]) -> None:
    with pytest.raises(ProofError) as caught:
        verify_report(SIGNED, **asked)
    assert caught.value.code == "proof.hardware_report"


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_any_altered_byte_is_refused(position: int, change: int) -> None:
    altered = bytearray(SIGNED)
    altered[position] ^= change
    with pytest.raises((ProofError, FormatError)):
        verify_report(bytes(altered), node_key=NODE.public_key)


def test_a_better_verdict_cannot_be_signed_over_worse_results() -> None:
    worse = decode(SIGNED)["report"]
    worse["results"][0]["verdict"] = "fail"
    with pytest.raises(FormatError) as caught:
        report_from_object(worse)
    assert caught.value.code == "format.hardware_report"


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("v", 2),
        ("took_ms", "1"),
        ("verdict", "fine"),
        ("results", [{}]),
        ("versions", {"bpci": 1}),
        ("extra", 1),
        ("results", [1]),
    ],
)
def test_a_report_of_another_form_is_refused(change: str, value: Any) -> None:
    with pytest.raises(FormatError):
        report_from_object({**REPORT.as_object(), change: value})


@pytest.mark.parametrize("fact", [None, {"a": 1}, [1], b"x"])
def test_facts_are_of_few_kinds(fact: Any) -> None:
    odd = REPORT.as_object()
    odd["results"][0]["facts"] = {"odd": fact}
    with pytest.raises(FormatError):
        report_from_object(odd)


@pytest.mark.parametrize("member", ["v", "challenge", "node_key", "report", "signature"])
def test_a_missing_or_mistyped_member_is_refused(member: str) -> None:
    whole = decode(SIGNED)
    for odd in ({name: value for name, value in whole.items() if name != member}, {**whole, member: "text"}):
        with pytest.raises(BpciError):
            verify_report(encode(odd), node_key=NODE.public_key)


def test_a_challenge_for_another_key_is_not_answered() -> None:
    with pytest.raises(RefusedError) as caught:
        sign_report(NODE, challenge_for(OTHER), REPORT)
    assert caught.value.code == "host.challenge_key"


def test_a_report_signed_over_a_challenge_of_another_node_is_refused() -> None:
    whole = decode(SIGNED)
    with pytest.raises(ProofError):
        verify_report(encode({**whole, "challenge": challenge_for(OTHER)}), node_key=NODE.public_key)


def test_a_challenge_is_read_alone_or_in_the_registry_s_answer() -> None:
    challenge = challenge_for(NODE)
    answer = {"challenge": challenge, "signature": bytes(64)}
    shown = {name: "0x" + value.hex() for name, value in answer.items()}
    for data in (challenge, encode(answer), json.dumps(shown).encode()):
        assert read_challenge(data) == challenge


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"challenge": 1}', b'{"challenge": "0xzz"}', b"\xa0", b"no", b'{"challenge": "0x00"}']
)
def test_what_is_no_challenge_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_challenge(data)


FIGURES = Figures({"memory": {"all": 12_000_000_000}, "disk": {"flush_99": 4_000}}, 1_767_225_600_100, b"\7" * 32)


def altered(signed: bytes, signer: LocalSigner = NODE, **changes: Any) -> bytes:
    """Return a report with other members, signed anew by who made it."""
    body = {name: value for name, value in (decode(signed) | changes).items() if name != "signature"}
    return encode({**body, "signature": sign_object(signer, CONTEXT, body)})


def test_a_measured_report_gives_back_its_figures() -> None:
    signed = sign_measured_report(NODE, challenge_for(NODE), REPORT, FIGURES)
    found = verify_report(signed, node_key=NODE.public_key, digest=report_digest(signed))
    assert (found.report, found.figures, found.quote) == (REPORT, FIGURES, None)
    assert claimed_key(signed) == NODE.public_key


def test_who_signs_can_neither_claim_a_better_score_nor_mix_the_forms() -> None:
    signed = sign_measured_report(NODE, challenge_for(NODE), REPORT, FIGURES)
    score = decode(signed)["score"]
    for wrong in (
        altered(signed, score=score | {"points": score["points"] + 1}),
        altered(signed, score=score | {"tier": "enterprise"}),
        altered(signed, v=1),
        altered(SIGNED, v=2),
        altered(signed, quote=[]),
        altered(signed, figures={}),
    ):
        with pytest.raises(FormatError):
            verify_report(wrong, node_key=NODE.public_key)


@pytest.mark.parametrize("vector", VECTORS["measured"], ids=lambda vector: vector["name"])
def test_published_vectors_of_measured_reports_hold(vector: dict[str, Any]) -> None:
    def octets(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: octets(item) for name, item in value.items()}
        return bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else value

    signer = LocalSigner(octets(vector["node_seed"]))
    figures = figures_from_object(octets(vector["figures"]))
    quote = None if vector["quote"] is None else quote_from_object(octets(vector["quote"]))
    asked: list[bytes] = []

    def quoted(digest: bytes) -> Any:
        asked.append(digest)
        return quote

    signed = sign_measured_report(
        signer,
        octets(vector["challenge"]),
        report_from_object(vector["report"]),
        figures,
        None if quote is None else quoted,
    )
    assert "0x" + signed.hex() == vector["signed_report"]
    assert "0x" + report_digest(signed).hex() == vector["digest"]
    assert [item.hex() for item in asked] == ([] if quote is None else [vector["quoted"][2:]])
    found = verify_report(signed, node_key=signer.public_key)
    assert found.quote == quote
    if quote is not None:
        # The same quote beside other figures vouches for nothing.
        with pytest.raises(ProofError) as caught:
            verify_report(altered(signed, signer, challenge=challenge_for(signer, 9)), node_key=signer.public_key)
        assert caught.value.code == "proof.quote"
