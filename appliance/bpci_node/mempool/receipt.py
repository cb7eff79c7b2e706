"""Receipts of accepted entries: a node's signed word about what arrived, and after what.

Arrivals of one target form a chain: each running hash takes in the one before it, so a node can't slip an entry in,
drop one, or change two round without breaking the chain behind somebody's receipt. Where an entry stands is a number,
not a time: clocks order nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from cbor2 import dumps

from bpci_node.errors import BpciError, ProofError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, verify_object
from bpci_node.primitives.names import TARGET_FORM

SIGNATURE_CONTEXT = "bpci 2026 entry receipt v1"
ORDER_CONTEXT = "bpci 2026 entry order v1"
VERSION = 1
START = bytes(32)
"""Running hash before the first arrival."""
MAX_BYTES = 1024
"""Longest receipt that is read."""

_NAMES = (
    "v",
    "target",
    "txid",
    "arrival_seq",
    "arrival_ms",
    "previous",
    "running_hash",
    "node_key",
    "signature",
)


@dataclass(frozen=True, slots=True)
class EntryReceipt:
    """What a node acknowledges about one entry."""

    target: str
    """CAIP-2 id of the target chain."""
    txid: bytes
    """32 bytes."""
    arrival_seq: int
    """Position in the order of arrival at this node, per target, from 1."""
    arrival_ms: int
    """Unix milliseconds by the node's clock."""
    previous: bytes
    """Running hash before this arrival, 32 bytes."""
    running_hash: bytes
    """Running hash after it, 32 bytes."""
    node_key: bytes
    """Ed25519 public key of the node, 32 bytes."""
    signature: bytes
    """Of everything above, 64 bytes."""

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode(self.signed_value() | {"signature": self.signature})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form; nothing is verified.

        Raises:
            FormatError: not a receipt (``mempool.receipt``), or not CBOR (``format.cbor``, ``format.size``).
        """
        fields = Fields(codec.decode(data, max_bytes=MAX_BYTES), _NAMES, what="a receipt", code="mempool.receipt")
        fields.version(VERSION)
        return cls(
            target=fields.text("target", TARGET_FORM, "the id of a target chain"),
            txid=fields.blob("txid", 32),
            arrival_seq=fields.integer("arrival_seq", 1),
            arrival_ms=fields.integer("arrival_ms"),
            previous=fields.blob("previous", 32),
            running_hash=fields.blob("running_hash", 32),
            node_key=fields.blob("node_key", 32),
            signature=fields.blob("signature", 64),
        )

    def signed_value(self) -> dict[str, Any]:
        """Return what the signature covers: everything but itself."""
        return {
            "v": VERSION,
            "target": self.target,
            "txid": self.txid,
            "arrival_seq": self.arrival_seq,
            "arrival_ms": self.arrival_ms,
            "previous": self.previous,
            "running_hash": self.running_hash,
            "node_key": self.node_key,
        }


def next_running_hash(previous: bytes, target: str, txid: bytes, arrival_seq: int, arrival_ms: int) -> bytes:
    """Return the running hash after one more arrival, 32 bytes; ``previous`` is ``START`` before the first."""
    # The canonical map of these five, put together by hand: every arrival is hashed, and an encoder that looks at
    # each value first takes three times as long. A test holds it to the codec.
    step = b"".join(
        (
            b"\xa5\x64txid\x58\x20",
            txid,
            b"\x66target",
            dumps(target),
            b"\x68previous\x58\x20",
            previous,
            b"\x6aarrival_ms",
            dumps(arrival_ms),
            b"\x6barrival_seq",
            dumps(arrival_seq),
        )
    )
    return derive(ORDER_CONTEXT, step)


def issue_receipt(
    signer: Signer, *, target: str, txid: bytes, arrival_seq: int, arrival_ms: int, previous: bytes
) -> bytes:
    """Return the signed receipt of an arrival, encoded; its ``running_hash`` is the ``previous`` of the next one."""
    # As above: what stands before the signature in the canonical map and what stands after it, put together by hand.
    before = b"".join(
        (
            b"\x61v",
            dumps(VERSION),
            b"\x64txid\x58\x20",
            txid,
            b"\x66target",
            dumps(target),
            b"\x68node_key\x58\x20",
            signer.public_key,
            b"\x68previous\x58\x20",
            previous,
        )
    )
    after = b"".join(
        (
            b"\x6aarrival_ms",
            dumps(arrival_ms),
            b"\x6barrival_seq",
            dumps(arrival_seq),
            b"\x6crunning_hash\x58\x20",
            next_running_hash(previous, target, txid, arrival_seq, arrival_ms),
        )
    )
    signature = signer.sign(derive(SIGNATURE_CONTEXT, b"\xa8" + before + after))
    return b"".join((b"\xa9", before, b"\x69signature\x58\x40", signature, after))


def verify_receipt(data: bytes, *, node_key: bytes) -> EntryReceipt:
    """Check that ``data`` is a receipt of the node with this key, and that its running hash follows from its parts.

    Raises:
        ProofError: not a receipt, of another node, or altered (``mempool.receipt``).
    """
    try:
        receipt = EntryReceipt.decode(data)
        if receipt.node_key != node_key:
            raise ProofError("the receipt is another node's", code="mempool.receipt")
        verify_object(node_key, SIGNATURE_CONTEXT, receipt.signed_value(), receipt.signature)
    except BpciError as error:
        raise ProofError(f"the receipt does not hold: {error.message}", code="mempool.receipt") from error
    follows = next_running_hash(receipt.previous, receipt.target, receipt.txid, receipt.arrival_seq, receipt.arrival_ms)
    if follows != receipt.running_hash:
        raise ProofError("the receipt's running hash does not follow from its parts", code="mempool.receipt")
    return receipt
