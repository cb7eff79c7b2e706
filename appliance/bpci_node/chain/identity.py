"""``identity.*``: a person's D-Adhaar, what authorities attest of it, and the documents of institutions.

An authority attests nothing to anyone who did not ask it. What is attested stands in an SD-JWT that only the holder
has; the ledger keeps its digest and its level, and whether it is revoked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.account import account_id_of, load_account
from bpci_node.chain.authority import BANK, COMMUNITY, HYBRID, require_term
from bpci_node.chain.context import Context, Event
from bpci_node.chain.credential import (
    BASIC,
    FULL,
    ISSUERS,
    Credential,
    Identity,
    load_credential,
    load_identity,
    store_credential,
    store_identity,
)
from bpci_node.chain.credential_status import load_status, set_revoked
from bpci_node.chain.did import WEB_FORM
from bpci_node.chain.forms import ACCOUNT, DIGEST, PUBLIC_KEY, SIGNATURE, TIME_MS, Empty, Spec, choice, integer, text
from bpci_node.chain.guardians import is_guardian
from bpci_node.chain.reputation import change_reputation
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.keys import Signer, did_of, sign_object, verify_object
from bpci_node.primitives.record import load_record, save_record

RESOLUTION_CONTEXT = "bpci 2026 did resolution v1"

MAX_CREDENTIALS = 8
"""Most issuers whose credentials an identity carries at one time."""
MAX_RESOLUTION_AGE = 10_000
"""How many blocks old a resolution may be when it enters."""

_RESOLVERS = (BANK, HYBRID)


@dataclass(frozen=True, slots=True)
class Request:
    """Body of ``identity.request_credential``."""

    issuer: Annotated[str, Spec(ACCOUNT, "The authority that is asked.")]
    level: Annotated[str, Spec(choice(BASIC, FULL), "What it is to attest; full is KYC and AML.")]


@dataclass(frozen=True, slots=True)
class Issue:
    """Body of ``identity.issue_credential``."""

    credential: Annotated[bytes, Spec(DIGEST, "The credential's id: the digest of its JWT under its context.")]
    subject: Annotated[str, Spec(ACCOUNT, "The identity that asked for it.")]
    level: Annotated[str, Spec(choice(BASIC, FULL), "What is attested, no more than was asked for.")]
    index: Annotated[int, Spec(integer(0, 2**31 - 1), "The issuer's next place in its status list, from 0.")]
    expires_ms: Annotated[int, Spec(TIME_MS, "From this block time on it says nothing, Unix milliseconds.")]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Body of ``identity.revoke_credential``."""

    credential: Annotated[bytes, Spec(DIGEST, "A credential that the sender issued, or that was issued to it.")]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Body of ``identity.enter_document``."""

    did: Annotated[str, Spec(text(WEB_FORM, "a did:web name"), "The institution's name.")]
    document: Annotated[bytes, Spec(DIGEST, "SHA-256 of the document as it was resolved.")]
    public_key: Annotated[bytes, Spec(PUBLIC_KEY, "A key of the document, and a current key of the sender.")]
    height: Annotated[int, Spec(integer(), "Height of the last block when it was resolved.")]
    resolver: Annotated[str, Spec(ACCOUNT, "The bank or hybrid authority, or guardian, that resolved it.")]
    resolver_key: Annotated[bytes, Spec(PUBLIC_KEY, "The resolver's current key that signed.")]
    sig: Annotated[
        bytes,
        Spec(
            SIGNATURE,
            "Its signature of `{v: 1, ledger_id, account, did, document, public_key, height}` under "
            "`bpci 2026 did resolution v1`; `account` is the sender.",
        ),
    ]


def create_dadhaar(state: Overlay, context: Context, _: Empty) -> list[Event]:
    """Create the sender's identity.

    Raises:
        RefusedError: it has one (``identity.exists``).
    """
    if load_identity(state, context.sender) is not None:
        raise RefusedError("this account has its D-Adhaar already", code="identity.exists")
    identity = Identity(context.sender, did_of(context.key), context.height, ())
    store_identity(state, identity)
    return [Event("identity.created", {"account": context.sender, "did": identity.did})]


def request_credential(state: Overlay, context: Context, body: Request) -> list[Event]:
    """Ask an authority to attest a level; a later request takes the place of an earlier one.

    Raises:
        RefusedError: the sender has no identity (``identity.unknown``), or would attest itself (``identity.self``).
        AccessError: the authority may not attest that (``authority.not_active``).
    """
    _require_identity(state, context.sender)
    if body.issuer == context.sender:
        raise RefusedError("nobody attests its own identity", code="identity.self")
    require_term(state, body.issuer, context.height, ISSUERS[body.level])
    record = {"v": 1, "level": body.level, "height": context.height}
    state.put(_request_entry(body.issuer, context.sender), save_record(record))
    fields: dict[str, str | int | bytes] = {"account": context.sender, "issuer": body.issuer, "level": body.level}
    return [Event("identity.credential_requested", fields)]


def issue_credential(state: Overlay, context: Context, body: Issue) -> list[Event]:
    """Record a credential that the sender issued to an identity that asked for it.

    Raises:
        AccessError: the sender may not attest this level (``authority.not_active``).
        RefusedError: ``identity.unknown``, ``identity.not_requested``, ``identity.index``, ``identity.expiry``,
            ``identity.credential_exists``, ``identity.credentials``.
    """
    term = require_term(state, context.sender, context.height, ISSUERS[body.level])
    identity = _require_identity(state, body.subject)
    requested = state.get(_request_entry(context.sender, body.subject))
    if requested is None or load_record(requested)["level"] not in (body.level, FULL):
        raise RefusedError(
            "the identity did not ask this authority for that level",
            code="identity.not_requested",
            hint="Its holder sends identity.request_credential first.",
        )
    following = next_index(state, context.sender)
    if body.index != following:
        raise RefusedError(
            f"the next place in this status list is {following}", code="identity.index", expected=following
        )
    if body.expires_ms <= context.time_ms:
        raise RefusedError("the credential has expired already", code="identity.expiry")
    if load_credential(state, body.credential) is not None:
        raise RefusedError("this credential was recorded before", code="identity.credential_exists")
    kind = COMMUNITY if term.type == COMMUNITY else BANK
    credential = Credential(
        issuer=context.sender,
        subject=body.subject,
        level=body.level,
        index=body.index,
        issued_height=context.height,
        expires_ms=body.expires_ms,
        cause=f"credential.{kind}_{body.level}",
    )
    earlier = {name: load_credential(state, name) for name in identity.credentials}
    replaced = [(name, item) for name, item in earlier.items() if item is not None and item.issuer == context.sender]
    kept = tuple(name for name in identity.credentials if name not in dict(replaced))
    if len(kept) >= MAX_CREDENTIALS:
        raise RefusedError(f"an identity carries at most {MAX_CREDENTIALS} credentials", code="identity.credentials")
    events = [_take_back(state, context, item) for _, item in replaced]
    store_credential(state, body.credential, credential)
    store_identity(state, replace(identity, credentials=(*kept, body.credential)))
    state.put(_index_entry(context.sender), save_record({"v": 1, "next": following + 1}))
    state.delete(_request_entry(context.sender, body.subject))
    events.append(change_reputation(state, body.subject, credential.cause, about=context.sender, height=context.height))
    issued = Event(
        "identity.credential_issued",
        {"account": body.subject, "issuer": context.sender, "credential": body.credential, "level": body.level},
    )
    return [issued, *events]


def revoke_credential(state: Overlay, context: Context, body: Revocation) -> list[Event]:
    """Revoke a credential: its issuer may, even when it is no authority any more, and its holder may.

    Raises:
        RefusedError: no such credential (``identity.credential_unknown``), or revoked before (``identity.revoked``).
        AccessError: it is somebody else's (``identity.not_yours``).
    """
    credential = load_credential(state, body.credential)
    if credential is None:
        raise RefusedError("the ledger knows no such credential", code="identity.credential_unknown")
    if context.sender not in (credential.issuer, credential.subject):
        raise AccessError("only its issuer and its holder may revoke a credential", code="identity.not_yours")
    if load_status(state, credential.issuer, credential.index):
        raise RefusedError("the credential is revoked already", code="identity.revoked")
    set_revoked(state, credential.issuer, credential.index, context.height)
    events = []
    identity = load_identity(state, credential.subject)
    if identity is not None and body.credential in identity.credentials:
        kept = tuple(name for name in identity.credentials if name != body.credential)
        store_identity(state, replace(identity, credentials=kept))
        events.append(_take_back(state, context, credential))
    fields: dict[str, str | int | bytes] = {
        "account": credential.subject,
        "issuer": credential.issuer,
        "credential": body.credential,
        "by": context.sender,
    }
    return [Event("identity.credential_revoked", fields), *events]


def enter_document(state: Overlay, context: Context, body: Resolution) -> list[Event]:
    """Bind a ``did:web`` name to the sender, on the word of an authority that resolved its document.

    Raises:
        RefusedError: the key is not the sender's (``identity.document_key``), the resolution is of the future or too
            old (``identity.document_height``), another account has the name (``identity.document_taken``), or the
            resolver has no such key (``identity.resolver_key``).
        AccessError: the resolver is neither an active bank or hybrid nor a guardian (``authority.not_active``), or the
            sender itself (``identity.self``).
        ProofError: its signature does not hold (``proof.signature``).
    """
    account = load_account(state, context.sender)
    if account is None or all(key.public_key != body.public_key for key in account.keys):
        raise RefusedError("the document's key is no current key of this account", code="identity.document_key")
    if not context.height - MAX_RESOLUTION_AGE <= body.height < context.height:
        raise RefusedError("the document was not resolved lately", code="identity.document_height")
    if body.resolver == context.sender:
        raise AccessError("nobody attests its own document", code="identity.self")
    if not is_guardian(state, context, body.resolver):
        require_term(state, body.resolver, context.height, _RESOLVERS)
    resolver = load_account(state, body.resolver)
    # A guardian that never sent a command has no account yet; its key is the one that its id is derived from.
    keys = {key.public_key for key in resolver.keys} if resolver is not None else {body.resolver_key}
    if body.resolver_key not in keys or (resolver is None and account_id_of(body.resolver_key) != body.resolver):
        raise RefusedError("the resolver has no such key", code="identity.resolver_key")
    message = resolution_of(context.ledger_id, context.sender, body)
    verify_object(body.resolver_key, RESOLUTION_CONTEXT, message, body.sig)
    earlier = load_document(state, body.did)
    if earlier is not None and earlier["account"] != context.sender and earlier["height"] >= body.height:
        raise RefusedError("another account has this name by a later resolution", code="identity.document_taken")
    record = {
        "v": 1,
        "account": context.sender,
        "document": body.document,
        "public_key": body.public_key,
        "height": body.height,
        "resolver": body.resolver,
        "entered_height": context.height,
    }
    state.put(_document_entry(body.did), save_record(record))
    fields: dict[str, str | int | bytes] = {
        "account": context.sender,
        "did": body.did,
        "document": body.document,
        "resolver": body.resolver,
    }
    return [Event("identity.document_entered", fields)]


def resolution_of(ledger_id: str, account: str, body: Resolution) -> dict[str, Any]:
    """Return what a resolver signs."""
    return {
        "v": 1,
        "ledger_id": ledger_id,
        "account": account,
        "did": body.did,
        "document": body.document,
        "public_key": body.public_key,
        "height": body.height,
    }


def sign_resolution(signer: Signer, ledger_id: str, account: str, body: Resolution) -> Resolution:
    """Return ``body`` with the resolver's key and signature."""
    sig = sign_object(signer, RESOLUTION_CONTEXT, resolution_of(ledger_id, account, body))
    return replace(body, resolver_key=signer.public_key, sig=sig)


def load_document(state: View, did: str) -> dict[str, Any] | None:
    """Return what the ledger knows of a ``did:web`` name: ``{v, account, document, public_key, height, ...}``."""
    data = state.get(_document_entry(did))
    return None if data is None else load_record(data)


def next_index(state: View, issuer: str) -> int:
    """Return the place in its status list that an issuer's next credential takes."""
    data = state.get(_index_entry(issuer))
    return 0 if data is None else int(load_record(data)["next"])


def _take_back(state: Overlay, context: Context, credential: Credential) -> Event:
    return change_reputation(
        state,
        credential.subject,
        credential.cause,
        about=credential.issuer,
        height=context.height,
        is_taken_back=True,
    )


def _require_identity(state: View, account: str) -> Identity:
    identity = load_identity(state, account)
    if identity is None:
        raise RefusedError(
            "this account has no D-Adhaar",
            code="identity.unknown",
            hint="Create it with 'bpci identity create-dadhaar'.",
        )
    return identity


def _request_entry(issuer: str, account: str) -> bytes:
    return f"credential-request/{issuer}/{account}".encode("ascii")


def _index_entry(issuer: str) -> bytes:
    return f"credential-index/{issuer}".encode("ascii")


def _document_entry(did: str) -> bytes:
    return f"did/{did}".encode("ascii")
