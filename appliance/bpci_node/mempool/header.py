"""A node's signed word about one pool: its roots, its terms, and how far it had got.

The header binds what a mempool proof opens; what it says beyond the roots (counts, arrivals, time) is the signer's
word. Its signature covers everything in it, the registration certificate of the signer included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from bpci_node.errors import ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.keys import Signer, sign_object, verify_object
from bpci_node.primitives.names import LEDGER_ID_FORM, TARGET_FORM

SIGNATURE_CONTEXT = "bpci 2026 mempool header v1"
VERSION = 1
VERKLE_ROOT_BYTES = 48
MAX_BYTES = 4096
"""Longest header that is read, certificate and signature included."""
MAX_CERTIFICATE_BYTES = 1024

_ROOT_TAG = b"MXR|v1|"
_NAMES = (
    "v",
    "ledger_id",
    "target",
    "region",
    "qlock_ms",
    "base_fee",
    "fee_bin_wei",
    "gas_limit",
    "verkle_root",
    "merkle_mesh_root",
    "mx_root",
    "entries",
    "buckets",
    "arrival_seq",
    "running_hash",
    "sequence",
    "time_ms",
    "certificate",
    "signer",
    "signature",
)


@dataclass(frozen=True, slots=True)
class MxHeader:
    """The signed header of a pool."""

    ledger_id: str
    """The ledger to which the signer belongs."""
    target: str
    """Target chain, CAIP-2."""
    region: int
    """Region of what arrives here, 0 (global) to 255."""
    qlock_ms: int
    """Latency class of what arrives here, milliseconds."""
    base_fee: int
    """Named base fee with which entries are sorted, wei per gas."""
    fee_bin_wei: int
    """Width of a fee bin, wei."""
    gas_limit: int
    """Gas of one bundle."""
    verkle_root: bytes
    """Commitment of the outer tree, a compressed G1 point, 48 bytes."""
    merkle_mesh_root: bytes
    """RFC 6962 root over the buckets, 32 bytes."""
    mx_root: bytes
    """What binds both, 32 bytes."""
    entries: int
    """Entries that wait."""
    buckets: int
    """Non-empty buckets."""
    arrival_seq: int
    """Number of the last arrival, 0 before the first."""
    running_hash: bytes
    """Running hash after it, 32 bytes."""
    sequence: int
    """Sequence of the last bundle of this target, 0 before the first."""
    time_ms: int
    """Unix milliseconds by the node's clock."""
    certificate: bytes | None
    """The signer's registration certificate, encoded."""
    signer: bytes
    """Ed25519 public key of the node, 32 bytes."""
    signature: bytes
    """Of everything above, 64 bytes."""

    def signed_map(self) -> dict[str, Any]:
        """Return what the signature covers: everything but itself."""
        return {
            "v": VERSION,
            "ledger_id": self.ledger_id,
            "target": self.target,
            "region": self.region,
            "qlock_ms": self.qlock_ms,
            "base_fee": self.base_fee,
            "fee_bin_wei": self.fee_bin_wei,
            "gas_limit": self.gas_limit,
            "verkle_root": self.verkle_root,
            "merkle_mesh_root": self.merkle_mesh_root,
            "mx_root": self.mx_root,
            "entries": self.entries,
            "buckets": self.buckets,
            "arrival_seq": self.arrival_seq,
            "running_hash": self.running_hash,
            "sequence": self.sequence,
            "time_ms": self.time_ms,
            "certificate": self.certificate,
            "signer": self.signer,
        }

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return self.signed_map() | {"signature": self.signature}

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(self.as_map())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical encoding; nothing is verified.

        Raises:
            FormatError: not a header of this version (``mempool.header``), or not CBOR (``format.*``).
        """
        return cls.from_map(decode(data, max_bytes=MAX_BYTES))

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map and return the header; nothing is verified.

        Raises:
            FormatError: not a header of this version (``mempool.header``).
        """
        fields = Fields(value, _NAMES, what="a mempool header", code="mempool.header")
        fields.version(VERSION)
        has_none = fields.is_null("certificate")
        return cls(
            ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
            target=fields.text("target", TARGET_FORM, "the id of a target chain"),
            region=fields.integer("region", high=255),
            qlock_ms=fields.integer("qlock_ms"),
            base_fee=fields.integer("base_fee"),
            fee_bin_wei=fields.integer("fee_bin_wei", 1),
            gas_limit=fields.integer("gas_limit", 1),
            verkle_root=fields.blob("verkle_root", VERKLE_ROOT_BYTES),
            merkle_mesh_root=fields.blob("merkle_mesh_root", 32),
            mx_root=fields.blob("mx_root", 32),
            entries=fields.integer("entries"),
            buckets=fields.integer("buckets"),
            arrival_seq=fields.integer("arrival_seq"),
            running_hash=fields.blob("running_hash", 32),
            sequence=fields.integer("sequence"),
            time_ms=fields.integer("time_ms"),
            certificate=None if has_none else fields.blob_up_to("certificate", MAX_CERTIFICATE_BYTES),
            signer=fields.blob("signer", 32),
            signature=fields.blob("signature", 64),
        )


def combine_roots(verkle_root: bytes, merkle_mesh_root: bytes) -> bytes:
    """Return ``mx_root``, 32 bytes, over the roots of both trees (48 and 32 bytes)."""
    return sha256(_ROOT_TAG + verkle_root + merkle_mesh_root)


def sign_header(signer: Signer, unsigned: MxHeader) -> MxHeader:
    """Return the header with the signature of ``signer``, whose key it must name."""
    return replace(unsigned, signature=sign_object(signer, SIGNATURE_CONTEXT, unsigned.signed_map()))


def verify_header(header: MxHeader) -> None:
    """Check the header's own signature and that its ``mx_root`` follows from its roots. Whom to trust is not asked.

    Raises:
        ProofError: the signature does not hold (``proof.signature``), or another root (``proof.mx_root``).
    """
    verify_object(header.signer, SIGNATURE_CONTEXT, header.signed_map(), header.signature)
    if header.mx_root != combine_roots(header.verkle_root, header.merkle_mesh_root):
        raise ProofError("the header's mx_root does not follow from its two roots", code="proof.mx_root")
