"""The leaf that commits to one entry, and its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from bpci_node.errors import FormatError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.fields import MAX_INT

LEAF_VERSION = 1
MAX_OPAQUE_BYTES = 64
"""Longest note of a submitter."""
MAX_QOS = 255
MAX_NONCE = 2**64 - 2
"""Greatest nonce of a sender. Source: EIP-2681."""

OrderKey: TypeAlias = tuple[int, int, bytes]
"""Entries are ordered by this, ascending: (-fee per weight, arrival, txid)."""


@dataclass(frozen=True, slots=True)
class EntryLeaf:
    """What the pool commits to about one entry. Leaves of a bucket's Merkle tree."""

    txid: bytes
    """keccak256 of the raw transaction, 32 bytes."""
    sender: bytes
    """Address recovered from the signature, 20 bytes."""
    nonce: int
    """The sender's nonce, at most ``MAX_NONCE``."""
    fee_per_w: int
    """What it pays per gas at the pool's base fee, wei, below 2**63."""
    gas: int
    """Gas limit."""
    ts: int
    """Arrival at the node by its clock, Unix milliseconds; orders nothing."""
    arrival_seq: int
    """Position in the order of arrival at the node, per target."""
    qos: int
    """Service level that the submitter asked for, 0 (standard) to ``MAX_QOS``; orders nothing."""
    opaque: bytes
    """The submitter's own note, at most ``MAX_OPAQUE_BYTES``, never read here."""

    def as_list(self) -> list[Any]:
        """Return the list that is encoded, in the order of the specification."""
        return [
            LEAF_VERSION,
            self.txid,
            self.sender,
            self.nonce,
            self.fee_per_w,
            self.gas,
            self.ts,
            self.arrival_seq,
            self.qos,
            self.opaque,
        ]

    def encode(self) -> bytes:
        """Return the leaf's bytes: a canonical CBOR list."""
        return encode(self.as_list())

    @classmethod
    def from_list(cls, value: Any) -> Self:
        """Check a decoded list and return the leaf.

        Raises:
            FormatError: not the list of a leaf of this version (``entry.format``).
        """
        if type(value) is not list or len(value) != 10 or type(value[0]) is not int or value[0] != LEAF_VERSION:
            raise _wrong(f"is not a list of ten items that begins with version {LEAF_VERSION}")
        _, txid, sender, *numbers, opaque = value
        for name, item, size in (("txid", txid, 32), ("sender", sender, 20)):
            if type(item) is not bytes or len(item) != size:
                raise _wrong(f"needs {size} bytes as {name}")
        for number, high in zip(numbers, (MAX_NONCE, MAX_INT, MAX_INT, MAX_INT, MAX_INT, MAX_QOS), strict=True):
            if type(number) is not int or not 0 <= number <= high:
                raise _wrong("has a number that is out of range")
        if type(opaque) is not bytes or len(opaque) > MAX_OPAQUE_BYTES:
            raise _wrong(f"needs at most {MAX_OPAQUE_BYTES} bytes as opaque")
        nonce, fee_per_w, gas, ts, arrival_seq, qos = numbers
        return cls(txid, sender, nonce, fee_per_w, gas, ts, arrival_seq, qos, opaque)

    @property
    def order_key(self) -> OrderKey:
        """Key of the order in a bucket and of selection: fee rate descending, arrival, txid."""
        return (-self.fee_per_w, self.arrival_seq, self.txid)


def _wrong(problem: str) -> FormatError:
    return FormatError(f"the leaf of an entry {problem}", code="entry.format")
