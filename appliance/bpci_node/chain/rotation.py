"""``account.rotate_key``: an account gains a key, loses one, or replaces one by another in a single step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.chain.account import KEY_ID_FORM, add_key, load_account, revoke_key
from bpci_node.chain.context import Context, Event
from bpci_node.chain.registry import replace_node_key
from bpci_node.chain.state import Overlay
from bpci_node.errors import RefusedError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.keys import Signer, public_key_of, require_public_key, sign_object, verify_object

POSSESSION_CONTEXT = "bpci 2026 key possession v1"


@dataclass(frozen=True, slots=True)
class Rotation:
    """Body of ``account.rotate_key``: a key to revoke, a key to add, or both."""

    revoke: str | None
    """``did:key`` name of the current key that goes, if one goes."""
    public_key: bytes | None
    """Ed25519 key that comes, 32 bytes, if one comes."""
    proof: bytes | None
    """Its signature, 64 bytes, of :func:`possession_of`; there exactly when ``public_key`` is."""

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return {"revoke": self.revoke, "public_key": self.public_key, "proof": self.proof}


def parse_rotation(body: dict[str, Any]) -> Rotation:
    """Return the rotation that a command's body holds.

    Raises:
        FormatError: a missing or unknown field, one outside its form, or nothing to do (``format.body``,
            ``format.key``).
    """
    fields = Fields(body, ("revoke", "public_key", "proof"), what="the body of account.rotate_key", code="format.body")
    revoke = None if fields.is_null("revoke") else fields.text("revoke", KEY_ID_FORM, "the did:key name of a key")
    public_key = None if fields.is_null("public_key") else fields.blob("public_key", 32)
    if fields.is_null("proof") != (public_key is None):
        raise fields.wrong("needs 'proof' exactly when it has 'public_key'")
    if public_key is not None:
        require_public_key(public_key)
    elif revoke is None:
        raise fields.wrong("neither adds a key nor revokes one")
    return Rotation(revoke, public_key, None if fields.is_null("proof") else fields.blob("proof", 64))


def possession_of(ledger_id: str, account: str, public_key: bytes) -> dict[str, Any]:
    """Return what a new key signs to show that its holder wants it to serve ``account``."""
    return {"v": 1, "ledger_id": ledger_id, "account": account, "public_key": public_key}


def prove_possession(signer: Signer, *, ledger_id: str, account: str) -> bytes:
    """Return the proof, 64 bytes, that lets ``account`` add the key of ``signer``."""
    return sign_object(signer, POSSESSION_CONTEXT, possession_of(ledger_id, account, signer.public_key))


def rotate_key(state: Overlay, context: Context, body: Rotation) -> list[Event]:
    """Revoke, add or replace a key of the sender; the registration of its node follows a replaced key.

    Raises:
        RefusedError: ``account.key``, ``account.key_in_use``, ``account.key_revoked``, ``account.keys``,
            ``account.last_key``, ``registry.node_key``.
        ProofError: the new key's holder did not agree (``proof.signature``).
    """
    account = load_account(state, context.sender)
    if account is None:
        raise RefusedError("there is no such account", code="chain.account")
    events = []
    if body.revoke is not None:
        account = revoke_key(state, account, body.revoke, context.height)
        replace_node_key(state, context, public_key_of(body.revoke), body.public_key)
        events.append(Event("account.key_revoked", {"account": context.sender, "key_id": body.revoke}))
    if body.public_key is not None and body.proof is not None:
        verify_object(
            body.public_key,
            POSSESSION_CONTEXT,
            possession_of(context.ledger_id, context.sender, body.public_key),
            body.proof,
        )
        account = add_key(state, account, body.public_key, context.height)
        events.append(Event("account.key_added", {"account": context.sender, "key_id": account.keys[-1].key_id}))
    if not account.keys:
        raise RefusedError(
            "the last key of an account can't be revoked",
            code="account.last_key",
            hint="Name a new key in the same command.",
        )
    return events
