"""What a presentation of a credential is worth: its own signatures, and what the ledger says of issuer and status.

The state may be a node's own or one that was proved entry by entry; nothing else is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.chain.account import load_account, load_key_use
from bpci_node.chain.credential import Credential, credential_id, load_credential, why_not
from bpci_node.chain.state import View
from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives import sdjwt
from bpci_node.primitives.keys import public_key_of

CREDENTIAL_TYPE = "urn:bpci:kyc:1"


@dataclass(frozen=True, slots=True)
class Verified:
    """A presentation that holds."""

    name: bytes
    """The credential's id, 32 bytes."""
    credential: Credential
    """What the ledger knows of it."""
    claims: dict[str, Any]
    """The open claims, and those that the holder showed."""


def credential_claims(
    *, ledger_id: str, issuer: str, subject: str, level: str, index: int, expires_ms: int, holder_key: bytes
) -> dict[str, Any]:
    """Return the open claims of a credential."""
    return {
        "cnf": sdjwt.confirmation(holder_key),
        "exp": expires_ms // 1000,
        "iss": issuer,
        "level": level,
        "status": {"status_list": {"idx": index, "uri": f"{ledger_id}/{issuer}"}},
        "sub": subject,
        "vct": CREDENTIAL_TYPE,
    }


def verify_presentation(
    state: View, presentation: sdjwt.SdJwt, expectation: sdjwt.Expectation, *, ledger_id: str, time_ms: int
) -> Verified:
    """Check a presentation against what was asked for and against the ledger.

    Args:
        time_ms: time of the block whose state this is, or later, Unix milliseconds.
    Raises:
        ProofError: it does not hold (``proof.credential``, ``proof.credential_expired``, ``proof.credential_revoked``,
            ``proof.binding``).
    """
    name = credential_id(presentation.jwt)
    credential = load_credential(state, name)
    if credential is None:
        raise ProofError("the ledger knows no such credential", code="proof.credential")
    sdjwt.verify_issuer(presentation, _issuer_key(state, presentation, credential))
    sdjwt.verify_times(presentation, time_ms // 1000)
    sdjwt.verify_binding(presentation, expectation)
    holder_key = sdjwt.holder_key(presentation)
    _require_same(presentation, credential, ledger_id, holder_key)
    account = load_account(state, credential.subject)
    if account is None or all(key.public_key != holder_key for key in account.keys):
        raise ProofError("the holder's key is no current key of its account", code="proof.binding")
    reason = why_not(state, credential, time_ms)
    if reason == "expired":
        raise ProofError("the credential is not in force", code="proof.credential_expired")
    if reason is not None:
        said = "it was revoked" if reason == "revoked" else "its issuer's word does not count"
        raise ProofError(f"the credential is revoked: {said}", code="proof.credential_revoked")
    return Verified(name, credential, sdjwt.shown_claims(presentation))


def _issuer_key(state: View, presentation: sdjwt.SdJwt, credential: Credential) -> bytes:
    """Return the key that the header names, if it was the issuer's when the credential was recorded."""
    named = presentation.header.get("kid")
    try:
        public_key = public_key_of(named if type(named) is str else "")
    except FormatError as error:
        raise ProofError("the credential names no key of its issuer", code="proof.credential") from error
    use = load_key_use(state, public_key)
    was_revoked = use is not None and use.revoked_height is not None and use.revoked_height <= credential.issued_height
    if use is None or use.account != credential.issuer or was_revoked:
        raise ProofError("the credential names no key of its issuer", code="proof.credential")
    return public_key


def _require_same(presentation: sdjwt.SdJwt, credential: Credential, ledger_id: str, holder_key: bytes) -> None:
    expected = credential_claims(
        ledger_id=ledger_id,
        issuer=credential.issuer,
        subject=credential.subject,
        level=credential.level,
        index=credential.index,
        expires_ms=credential.expires_ms,
        holder_key=holder_key,
    )
    if {name: presentation.payload.get(name) for name in expected} != expected:
        raise ProofError("the credential says something else than the ledger", code="proof.credential")
