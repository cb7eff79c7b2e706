"""Commands: signed instructions to the ledger.

A command names its ledger, its sender's account, the account's next nonce and the last height at which it may be
executed, so it can be neither replayed nor carried to another ledger. Whether its signature holds is a question to
the state (an account's keys rotate): :mod:`bpci_node.chain.machine` answers it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.account import ED25519, HYBRID, KEY_ID_FORM
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, did_of
from bpci_node.primitives.mldsa import SIGNATURE_BYTES, MlDsaSigner
from bpci_node.primitives.names import LEDGER_ID_FORM
from bpci_node.primitives.record import save_record

COMMAND_CONTEXT = "bpci 2026 command v1"

MAX_COMMAND_BYTES = 16_384
"""Longest signed command."""
MAX_SIGNATURES = 16
"""The sender's signature, and those of guardians."""

KIND_FORM = re.compile(r"[a-z]{1,24}\.[a-z_]{1,40}")
"""A kind: area, dot, verb and noun, such as ``registry.register_node``."""

_FIELDS = ("v", "ledger_id", "sender", "nonce", "expires_height", "fee", "kind", "body")
_FORMAT = "format.command"
_ALG_FORM = re.compile(f"{ED25519}|{re.escape(HYBRID)}")


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction, not yet signed."""

    ledger_id: str
    """The ledger that it is meant for."""
    sender: str
    """The account that it acts for."""
    nonce: int
    """How many commands of this account have succeeded before it: 0 for the first."""
    expires_height: int
    """Last height at which it may be executed, at least 1."""
    kind: str
    """What is to be done; decides the form of ``body``."""
    body: dict[str, Any]
    """Typed by ``kind``; checked by that kind's handler."""
    fee: int = 0
    """Fee in the smallest unit of the ledger's asset, at least 0."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded and signed."""
        return {
            "v": 1,
            "ledger_id": self.ledger_id,
            "sender": self.sender,
            "nonce": self.nonce,
            "expires_height": self.expires_height,
            "fee": self.fee,
            "kind": self.kind,
            "body": self.body,
        }

    @property
    def digest(self) -> bytes:
        """What is signed, and the command's id: 32 bytes, the same whoever signs it."""
        return derive(COMMAND_CONTEXT, encode(self.as_map()))


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a command."""

    alg: str
    """``ed25519``, or ``ed25519+ml-dsa-44`` where the key has a companion."""
    key_id: str
    """``did:key`` name of the key."""
    sig: bytes
    """Ed25519, 64 bytes; followed by ML-DSA-44, 2,420 bytes, in the hybrid form. Both are over the same digest."""


@dataclass(frozen=True, slots=True)
class SignedCommand:
    """A command with its signatures: the sender's first, then those of guardians."""

    command: Command
    """What was signed."""
    signatures: tuple[Signature, ...]
    """Who signed it, at least one, no key twice."""
    digest: bytes
    """The command's digest, 32 bytes, computed once."""

    def encode(self) -> bytes:
        """Return the canonical encoding, which is what is sent and stored."""
        return encode(
            {
                "command": self.command.as_map(),
                "signatures": [
                    {"alg": signature.alg, "key_id": signature.key_id, "sig": signature.sig}
                    for signature in self.signatures
                ],
            }
        )


def sign_command(
    signer: Signer, command: Command, *, ml_dsa: MlDsaSigner | None = None, approvals: Sequence[Signer] = ()
) -> SignedCommand:
    """Return ``command`` signed by one key of its sender, and by guardians.

    Args:
        ml_dsa: the key's companion, where it has one.
        approvals: guardians' keys, for commands that need their quorum.
    Raises:
        FormatError: a field is outside what CBOR of the permitted subset holds.
    """
    digest = command.digest
    first = Signature(alg=ED25519, key_id=did_of(signer.public_key), sig=signer.sign(digest))
    if ml_dsa is not None:
        first = Signature(alg=HYBRID, key_id=first.key_id, sig=first.sig + ml_dsa.sign(digest))
    others = [Signature(alg=ED25519, key_id=did_of(item.public_key), sig=item.sign(digest)) for item in approvals]
    return SignedCommand(command, (first, *others), digest)


def decode_signed_command(data: bytes) -> SignedCommand:
    """Return the signed command that ``data`` encodes; signatures and body are not looked into.

    Raises:
        FormatError: not canonical CBOR, or not a signed command of version 1 (``format.command`` and the codec's).
    """
    outer = Fields(
        decode(data, max_bytes=MAX_COMMAND_BYTES), ("command", "signatures"), what="a signed command", code=_FORMAT
    )
    signatures = tuple(_signature(item) for item in outer.items("signatures", MAX_SIGNATURES))
    if not signatures:
        raise outer.wrong("carries no signature")
    if len({signature.key_id for signature in signatures}) != len(signatures):
        raise outer.wrong("carries two signatures of one key")
    fields = Fields(outer.raw("command"), _FIELDS, what="a command", code=_FORMAT)
    fields.version()
    body = fields.raw("body")
    if type(body) is not dict:
        raise fields.wrong("needs a map in 'body'")
    command = Command(
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        sender=fields.text("sender", ACCOUNT_FORM, "an account id"),
        nonce=fields.integer("nonce"),
        expires_height=fields.integer("expires_height", low=1),
        fee=fields.integer("fee"),
        kind=fields.text("kind", KIND_FORM, "a kind of command"),
        body=body,
    )
    # What was decoded is canonical, so encoding it once more needs no check.
    return SignedCommand(command, signatures, derive(COMMAND_CONTEXT, save_record(outer.raw("command"))))


def _signature(item: Any) -> Signature:
    fields = Fields(item, ("alg", "key_id", "sig"), what="a command's signature", code=_FORMAT)
    alg = fields.text("alg", _ALG_FORM, "'ed25519' or 'ed25519+ml-dsa-44'")
    return Signature(
        alg=alg,
        key_id=fields.text("key_id", KEY_ID_FORM, "the did:key name of an Ed25519 key"),
        sig=fields.blob("sig", 64 if alg == ED25519 else 64 + SIGNATURE_BYTES),
    )
