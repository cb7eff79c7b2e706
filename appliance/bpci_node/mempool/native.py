"""Native entries: updates and settlements of the network's own, signed with Ed25519.

A native entry names its ledger and its target chain inside what is signed, so it is good for one pool of one network
only. Its sender is the address of the signing key: the 20 bytes of the id of an account whose first key it is. What its
body means is the business of those who read it; here it is bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.errors import BpciError, FormatError, RefusedError
from bpci_node.mempool.classes import EntryType
from bpci_node.primitives import codec
from bpci_node.primitives.fields import MAX_INT, Fields
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.keys import Signer, account_address, sign_object, verify_object
from bpci_node.primitives.names import LEDGER_ID_FORM, TARGET_FORM

SIGNATURE_CONTEXT = "bpci 2026 native entry v1"
VERSION = 1
MAX_BODY_BYTES = 32 * 1024
"""Longest body."""
MAX_BYTES = MAX_BODY_BYTES + 512
"""Longest native entry that is read."""
BASE_GAS, BODY_BYTE_GAS = 21_000, 16
"""Gas of an entry without a body, and of each byte of it: what a transaction with this call data is charged."""
KINDS = {"pof_update": EntryType.POF_UPDATE, "settlement": EntryType.SETTLEMENT}

_NAMES = ("v", "ledger_id", "target", "kind", "key", "nonce", "fee", "gas", "body", "signature")
_NAME_OF = {kind: name for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class NativeEntry:
    """A signed native entry, decoded; its fees and gas are reckoned like a transaction's."""

    raw: bytes
    """Its one encoding, at most ``MAX_BYTES``."""
    txid: bytes
    """keccak256 of ``raw``, 32 bytes."""
    ledger_id: str
    """The ledger for which it is signed."""
    target: str
    """CAIP-2 id of the target chain for which it is signed."""
    kind: EntryType
    """``POF_UPDATE`` or ``SETTLEMENT``."""
    key: bytes
    """Ed25519 public key that signed it, 32 bytes."""
    sender: bytes
    """Address of the key, 20 bytes."""
    nonce: int
    """0 <= nonce <= ``MAX_INT``; a sender's entries run in the order of their nonces."""
    fee: int
    """What it pays per gas, wei, at most ``MAX_INT``."""
    gas: int
    """Gas limit, at least ``floor_gas``, at most ``MAX_INT``."""
    body: bytes
    """1 to ``MAX_BODY_BYTES`` bytes, not read here."""

    @property
    def max_fee(self) -> int:
        """Most that is paid per gas, wei: the fee."""
        return self.fee

    @property
    def max_priority_fee(self) -> int:
        """Most that is paid per gas above the base fee, wei: the fee, as for a transaction with a gas price."""
        return self.fee

    @property
    def floor_gas(self) -> int:
        """Gas that it uses at least."""
        return BASE_GAS + BODY_BYTE_GAS * len(self.body)

    @property
    def cost_wei(self) -> int:
        """The most that it takes from its sender, wei."""
        return self.gas * self.fee

    def signed_value(self) -> dict[str, Any]:
        """Return what the signature covers: everything but itself."""
        return {
            "v": VERSION,
            "ledger_id": self.ledger_id,
            "target": self.target,
            "kind": _NAME_OF[self.kind],
            "key": self.key,
            "nonce": self.nonce,
            "fee": self.fee,
            "gas": self.gas,
            "body": self.body,
        }


def sign_native(
    signer: Signer, *, ledger_id: str, target: str, kind: EntryType, nonce: int, fee: int, gas: int, body: bytes
) -> NativeEntry:
    """Return a signed native entry; arguments are those of :class:`NativeEntry`.

    Raises:
        FormatError: a value is out of range (``entry.format``).
    """
    key = signer.public_key
    unsigned = NativeEntry(b"", b"", ledger_id, target, kind, key, account_address(key), nonce, fee, gas, body)
    value = unsigned.signed_value()
    return decode_native(codec.encode(value | {"signature": sign_object(signer, SIGNATURE_CONTEXT, value)}))


def decode_native(raw: bytes) -> NativeEntry:
    """Decode a native entry and check its signature.

    Raises:
        FormatError: not a native entry in its one encoding (``entry.format``).
        RefusedError: longer than ``MAX_BYTES`` (``entry.size``), or a signature that does not hold
            (``entry.signature``).
    Source: docs/spec/mempool.md, "Native entries".
    """
    if len(raw) > MAX_BYTES:
        raise RefusedError(
            f"a native entry of {len(raw)} bytes, at most {MAX_BYTES} are accepted", code="entry.size", limit=MAX_BYTES
        )
    try:
        value = codec.decode(raw, max_bytes=MAX_BYTES)
    except FormatError as error:
        raise FormatError(f"not a native entry: {error.message}", code="entry.format") from error
    fields = Fields(value, _NAMES, what="a native entry", code="entry.format")
    fields.version(VERSION)
    kind = KINDS.get(value["kind"]) if type(value["kind"]) is str else None
    if kind is None:
        raise fields.wrong(f"needs {' or '.join(KINDS)} in 'kind'")
    body, key, signature = (
        fields.blob_up_to("body", MAX_BODY_BYTES),
        fields.blob("key", 32),
        fields.blob("signature", 64),
    )
    entry = NativeEntry(
        raw=raw,
        txid=keccak256(raw),
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        target=fields.text("target", TARGET_FORM, "the id of a target chain"),
        kind=kind,
        key=key,
        sender=account_address(key),
        nonce=fields.integer("nonce"),
        fee=fields.integer("fee"),
        gas=fields.integer("gas", BASE_GAS + BODY_BYTE_GAS * len(body), MAX_INT),
        body=body,
    )
    try:
        verify_object(key, SIGNATURE_CONTEXT, entry.signed_value(), signature)
    except BpciError as error:
        raise RefusedError("the signature is not that of the entry's key", code="entry.signature") from error
    return entry
