"""``account.rotate_key`` and ``account.strengthen_key``: keys come and go, and gain a post-quantum companion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.account import KEY_ID_FORM, add_key, load_account, revoke_key, strengthen_key
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import PUBLIC_KEY, SIGNATURE, Spec, blob, body_map, optional, text
from bpci_node.chain.registry import replace_node_key
from bpci_node.chain.state import Overlay
from bpci_node.errors import FormatError, RefusedError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, public_key_of, require_public_key, sign_object, verify_object
from bpci_node.primitives.mldsa import KEY_BYTES, SIGNATURE_BYTES, MlDsaSigner, verify_ml_dsa

POSSESSION_CONTEXT = "bpci 2026 key possession v1"
COMPANION_CONTEXT = "bpci 2026 key companion v1"

KEY_ID = text(KEY_ID_FORM, "did:key name of an Ed25519 key")


@dataclass(frozen=True, slots=True)
class Rotation:
    """Body of ``account.rotate_key``: a key to revoke, a key to add, or both."""

    revoke: Annotated[str | None, Spec(optional(KEY_ID), "The current key that goes, if one goes.")]
    public_key: Annotated[bytes | None, Spec(optional(PUBLIC_KEY), "The Ed25519 key that comes, if one comes.")]
    proof: Annotated[
        bytes | None,
        Spec(
            optional(SIGNATURE),
            "There exactly when `public_key` is: the new key's signature of `{v: 1, ledger_id, account, public_key}` "
            "under `bpci 2026 key possession v1`.",
        ),
    ]

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return body_map(self)


@dataclass(frozen=True, slots=True)
class Strengthening:
    """Body of ``account.strengthen_key``."""

    key_id: Annotated[str, Spec(KEY_ID, "A current key of the account.")]
    ml_dsa_key: Annotated[bytes, Spec(blob(KEY_BYTES), "Its ML-DSA-44 companion.")]
    proof: Annotated[
        bytes,
        Spec(
            blob(SIGNATURE_BYTES),
            "The companion's signature of `{v: 1, ledger_id, account, key_id, ml_dsa_key}` under "
            "`bpci 2026 key companion v1`.",
        ),
    ]


def check_rotation(body: Rotation) -> None:
    """Check what the forms of single fields do not say.

    Raises:
        FormatError: a proof without its key or the reverse, or nothing to do (``format.body``); or no usable key
            (``format.key``).
    """
    if (body.proof is None) != (body.public_key is None):
        raise FormatError(
            "the body of account.rotate_key needs 'proof' exactly when it has 'public_key'", code="format.body"
        )
    if body.public_key is not None:
        require_public_key(body.public_key)
    elif body.revoke is None:
        raise FormatError("the body of account.rotate_key neither adds a key nor revokes one", code="format.body")


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


def companion_of(ledger_id: str, account: str, key_id: str, ml_dsa_key: bytes) -> bytes:
    """Return the digest that an ML-DSA-44 key signs to become the companion of ``key_id``, 32 bytes."""
    obj = {"v": 1, "ledger_id": ledger_id, "account": account, "key_id": key_id, "ml_dsa_key": ml_dsa_key}
    return derive(COMPANION_CONTEXT, encode(obj))


def prove_companion(signer: MlDsaSigner, *, ledger_id: str, account: str, key_id: str) -> bytes:
    """Return the proof, 2,420 bytes, that lets ``account`` give ``key_id`` this companion."""
    return signer.sign(companion_of(ledger_id, account, key_id, signer.public_key))


def give_companion(state: Overlay, context: Context, body: Strengthening) -> list[Event]:
    """Give a key of the sender its companion; from the next command on it signs with both.

    Raises:
        RefusedError: no such key (``account.key``).
        ProofError: the companion's holder did not agree (``proof.signature``).
    """
    account = load_account(state, context.sender)
    if account is None:
        raise RefusedError("there is no such account", code="chain.account")
    message = companion_of(context.ledger_id, context.sender, body.key_id, body.ml_dsa_key)
    verify_ml_dsa(body.ml_dsa_key, message, body.proof)
    strengthen_key(state, account, body.key_id, body.ml_dsa_key)
    return [Event("account.key_strengthened", {"account": context.sender, "key_id": body.key_id})]
