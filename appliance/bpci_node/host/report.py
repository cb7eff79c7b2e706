"""The signed hardware report: what a node found of its machine, bound to its key and to a registry's fresh challenge.

The challenge shows that the report was made after the registry asked, and for this key. It does not show that the
values are true: a machine can lie about itself, and only a measurement from outside, or attested hardware, could tell.
The layout stands in ``docs/spec/hardware-report.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.challenge import MAX_CHALLENGE_BYTES, decode_challenge
from bpci_node.errors import FormatError, ProofError, RefusedError
from bpci_node.host.figures import Figures, figures_from_object
from bpci_node.host.quote import Quote, quote_from_object, verify_quote
from bpci_node.host.result import HardwareReport, report_from_object
from bpci_node.host.score import score_of
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.hashing import derive, sha256
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.keys import Signer, sign_object, verify_object

CONTEXT = "bpci 2026 hardware report v1"
"""Domain of the signature."""
QUOTE_CONTEXT = "bpci 2026 hardware quote v1"
"""Domain of what a TPM quotes."""
VERSION, MEASURED_VERSION = 1, 2
"""Of the form with the checks alone, and of the one with figures, their score and a TPM's quote."""
MAX_BYTES = 64 * 1024
"""Longest signed report that is read."""

_MEMBERS = {"v", "challenge", "node_key", "report", "signature"}
_MEASURED_MEMBERS = _MEMBERS | {"figures", "score", "quote"}


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report whose signature holds."""

    report: HardwareReport
    """What was found."""
    challenge: bytes
    """The registry's challenge, canonical CBOR as it was received."""
    node_key: bytes
    """Ed25519 public key of the node, 32 bytes."""
    figures: Figures | None = None
    """What was measured; ``None`` in a report of the checks alone."""
    quote: Quote | None = None
    """The TPM's word, which holds for this report; ``None`` without one."""


def require_own_challenge(signer: Signer, challenge: bytes) -> None:
    """Check that ``challenge`` was issued for the key that is going to answer it.

    Raises:
        FormatError: not a challenge (``format.challenge``, or a code of the codec).
        RefusedError: it was issued for another key (``host.challenge_key``).
    """
    if decode_challenge(challenge).node_key != signer.public_key:
        raise RefusedError(
            "the challenge was issued for another key than the one that signs",
            code="host.challenge_key",
            hint="Ask the registry for a challenge with this key's DID.",
        )


def sign_report(signer: Signer, challenge: bytes, report: HardwareReport) -> bytes:
    """Return the signed report, canonical CBOR.

    Args:
        challenge: the registry's challenge, byte for byte as received.
    Raises:
        FormatError, RefusedError: as :func:`require_own_challenge`.
    """
    require_own_challenge(signer, challenge)
    body: dict[str, Any] = {
        "v": VERSION,
        "challenge": challenge,
        "node_key": signer.public_key,
        "report": report.as_object(),
    }
    return encode({**body, "signature": sign_object(signer, CONTEXT, body)})


def sign_measured_report(
    signer: Signer,
    challenge: bytes,
    report: HardwareReport,
    figures: Figures,
    make_quote: Callable[[bytes], Quote] | None = None,
) -> bytes:
    """Return the signed report with figures, canonical CBOR.

    Args:
        challenge: the registry's challenge, byte for byte as received.
        make_quote: lets the TPM vouch for 32 bytes; ``None`` without a TPM.
    Raises:
        FormatError, RefusedError: as :func:`require_own_challenge`.
        BpciError: as ``make_quote`` does.
    """
    require_own_challenge(signer, challenge)
    stated: dict[str, Any] = {
        "v": MEASURED_VERSION,
        "challenge": challenge,
        "node_key": signer.public_key,
        "report": report.as_object(),
        "figures": figures.as_object(),
        "score": score_of(figures).as_object(),
    }
    quote = None if make_quote is None else make_quote(quoted_digest(stated)).as_object()
    body = {**stated, "quote": quote}
    return encode({**body, "signature": sign_object(signer, CONTEXT, body)})


def quoted_digest(stated: dict[str, Any]) -> bytes:
    """Return what a TPM quotes, 32 bytes: the report without quote and signature."""
    return derive(QUOTE_CONTEXT, encode(stated))


def report_digest(signed: bytes) -> bytes:
    """Return the digest that a registration carries: SHA-256 of the signed report as it is stored, 32 bytes."""
    return sha256(signed)


def read_challenge(data: bytes) -> bytes:
    """Return the encoded challenge that a file holds: itself, or in the registry's answer as JSON or CBOR.

    Raises:
        FormatError: none of these (``format.challenge``, or a code of the codec).
    """
    if data.lstrip()[:1] == b"{":
        try:
            text = read_json(data, max_bytes=MAX_BYTES)["challenge"]
            challenge = bytes.fromhex(text.removeprefix("0x"))
        except (ValueError, KeyError, TypeError, AttributeError, FormatError) as error:
            raise FormatError(
                "this JSON is not a registry's answer with a challenge", code="format.challenge"
            ) from error
    else:
        value = decode(data)
        answer = type(value) is dict and type(value.get("challenge")) is bytes
        challenge = value["challenge"] if answer else data
    decode_challenge(challenge)
    return challenge


def claimed_key(signed: bytes) -> bytes:
    """Return the node's key that a signed report names; nothing is checked but the form.

    Raises:
        FormatError: not a signed report (``format.hardware_report``, or a code of the codec).
    """
    return bytes(_decoded(signed)["node_key"])


def verify_report(
    signed: bytes, *, node_key: bytes, challenge: bytes | None = None, digest: bytes | None = None
) -> SignedReport:
    """Check a signed report against the node it is said to come from.

    Args:
        node_key: the key that must have signed it, 32 bytes.
        challenge: the challenge that it must answer; ``None`` accepts any.
        digest: the digest that was registered; ``None`` accepts any.
    Raises:
        FormatError: not a signed report (``format.hardware_report``, ``format.challenge``, ``format.figures``,
            ``format.quote``, or a code of the codec).
        ProofError: the TPM's quote does not vouch for it (``proof.quote``); another key, challenge or digest, or the
            signature does not hold (``proof.hardware_report``).
    """
    fields = _decoded(signed)
    if digest is not None and report_digest(signed) != digest:
        raise _refused("it is not the report that was registered")
    if fields["node_key"] != node_key:
        raise _refused("it was made by another node")
    if challenge is not None and fields["challenge"] != challenge:
        raise _refused("it answers another challenge")
    if decode_challenge(fields["challenge"]).node_key != node_key:
        raise _refused("its challenge was issued for another node")
    body = {name: value for name, value in fields.items() if name != "signature"}
    try:
        verify_object(node_key, CONTEXT, body, fields["signature"])
    except ProofError:
        raise _refused("its signature does not hold") from None
    report = report_from_object(fields["report"])
    if fields["v"] == VERSION:
        return SignedReport(report, fields["challenge"], fields["node_key"])
    figures = figures_from_object(fields["figures"])
    if fields["score"] != score_of(figures).as_object():
        raise _wrong("the score does not follow from the figures")
    quote = None if fields["quote"] is None else quote_from_object(fields["quote"])
    if quote is not None:
        verify_quote(quote, quoted_digest({name: value for name, value in body.items() if name != "quote"}))
    return SignedReport(report, fields["challenge"], fields["node_key"], figures, quote)


def _decoded(signed: bytes) -> dict[str, Any]:
    value = decode(signed, max_bytes=MAX_BYTES)
    if type(value) is not dict or set(value) not in (_MEMBERS, _MEASURED_MEMBERS):
        raise _wrong("members are missing or unknown")
    expected = VERSION if set(value) == _MEMBERS else MEASURED_VERSION
    if type(value["v"]) is not int or value["v"] != expected:
        raise _wrong("its version is not known here")
    for name, most in (("challenge", MAX_CHALLENGE_BYTES), ("node_key", 32), ("signature", 64)):
        if type(value[name]) is not bytes or not 0 < len(value[name]) <= most:
            raise _wrong(f"{name} is not a byte string of the right length")
    return value


def _wrong(reason: str) -> FormatError:
    return FormatError(f"this is not a signed hardware report: {reason}", code="format.hardware_report")


def _refused(reason: str) -> ProofError:
    return ProofError(
        f"the hardware report does not hold: {reason}",
        code="proof.hardware_report",
        hint="Make a new one over a fresh challenge with `bpci hardware check --report`.",
    )
