"""Bundles: what was sealed, in the one form in which it is stored, sent and verified.

A bundle carries the raw transactions, what the pool committed to before sealing, and proofs that lead from each
transaction to that commitment. The signature covers every byte but itself. Its place in the chain of bundles is the
digest of its header. Byte layout: ``docs/spec/bundle.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from bpci_node.auction.selection import MAX_ENTRIES
from bpci_node.chain.certificate import MAX_CERTIFICATE_BYTES
from bpci_node.errors import FormatError
from bpci_node.mempool.bucket_key import KEY_BYTES
from bpci_node.mempool.entry_leaf import MAX_OPAQUE_BYTES, MAX_QOS
from bpci_node.mempool.target import MAX_AMOUNT, MIN_GAS
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import MAX_BYTES as MAX_TRANSACTION_BYTES
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.names import LEDGER_ID_FORM, TARGET_FORM

SIGNATURE_CONTEXT = "bpci 2026 bundle v1"
HEADER_CONTEXT = "bpci 2026 bundle header v1"
VERSION = 1
MAX_BUNDLE_BYTES = 32 * 1024 * 1024
"""Longest bundle that is read."""
NO_PARENT = bytes(32)
"""Parent of the first bundle."""

_HASH_BYTES = 32
_MAX_POOL = 2**40 - 1
_CODE = "bundle.format"
_HEADER_NAMES = (
    "v",
    "ledger_id",
    "target",
    "sequence",
    "parent",
    "time_ms",
    "base_fee",
    "fee_bin_wei",
    "region",
    "qlock_ms",
    "gas_limit",
    "gas_used",
    "count",
    "entries_root",
    "mesh_root",
    "bucket_count",
    "pool_count",
)
_NAMES = ("v", "header", "entries", "buckets", "proofs", "certificate", "signer", "signature")


@dataclass(frozen=True, slots=True)
class BundleHeader:
    """What a bundle is, in a few hundred bytes. Bundles of one node and target form a chain through their headers."""

    ledger_id: str
    """The ledger to which the sealing node belongs."""
    target: str
    """CAIP-2 id of the chain whose block space was auctioned."""
    sequence: int
    """Position in the chain of bundles, from 1."""
    parent: bytes
    """Digest of the header before this one, 32 bytes; ``NO_PARENT`` for the first."""
    time_ms: int
    """When it was sealed by the node's clock, Unix milliseconds."""
    base_fee: int
    """Base fee per gas at which fees were reckoned, wei."""
    fee_bin_wei: int
    """Width of a fee bin, wei."""
    region: int
    """Region of the buckets, 0 to 255."""
    qlock_ms: int
    """Latency class of the buckets, milliseconds."""
    gas_limit: int
    """Gas that the entries together may use."""
    gas_used: int
    """Sum of the entries' gas limits."""
    count: int
    """Number of entries, from 1."""
    entries_root: bytes
    """RFC 6962 root over the entries' leaves in the order in which they run, 32 bytes."""
    mesh_root: bytes
    """``merkle_mesh_root`` of the pool before sealing, 32 bytes."""
    bucket_count: int
    """Number of non-empty buckets before sealing."""
    pool_count: int
    """Number of entries in the pool before sealing."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {"v": VERSION} | {name: getattr(self, name) for name in _HEADER_NAMES if name != "v"}

    def digest(self) -> bytes:
        """Return the digest by which the next bundle names this one, 32 bytes."""
        return derive(HEADER_CONTEXT, codec.encode(self.as_map()))


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One entry: what can't be recomputed from anything else."""

    raw: bytes
    """The signed transaction."""
    arrival_seq: int
    """Position in the order of arrival at the node."""
    ts: int
    """Arrival by the node's clock, Unix milliseconds."""
    qos: int
    """0 to 255."""
    opaque: bytes
    """The submitter's note."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {
            "raw": self.raw,
            "arrival_seq": self.arrival_seq,
            "ts": self.ts,
            "qos": self.qos,
            "opaque": self.opaque,
        }


@dataclass(frozen=True, slots=True)
class BucketOpening:
    """One bucket as it was before sealing, opened at the entries that left it."""

    index: int
    """Position among the non-empty buckets, in the order of their keys."""
    key: bytes
    """4 bytes."""
    count: int
    """Number of its entries."""
    merkle_root: bytes
    """Root over its entries' leaves in order, 32 bytes."""
    positions: tuple[int, ...]
    """Where the bundle's entries stood in it, ascending, in the bucket's order."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {
            "index": self.index,
            "key": self.key,
            "count": self.count,
            "merkle_root": self.merkle_root,
            "positions": list(self.positions),
        }


@dataclass(frozen=True, slots=True)
class Bundle:
    """A sealed bundle."""

    header: BundleHeader
    entries: tuple[BundleEntry, ...]
    """In the order in which they run."""
    buckets: tuple[BucketOpening, ...]
    """Every bucket that an entry left, in the order of their keys."""
    bucket_proofs: tuple[tuple[bytes, ...], ...]
    """One Merkle multiproof for each of ``buckets``: 32-byte hashes."""
    mesh_proof: tuple[bytes, ...]
    """The Merkle multiproof of ``buckets`` in the mesh: 32-byte hashes."""
    certificate: bytes | None
    """The signer's registration certificate, encoded; None when it has none."""
    signer: bytes
    """Ed25519 public key of the node, 32 bytes."""
    signature: bytes
    """64 bytes."""

    def signed_map(self) -> dict[str, Any]:
        """Return what the signature covers: everything but itself."""
        return {
            "v": VERSION,
            "header": self.header.as_map(),
            "entries": [entry.as_map() for entry in self.entries],
            "buckets": [bucket.as_map() for bucket in self.buckets],
            "proofs": {
                "buckets": [b"".join(proof) for proof in self.bucket_proofs],
                "mesh": b"".join(self.mesh_proof),
            },
            "certificate": self.certificate,
            "signer": self.signer,
        }

    def encode(self) -> bytes:
        """Return the canonical CBOR form, the bytes of a bundle file."""
        return codec.encode(self.signed_map() | {"signature": self.signature})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form. Nothing is verified.

        Raises:
            FormatError: not a bundle of a version that is known here (``bundle.format``), or not canonical CBOR
                (``format.cbor``, ``format.size``, ``format.value``).
        """
        value = codec.decode(data, max_bytes=MAX_BUNDLE_BYTES)
        fields = Fields(value, _NAMES, what="a bundle", code=_CODE)
        fields.version(VERSION)
        proofs = Fields(fields.raw("proofs"), ("buckets", "mesh"), what="the proofs of a bundle", code=_CODE)
        return cls(
            header=_read_header(fields.raw("header")),
            entries=tuple(_read_entry(item) for item in fields.items("entries", MAX_ENTRIES)),
            buckets=tuple(_read_bucket(item) for item in fields.items("buckets", MAX_ENTRIES)),
            bucket_proofs=tuple(_read_hashes(item) for item in proofs.items("buckets", MAX_ENTRIES)),
            mesh_proof=_read_hashes(proofs.raw("mesh")),
            certificate=None
            if fields.is_null("certificate")
            else fields.blob_up_to("certificate", MAX_CERTIFICATE_BYTES),
            signer=fields.blob("signer", 32),
            signature=fields.blob("signature", 64),
        )


def _read_header(value: Any) -> BundleHeader:
    fields = Fields(value, _HEADER_NAMES, what="the header of a bundle", code=_CODE)
    fields.version(VERSION)
    return BundleHeader(
        ledger_id=fields.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
        target=fields.text("target", TARGET_FORM, "the id of a target chain"),
        sequence=fields.integer("sequence", 1),
        parent=fields.blob("parent", _HASH_BYTES),
        time_ms=fields.integer("time_ms"),
        base_fee=fields.integer("base_fee", 0, MAX_AMOUNT),
        fee_bin_wei=fields.integer("fee_bin_wei", 1, MAX_AMOUNT),
        region=fields.integer("region", 0, 255),
        qlock_ms=fields.integer("qlock_ms"),
        gas_limit=fields.integer("gas_limit", MIN_GAS, MAX_AMOUNT),
        gas_used=fields.integer("gas_used", MIN_GAS, MAX_AMOUNT),
        count=fields.integer("count", 1, MAX_ENTRIES),
        entries_root=fields.blob("entries_root", _HASH_BYTES),
        mesh_root=fields.blob("mesh_root", _HASH_BYTES),
        bucket_count=fields.integer("bucket_count", 1, _MAX_POOL),
        pool_count=fields.integer("pool_count", 1, _MAX_POOL),
    )


def _read_entry(value: Any) -> BundleEntry:
    names = ("raw", "arrival_seq", "ts", "qos", "opaque")
    fields = Fields(value, names, what="an entry of a bundle", code=_CODE)
    opaque = b"" if fields.raw("opaque") == b"" else fields.blob_up_to("opaque", MAX_OPAQUE_BYTES)
    return BundleEntry(
        raw=fields.blob_up_to("raw", MAX_TRANSACTION_BYTES),
        arrival_seq=fields.integer("arrival_seq", 1),
        ts=fields.integer("ts"),
        qos=fields.integer("qos", 0, MAX_QOS),
        opaque=opaque,
    )


def _read_bucket(value: Any) -> BucketOpening:
    names = ("index", "key", "count", "merkle_root", "positions")
    fields = Fields(value, names, what="a bucket of a bundle", code=_CODE)
    positions = fields.items("positions", MAX_ENTRIES)
    if any(type(position) is not int or not 0 <= position < _MAX_POOL for position in positions):
        raise fields.wrong(f"needs integers from 0 to {_MAX_POOL} in 'positions'")
    return BucketOpening(
        index=fields.integer("index", 0, _MAX_POOL),
        key=fields.blob("key", KEY_BYTES),
        count=fields.integer("count", 1, _MAX_POOL),
        merkle_root=fields.blob("merkle_root", _HASH_BYTES),
        positions=tuple(positions),
    )


def _read_hashes(value: Any) -> tuple[bytes, ...]:
    if type(value) is not bytes or len(value) % _HASH_BYTES:
        raise FormatError("a proof in a bundle is 32-byte hashes in one byte string", code=_CODE)
    return tuple(value[at : at + _HASH_BYTES] for at in range(0, len(value), _HASH_BYTES))
