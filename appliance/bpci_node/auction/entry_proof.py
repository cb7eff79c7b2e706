"""Proofs that one entry ran in a window, a few hundred bytes long; and, from a whole bundle, that one did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from bpci_node.auction.auction_bundle import AuctionBundle, Body
from bpci_node.auction.candidates import HIDDEN, Origin, entry_hashes, entry_leaf
from bpci_node.auction.header import MAX_ENTRIES, AuctionHeader
from bpci_node.errors import NotFoundError, ProofError
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.ethereum import MAX_BYTES as MAX_TRANSACTION_BYTES
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.merkle import audit_path, leaf_hash, verify_inclusion

VERSION = 1
MAX_PROOF_BYTES = MAX_TRANSACTION_BYTES + 4096
_MAX_PATH = 64

_CODE = "entry_proof.format"
_NAMES = ("v", "header", "position", "origin", "commit_id", "raw", "leaf", "path")


@dataclass(frozen=True, slots=True)
class EntryProof:
    """One entry of a window, and what leads from it to the header's ``entries_root``."""

    header: bytes
    """Digest of the window's header, 32 bytes: which one it is about."""
    position: int
    """Its place among the entries that ran, from 0."""
    origin: int
    commit_id: bytes | None
    """The commit that hid it, 32 bytes; None for what was never hidden."""
    raw: bytes
    """What was signed."""
    leaf: EntryLeaf
    path: tuple[bytes, ...]
    """RFC 6962 audit path, 32 bytes each."""

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(
            {
                "v": VERSION,
                "header": self.header,
                "position": self.position,
                "origin": self.origin,
                "commit_id": self.commit_id,
                "raw": self.raw,
                "leaf": self.leaf.as_list(),
                "path": list(self.path),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical encoding; nothing is verified.

        Raises:
            FormatError: not such a proof (``entry_proof.format``, ``entry.format``), or no CBOR (``format.*``).
        """
        value: Any = decode(data, max_bytes=MAX_PROOF_BYTES)
        fields = Fields(value, _NAMES, what="the proof of an entry", code=_CODE)
        fields.version(VERSION)
        origin = fields.integer("origin", 0, max(Origin))
        if fields.is_null("commit_id") == (origin in HIDDEN):
            raise fields.wrong("names a commit exactly when the entry was hidden")
        path = fields.items("path", _MAX_PATH)
        if any(type(item) is not bytes or len(item) != 32 for item in path):
            raise fields.wrong("needs hashes of 32 bytes in 'path'")
        return cls(
            header=fields.blob("header", 32),
            position=fields.integer("position", 0, MAX_ENTRIES - 1),
            origin=origin,
            commit_id=None if fields.is_null("commit_id") else fields.blob("commit_id", 32),
            raw=fields.blob_up_to("raw", MAX_TRANSACTION_BYTES),
            leaf=EntryLeaf.from_list(fields.raw("leaf")),
            path=tuple(path),
        )


def prove_entry(bundle: AuctionBundle, txid: bytes) -> EntryProof:
    """Return the proof that a transaction (32 bytes) ran.

    Raises:
        NotFoundError: it did not (``entry_proof.absent``).
        ProofError: the bundle has no body (``bundle.no_body``).
    """
    position = position_of(bundle, txid)
    if position is None:
        raise NotFoundError("the transaction did not run in this window", code="entry_proof.absent")
    entries = _body(bundle).entries
    row = entries[position]
    hashes = entry_hashes((item.origin, item.commit_id, item.raw, item.leaf_bytes()) for item in entries)
    path = audit_path(hashes, position)
    leaf = EntryLeaf(*row[3:12])
    return EntryProof(bundle.header.digest(), position, row.origin, row.commit_id, row.raw, leaf, tuple(path))


def verify_entry(proof: EntryProof, header: AuctionHeader) -> None:
    """Check that an entry ran in the window of a header that the caller trusts.

    Raises:
        ProofError: the proof is of another header (``entry_proof.header``), of another transaction than it shows
            (``entry_proof.txid``), or does not lead to the header's root (``proof.merkle``).
    """
    if proof.header != header.digest():
        raise ProofError("the proof is of another header", code="entry_proof.header")
    if keccak256(proof.raw) != proof.leaf.txid:
        raise ProofError("the transaction is not the one that the leaf names", code="entry_proof.txid")
    leaf = leaf_hash(entry_leaf(proof.origin, proof.commit_id, proof.raw, proof.leaf.encode()))
    verify_inclusion(leaf, proof.position, header.count, proof.path, header.entries_root)


def position_of(bundle: AuctionBundle, txid: bytes) -> int | None:
    """Return where a transaction (32 bytes) stands among those that ran, None if it did not run.

    Of a bundle that was verified with its body, None proves absence: the header's root is over exactly these entries.

    Raises:
        ProofError: the bundle has no body (``bundle.no_body``).
    """
    entries = _body(bundle).entries
    return next((position for position, row in enumerate(entries) if row.txid == txid), None)


def _body(bundle: AuctionBundle) -> Body:
    if bundle.body is None:
        raise ProofError("the bundle came without its entries", code="bundle.no_body", hint="Fetch it with its body.")
    return bundle.body
