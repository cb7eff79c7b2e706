"""Parcels: a builder's entries, in its order, for the room that hidden bids and forced entries leave.

On the wire a parcel is a bid like any other: the same commit, of which nobody can say what it hides, and the same
reveal, which brings the parcel where another one brings its transaction. One parcel wins a window, runs whole and in
its order, and pays what it bids out of the bond of its commit. Byte layout: ``docs/spec/auction.md``, "Parcels".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bpci_node.auction.commit import SALT_BYTES, Commit
from bpci_node.auction.window import WindowId
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import FormatError, RefusedError
from bpci_node.mempool.entry import Entry
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import MAX_BYTES
from bpci_node.primitives.fields import MAX_INT
from bpci_node.primitives.hashing import keccak256, sha256

COMMITMENT_TAG = "bpci 2026 auction parcel commitment v1"
VERSION = 1
MAX_ENTRIES = 256
"""Entries of one parcel, at most."""
MAX_PARCEL_BYTES = MAX_BYTES
"""Longest encoded parcel: as long as what any other reveal brings."""
FIRST_BYTE = 0x83
"""A CBOR list of three; no transaction and no native entry begins with it."""

_CODE = "parcel.format"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel that was revealed, and opens its commit."""

    commit: Commit
    """What hid it."""
    salt: bytes
    """The salt of its commitment, 32 bytes."""
    payment: int
    """What it pays if it runs, smallest unit of the terms' asset, from 1 to the cap of its tier."""
    entries: tuple[Entry, ...]
    """What runs, in the builder's order; all with the arrival of the commit."""

    @property
    def rank(self) -> tuple[int, int]:
        """Parcels are tried by this, ascending: payment (descending), then arrival."""
        return (-self.payment, self.entries[0].leaf.arrival_seq)


Opened: TypeAlias = Entry | Parcel
"""What a commit may turn out to hide."""


def is_parcel(raw: bytes) -> bool:
    """Say whether what was revealed is a parcel, and no single entry."""
    return raw[:1] == bytes((FIRST_BYTE,))


def encode_parcel(payment: int, raws: Sequence[bytes]) -> bytes:
    """Return the canonical CBOR form: version, payment, and the signed entries in the order in which they run.

    Raises:
        FormatError: no parcel has these (``parcel.format``).
    """
    data = codec.encode([VERSION, payment, list(raws)])
    decode_parcel(data)
    return data


def decode_parcel(data: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Return the payment and the signed entries of an encoded parcel; none of them is looked at.

    Raises:
        FormatError: not a parcel (``parcel.format``), or not canonical CBOR (``format.cbor``, ``format.size``).
    """
    value = codec.decode(data, max_bytes=MAX_PARCEL_BYTES)
    if type(value) is not list or len(value) != 3:
        raise _wrong("is a list of version, payment and entries")
    version, payment, raws = value
    if type(version) is not int or version != VERSION:
        raise _wrong(f"is of version {VERSION}")
    if type(payment) is not int or not 1 <= payment <= MAX_INT:
        raise _wrong("pays at least 1")
    if type(raws) is not list or not 1 <= len(raws) <= MAX_ENTRIES:
        raise _wrong(f"has 1 to {MAX_ENTRIES} entries")
    if any(type(raw) is not bytes or not raw for raw in raws):
        raise _wrong("holds its entries as byte strings")
    return payment, tuple(raws)


def parcel_commitment(window: WindowId, account: str, data: bytes, salt: bytes) -> bytes:
    """Return the digest under which ``account`` commits to an encoded parcel, 32 bytes.

    Args:
        salt: ``SALT_BYTES`` from a good source of randomness, used once.
    Raises:
        FormatError: the salt has another length (``commit.format``).
    Source: docs/spec/auction.md, "Parcels".
    """
    if len(salt) != SALT_BYTES:
        raise FormatError(f"a salt has {SALT_BYTES} bytes", code="commit.format")
    return keccak256(codec.encode([COMMITMENT_TAG, *window.as_list(), account, sha256(data), salt]))


def parcel_commit_id(
    window: WindowId, account: str, tier: int, *, payment: int, raws: Sequence[bytes], salt: bytes
) -> bytes:
    """Return the name of the one commit that hid this parcel, 32 bytes.

    So a bundle that shows the parts of a parcel shows that they are all of it, and in the builder's order.

    Raises:
        FormatError: these are no parts of a parcel or a commit (``parcel.format``, ``commit.format``).
    """
    digest = parcel_commitment(window, account, encode_parcel(payment, raws), salt)
    return Commit(window, digest, account, tier, bytes(64)).commit_id


def check_parcel(parcel: Parcel, terms: TargetTerms) -> None:
    """Check what can be said of a parcel without its window: that it could run on an empty chain.

    Raises:
        RefusedError: an entry is in it twice (``parcel.duplicate``) or does not pay the base fee (``parcel.fee``), a
            sender's nonces do not ascend (``parcel.nonce``), or all of it uses more gas than a window has
            (``parcel.gas``).
    """
    last: dict[bytes, int] = {}
    seen: set[bytes] = set()
    for entry in parcel.entries:
        leaf = entry.leaf
        if leaf.txid in seen:
            raise RefusedError("an entry is in the parcel twice", code="parcel.duplicate")
        if not entry.pays_base_fee:
            raise RefusedError("an entry of the parcel does not pay the base fee", code="parcel.fee")
        if leaf.nonce <= last.get(leaf.sender, -1):
            raise RefusedError("the nonces of a sender do not ascend in the parcel", code="parcel.nonce")
        last[leaf.sender] = leaf.nonce
        seen.add(leaf.txid)
    gas = sum(entry.leaf.gas for entry in parcel.entries)
    if gas > terms.gas_limit:
        raise RefusedError(
            "the parcel uses more gas than a window has", code="parcel.gas", gas=gas, limit=terms.gas_limit
        )


def _wrong(problem: str) -> FormatError:
    return FormatError(f"a parcel {problem}", code=_CODE)
