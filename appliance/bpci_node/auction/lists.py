"""The notaries' lists: what each has seen revealed, and which entries of the public pool each wants in.

A header commits to both kinds by ``lists_root``, and by ``forced_root`` to what became of each entry that is named.
So whoever holds a notary's signed list and the bundle can show that it was passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from bpci_node.auction.statement import Statement, read_head
from bpci_node.chain.committee import MAX_SEATS
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives import merkle
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, sign_object, verify_object

SIGNATURE_CONTEXT = "bpci 2026 auction inclusion list v1"
DIGEST_CONTEXT = "bpci 2026 auction inclusion list digest v1"
MAX_LISTED = 256
"""Transactions that one inclusion list names, at most."""
MAX_FORCED = MAX_SEATS * MAX_LISTED
"""Transactions that all lists of a window name, at most."""
MAX_LIST_BYTES = 16 * 1024

REVEALS, INCLUSIONS = 0, 1
"""Kinds of lists in ``lists_root``."""

_CODE = "list.format"
_NAMES = ("v", "ledger_id", "epoch", "window", "seat", "txids", "signature")


@dataclass(frozen=True, slots=True)
class InclusionList(Statement):
    """Entries of the public pool that one notary wants in a window."""

    seat: int
    """The notary's seat."""
    txids: tuple[bytes, ...]
    """Transactions, 32 bytes each, ascending, 1 to ``MAX_LISTED``."""
    signature: bytes = b""
    """By the seat's Ed25519 key, 64 bytes."""

    def unsigned_map(self) -> dict[str, Any]:
        """Return the map without the signature."""
        return self.head() | {
            "seat": self.seat,
            "txids": b"".join(self.txids),
        }

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return self.unsigned_map() | {"signature": self.signature}

    def digest(self) -> bytes:
        """Return its name in ``lists_root``, 32 bytes; the signature has no part in it."""
        return derive(DIGEST_CONTEXT, encode(self.unsigned_map()))

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(self.as_map())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical encoding; the signature is not looked at.

        Raises:
            FormatError: not an inclusion list (``list.format``, ``window.format``), or no CBOR (``format.*``).
        """
        return cls.from_map(decode(data, max_bytes=MAX_LIST_BYTES))

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map; the signature is not looked at.

        Raises:
            FormatError: ``list.format``, ``window.format``.
        """
        fields = Fields(value, _NAMES, what="an inclusion list", code=_CODE)
        txids = split_hashes(fields.blob_up_to("txids", 32 * MAX_LISTED), "an inclusion list", _CODE)
        if list(txids) != sorted(set(txids)):
            raise fields.wrong("needs ascending transactions, each once, in 'txids'")
        return cls(
            *read_head(fields),
            seat=fields.integer("seat", 0, MAX_SEATS - 1),
            txids=txids,
            signature=fields.blob("signature", 64),
        )


def sign_list(signer: Signer, unsigned: InclusionList) -> InclusionList:
    """Return the list with the signature of the seat's key."""
    return replace(unsigned, signature=sign_object(signer, SIGNATURE_CONTEXT, unsigned.unsigned_map()))


def verify_list(public_key: bytes, found: InclusionList) -> None:
    """Check the signature of a list by a seat's Ed25519 key, 32 bytes.

    Raises:
        ProofError: it does not hold (``list.signature``).
    """
    try:
        verify_object(public_key, SIGNATURE_CONTEXT, found.unsigned_map(), found.signature)
    except BpciError as error:
        raise ProofError("the list is not signed by the seat that it names", code="list.signature") from error


@dataclass(frozen=True, slots=True, order=True)
class ListName:
    """A list as the header commits to it."""

    kind: int
    """``REVEALS`` or ``INCLUSIONS``."""
    seat: int
    digest: bytes
    """Digest of the list, 32 bytes."""

    def encode(self) -> bytes:
        """Return the leaf of ``lists_root``: ``kind (1) ‖ seat (1) ‖ digest (32)``."""
        return bytes((self.kind, self.seat)) + self.digest


def lists_root(names: Iterable[ListName]) -> bytes:
    """Return the RFC 6962 root over the names of lists in ascending order, 32 bytes."""
    return merkle.root_of([merkle.leaf_hash(name.encode()) for name in sorted(names)])


class ForcedLeaf(NamedTuple):
    """What a header says of one transaction that an inclusion list names, or that is the reason for its absence."""

    txid: bytes
    """32 bytes."""
    is_forced: bool
    """Whether a list names it."""
    origin: int
    """The door by which it came in (:class:`~bpci_node.auction.candidates.Origin`)."""
    cause: int
    """Why it does not run (:class:`~bpci_node.auction.window_selection.Cause`); 0 if it runs."""
    commit_id: bytes | None
    """The commit that hid it, 32 bytes; None for what was never hidden."""

    def encode(self) -> bytes:
        """Return the leaf of ``forced_root``: ``txid (32) ‖ forced (1) ‖ origin (1) ‖ cause (1) ‖ commit id``."""
        return self.txid + bytes((self.is_forced, self.origin, self.cause)) + (self.commit_id or b"")


def forced_root(leaves: Iterable[ForcedLeaf]) -> bytes:
    """Return the RFC 6962 root over these leaves in the order of their transactions, 32 bytes."""
    return merkle.root_of([merkle.leaf_hash(leaf.encode()) for leaf in sorted(leaves, key=_txid)])


def _txid(leaf: ForcedLeaf) -> bytes:
    return leaf.txid


def forced_of(lists: Iterable[InclusionList]) -> tuple[bytes, ...]:
    """Return the transactions that lists name together, ascending, 32 bytes each."""
    return tuple(sorted({txid for found in lists for txid in found.txids}))


def split_hashes(joined: bytes, what: str, code: str) -> tuple[bytes, ...]:
    """Cut joined hashes of 32 bytes apart.

    Raises:
        FormatError: a part is left over (``code``).
    """
    if len(joined) % 32:
        raise FormatError(f"{what} holds hashes of 32 bytes", code=code)
    return tuple(joined[at : at + 32] for at in range(0, len(joined), 32))


def check_passed_over(found: InclusionList, names: Sequence[ListName], forced: Sequence[bytes]) -> None:
    """Check that what a header commits to (``names`` and ``forced``) holds a notary's list.

    Raises:
        ProofError: the list, or a transaction that it names, is left out (``list.left_out``).
    """
    if ListName(INCLUSIONS, found.seat, found.digest()) not in names or not set(found.txids) <= set(forced):
        raise ProofError(f"the inclusion list of seat {found.seat} was left out", code="list.left_out")
