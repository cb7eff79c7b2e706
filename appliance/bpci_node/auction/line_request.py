"""A bidder's word to the coordinator that bonds may be reserved from its escrow: who, for what, how many, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from bpci_node.auction.commit import MAX_TIER
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.errors import ProofError, RefusedError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, verify_signature
from bpci_node.primitives.names import LEDGER_ID_FORM, TARGET_FORM

SIGNATURE_CONTEXT = "bpci 2026 auction line request v1"
VERSION = 1
MAX_BYTES = 1_024
MAX_COUNT = 100_000
"""Bonds that one request asks for, at most."""

_NAMES = ("v", "ledger_id", "epoch", "target", "account", "tier", "count", "request_id", "signature")


@dataclass(frozen=True, slots=True)
class LineRequest:
    """What a bidder signs."""

    ledger_id: str
    epoch: int
    """The epoch for whose windows the bonds are."""
    target: str
    account: str
    """Whose escrow with the wallet ``auction`` it is."""
    tier: int
    count: int
    """How many bonds, 1 to ``MAX_COUNT``."""
    request_id: bytes
    """16 bytes, random: the same request is carried out once."""
    signature: bytes = b""
    """By a current Ed25519 key of the account, 64 bytes."""

    def signed_value(self) -> dict[str, Any]:
        """Return what the signature covers: everything but itself."""
        return {
            "v": VERSION,
            "ledger_id": self.ledger_id,
            "epoch": self.epoch,
            "target": self.target,
            "account": self.account,
            "tier": self.tier,
            "count": self.count,
            "request_id": self.request_id,
        }

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode(self.signed_value() | {"signature": self.signature})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form; the signature is not verified.

        Raises:
            FormatError: not a request (``line.format``), or no CBOR (``format.*``).
        """
        fields = Fields(codec.decode(data, max_bytes=MAX_BYTES), _NAMES, what="a request for bonds", code="line.format")
        fields.version(VERSION)
        return cls(
            ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
            epoch=fields.integer("epoch"),
            target=fields.text("target", TARGET_FORM, "the id of a target chain"),
            account=fields.text("account", ACCOUNT_FORM, "an account id"),
            tier=fields.integer("tier", 0, MAX_TIER),
            count=fields.integer("count", 1, MAX_COUNT),
            request_id=fields.blob("request_id", 16),
            signature=fields.blob("signature", 64),
        )


def sign_line_request(signer: Signer, unsigned: LineRequest) -> LineRequest:
    """Return the request with its signature."""
    return replace(unsigned, signature=signer.sign(_digest(unsigned)))


def verify_line_request(request: LineRequest, *, ledger_id: str, keys: tuple[bytes, ...]) -> None:
    """Check that one of ``keys``, the account's current Ed25519 keys, signed the request for this ledger.

    Raises:
        RefusedError: none did, or it is for another ledger (``line.signature``).
    """
    if request.ledger_id == ledger_id:
        for key in keys:
            try:
                verify_signature(key, _digest(request), request.signature)
            except ProofError:
                continue
            return
    raise RefusedError("the request is not signed by a current key of its account", code="line.signature")


def _digest(request: LineRequest) -> bytes:
    return derive(SIGNATURE_CONTEXT, codec.encode(request.signed_value()))
