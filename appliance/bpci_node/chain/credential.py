"""Credentials as the ledger knows them: the digest of an SD-JWT, who issued it, to whom, at which level. No claim.

The SD-JWT itself stays with its holder. Its personal claims are behind salts of at least 128 bits, so its digest says
nothing of them; without the salts nobody can tell what was attested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.chain.authority import BANK, COMMUNITY, HYBRID, load_authority
from bpci_node.chain.credential_status import load_status
from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.record import load_record, save_record

CREDENTIAL_CONTEXT = "bpci 2026 credential v1"

NONE, BASIC, FULL = "none", "basic", "full"
LEVELS = (NONE, BASIC, FULL)
"""Levels of KYC, lowest first: basic is an identity that was seen, full is checked against money laundering too."""

ISSUERS: dict[str, tuple[str, ...]] = {BASIC: (BANK, COMMUNITY, HYBRID), FULL: (BANK, HYBRID)}
"""Types of authorities that may attest each level."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as the state holds it."""

    issuer: str
    """Account of the authority."""
    subject: str
    """Account of the identity."""
    level: str
    """``basic`` or ``full``."""
    index: int
    """Its place in the issuer's status list."""
    issued_height: int
    """Height of the block that recorded it."""
    expires_ms: int
    """From this block time on it says nothing, Unix milliseconds."""
    cause: str
    """Why it changed the subject's reputation, as in :data:`reputation.POINTS`."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "issuer": self.issuer,
            "subject": self.subject,
            "level": self.level,
            "index": self.index,
            "issued_height": self.issued_height,
            "expires_ms": self.expires_ms,
            "cause": self.cause,
        }


@dataclass(frozen=True, slots=True)
class Identity:
    """A D-Adhaar as the state holds it."""

    account: str
    """Whose it is."""
    did: str
    """``did:key`` name of the key that created it."""
    created_height: int
    """Height of the block that created it."""
    credentials: tuple[bytes, ...]
    """Ids of the credentials in force, the last one of each issuer, oldest first."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "account": self.account,
            "did": self.did,
            "created_height": self.created_height,
            "credentials": list(self.credentials),
        }


def credential_id(jwt: str) -> bytes:
    """Return the id of a credential, 32 bytes: the digest of the issuer's signed JWT without any disclosure."""
    return derive(CREDENTIAL_CONTEXT, jwt.encode("ascii"))


def load_credential(state: View, name: bytes) -> Credential | None:
    """Return the credential of this id (32 bytes), ``None`` if the ledger knows none."""
    data = state.get(b"credential/" + name)
    if data is None:
        return None
    stored = load_record(data)
    return Credential(
        issuer=stored["issuer"],
        subject=stored["subject"],
        level=stored["level"],
        index=stored["index"],
        issued_height=stored["issued_height"],
        expires_ms=stored["expires_ms"],
        cause=stored["cause"],
    )


def store_credential(state: Overlay, name: bytes, credential: Credential) -> None:
    """Write a credential."""
    state.put(b"credential/" + name, save_record(credential.as_map()))


def load_identity(state: View, account: str) -> Identity | None:
    """Return the identity of an account, ``None`` if it has none."""
    data = state.get(_identity_entry(account))
    if data is None:
        return None
    stored = load_record(data)
    return Identity(stored["account"], stored["did"], stored["created_height"], tuple(stored["credentials"]))


def store_identity(state: Overlay, identity: Identity) -> None:
    """Write an identity."""
    state.put(_identity_entry(identity.account), save_record(identity.as_map()))


def why_not(state: View, credential: Credential, time_ms: int) -> str | None:
    """Return why a credential says nothing at ``time_ms``: ``expired``, ``revoked``, ``issuer``; ``None`` if it holds.

    ``issuer``: its authority was not one when it issued it, or what it issued then was made void later.
    """
    if time_ms >= credential.expires_ms:
        return "expired"
    if load_status(state, credential.issuer, credential.index):
        return "revoked"
    authority = load_authority(state, credential.issuer)
    term = None if authority is None else authority.term_at(credential.issued_height)
    return None if term is not None and term.type in ISSUERS[credential.level] else "issuer"


def kyc_level(state: View, account: str, time_ms: int) -> str:
    """Return the highest level that an authority attests to this account at ``time_ms``."""
    identity = load_identity(state, account)
    found = [] if identity is None else [load_credential(state, name) for name in identity.credentials]
    levels = [item.level for item in found if item is not None and why_not(state, item, time_ms) is None]
    return max(levels, key=LEVELS.index, default=NONE)


def _identity_entry(account: str) -> bytes:
    return f"identity/{account}".encode("ascii")
