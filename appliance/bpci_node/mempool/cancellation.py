"""Cancellations: a sender's signed word that an entry of its own is to leave the pool.

It names ledger, target, txid and the entry's arrival number, so it is good for one stay of one entry in one pool: when
the same transaction is sent again later, it arrives under another number, and the old cancellation says nothing of it.
An Ethereum sender signs an EIP-712 message, which wallets show in words; the key of a native entry signs with Ed25519.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from bpci_node.errors import BpciError, RefusedError
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.native import NativeEntry
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import ORDER, recover_address
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.keys import Signer, sign_object, verify_object
from bpci_node.primitives.names import LEDGER_ID_FORM, TARGET_FORM

SIGNATURE_CONTEXT = "bpci 2026 entry cancellation v1"
VERSION = 1
MAX_BYTES = 512
"""Longest cancellation that is read."""
DOMAIN_NAME, DOMAIN_VERSION = "BPCI Community OS", "1"
"""Of the EIP-712 domain, beside the chain id of the target."""

_NAMES = ("v", "ledger_id", "target", "txid", "arrival_seq", "signature")
_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId)"
_MESSAGE_TYPE = b"CancelEntry(string ledger,string target,bytes32 txid,uint64 arrivalSeq)"
_ETHEREUM_BYTES, _NATIVE_BYTES = 65, 64


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A signed cancellation, decoded; nothing is verified."""

    ledger_id: str
    """The ledger to which the pool's node belongs."""
    target: str
    """CAIP-2 id of the target chain."""
    txid: bytes
    """The entry, 32 bytes."""
    arrival_seq: int
    """The entry's position in the order of arrival, as its receipt says, from 1."""
    signature: bytes
    """``r ‖ s ‖ v`` (65 bytes, v 27 or 28) of an Ethereum sender; Ed25519 (64 bytes) of a native one."""

    def signed_value(self) -> dict[str, Any]:
        """Return what an Ed25519 signature covers: everything but itself."""
        return {
            "v": VERSION,
            "ledger_id": self.ledger_id,
            "target": self.target,
            "txid": self.txid,
            "arrival_seq": self.arrival_seq,
        }

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode(self.signed_value() | {"signature": self.signature})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form.

        Raises:
            FormatError: not a cancellation (``entry.cancellation``), or not canonical CBOR (``format.cbor``,
                ``format.size``, ``format.value``).
        """
        value = codec.decode(data, max_bytes=MAX_BYTES)
        fields = Fields(value, _NAMES, what="a cancellation", code="entry.cancellation")
        fields.version(VERSION)
        signature = fields.blob_up_to("signature", _ETHEREUM_BYTES)
        if len(signature) not in (_NATIVE_BYTES, _ETHEREUM_BYTES):
            raise fields.wrong(f"needs {_NATIVE_BYTES} or {_ETHEREUM_BYTES} bytes in 'signature'")
        return cls(
            ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
            target=fields.text("target", TARGET_FORM, "the id of a target chain"),
            txid=fields.blob("txid", 32),
            arrival_seq=fields.integer("arrival_seq", 1),
            signature=signature,
        )


def typed_data(cancellation: Cancellation) -> dict[str, Any]:
    """Return what a wallet's ``eth_signTypedData_v4`` takes; its answer is the signature.

    Source: EIP-712.
    """
    return {
        "types": {
            "EIP712Domain": _members(_DOMAIN_TYPE),
            "CancelEntry": _members(_MESSAGE_TYPE),
        },
        "primaryType": "CancelEntry",
        "domain": {"name": DOMAIN_NAME, "version": DOMAIN_VERSION, "chainId": _chain_id(cancellation)},
        "message": {
            "ledger": cancellation.ledger_id,
            "target": cancellation.target,
            "txid": "0x" + cancellation.txid.hex(),
            "arrivalSeq": str(cancellation.arrival_seq),
        },
    }


def typed_digest(cancellation: Cancellation) -> bytes:
    """Return the digest that an Ethereum sender signs, 32 bytes.

    Source: EIP-712, definition of hashStruct and encodeData.
    """
    domain = keccak256(
        keccak256(_DOMAIN_TYPE)
        + keccak256(DOMAIN_NAME.encode())
        + keccak256(DOMAIN_VERSION.encode())
        + _chain_id(cancellation).to_bytes(32, "big")
    )
    message = keccak256(
        keccak256(_MESSAGE_TYPE)
        + keccak256(cancellation.ledger_id.encode())
        + keccak256(cancellation.target.encode())
        + cancellation.txid
        + cancellation.arrival_seq.to_bytes(32, "big")
    )
    return keccak256(b"\x19\x01" + domain + message)


def sign_cancellation(signer: Signer, *, ledger_id: str, target: str, txid: bytes, arrival_seq: int) -> Cancellation:
    """Return the cancellation of a native entry, signed by the key that signed the entry."""
    unsigned = Cancellation(ledger_id, target, txid, arrival_seq, b"")
    signature = sign_object(signer, SIGNATURE_CONTEXT, unsigned.signed_value())
    return Cancellation(ledger_id, target, txid, arrival_seq, signature)


def verify_cancellation(cancellation: Cancellation, entry: Entry) -> None:
    """Check that the sender of ``entry`` signed this cancellation, and that it means this stay of the entry.

    Ledger and target are the pool's to compare.

    Raises:
        RefusedError: for another arrival (``entry.stale_cancellation``), or not signed by the entry's sender
            (``entry.not_yours``).
    """
    leaf = entry.leaf
    if (cancellation.txid, cancellation.arrival_seq) != (leaf.txid, leaf.arrival_seq):
        raise RefusedError(
            f"the entry waits under arrival {leaf.arrival_seq}, not {cancellation.arrival_seq}",
            code="entry.stale_cancellation",
            hint="Sign a cancellation that names the arrival of the entry's latest receipt.",
            arrival_seq=leaf.arrival_seq,
        )
    try:
        if isinstance(entry.transaction, NativeEntry):
            key = entry.transaction.key
            verify_object(key, SIGNATURE_CONTEXT, cancellation.signed_value(), cancellation.signature)
        elif _recover(cancellation) != leaf.sender:
            raise RefusedError("signed by somebody else", code="entry.not_yours")
    except BpciError as error:
        raise RefusedError(
            "the cancellation is not signed by the sender of the entry",
            code="entry.not_yours",
            hint="Only who signed an entry can take it back.",
        ) from error


def _recover(cancellation: Cancellation) -> bytes:
    signature = cancellation.signature
    if len(signature) != _ETHEREUM_BYTES or signature[64] not in (27, 28):
        raise RefusedError("not the signature of an Ethereum account", code="entry.signature")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if not 0 < r < ORDER or not 0 < s <= ORDER // 2:
        raise RefusedError("the signature's r or s is out of range", code="entry.signature")
    return recover_address(signature[:64] + bytes([signature[64] - 27]), typed_digest(cancellation))


def _chain_id(cancellation: Cancellation) -> int:
    return int(cancellation.target.partition(":")[2])


def _members(declared: bytes) -> list[dict[str, str]]:
    inner = declared.decode().partition("(")[2].removesuffix(")")
    return [{"type": kind, "name": name} for kind, name in (member.split(" ") for member in inner.split(","))]
