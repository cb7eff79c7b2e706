"""Bundles of version 2: a header with everything that it takes to check it, in the form that is stored and sent.

Without its body a bundle shows what the buckets of the window held and who voted; with it, every entry. Rows of one
width stand joined in one byte string, because a bundle has ten thousand of them. Byte layout: ``docs/spec/bundle.md``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from bpci_node.auction.candidates import COMMIT_ID_BYTES, HIDDEN, MAX_CANDIDATES, Origin, leaf_bytes
from bpci_node.auction.certificate import Certificate
from bpci_node.auction.commit import MAX_TIER, SALT_BYTES
from bpci_node.auction.header import MAX_ENTRIES, AuctionHeader
from bpci_node.auction.lists import MAX_FORCED, ListName, split_hashes
from bpci_node.auction.window_selection import Cause
from bpci_node.chain.committee import MAX_SEATS, Committee
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import FormatError
from bpci_node.mempool.bucket_key import bucket_id
from bpci_node.mempool.bucket_leaf import BucketLeaf
from bpci_node.mempool.entry_leaf import MAX_NONCE, MAX_OPAQUE_BYTES
from bpci_node.mempool.verkle.paths import MAX_KEYS
from bpci_node.primitives import codec, mldsa
from bpci_node.primitives.ethereum import MAX_BYTES as MAX_TRANSACTION_BYTES
from bpci_node.primitives.fields import MAX_INT, Fields
from bpci_node.primitives.hashing import derive

VERSION = 2
MAX_BUNDLE_BYTES = 32 * 1024 * 1024
"""Longest bundle that is read."""
POST_QUANTUM_CONTEXT = "bpci 2026 auction bundle post-quantum v2"
ML_DSA_44 = 1
"""Algorithm of the coordinator's signature; another one takes another number."""
KEYS_OF_PROOF = MAX_KEYS
"""Buckets that one Verkle proof is about."""

_CODE = "bundle.format"
_NAMES = (
    *("v", "header", "terms", "lists", "forced", "buckets", "verkle", "mesh", "certificate", "post_quantum"),
    *("next_committee", "body"),
)
_BODY_NAMES = ("entries", "left_out", "causes", "raws", "opaques", "positions", "paths", "parcel")
_BUCKET = struct.Struct(">4sIIQQQ32s32s")
_ENTRY = struct.Struct(">IB32s32s20sQQQQQB")
_FIRST_BYTES = range(struct.calcsize(">IB32s32s20sQ"), struct.calcsize(">IB32s32s20sQQQQQ"), 8)
"""Where fee, gas, time and arrival begin in a row."""
_LIST = struct.Struct(">BB32s")
_NO_COMMIT = bytes(COMMIT_ID_BYTES)


class Row(NamedTuple):
    """One entry of a bundle: its leaf, where it comes from, and what was signed."""

    bucket: int
    """Position among the bundle's buckets."""
    origin: int
    commit: bytes
    """Id of the commit, 32 bytes; zeros for what was never hidden."""
    txid: bytes
    sender: bytes
    nonce: int
    fee_per_w: int
    gas: int
    ts: int
    arrival_seq: int
    qos: int
    opaque: bytes
    raw: bytes

    @property
    def commit_id(self) -> bytes | None:
        """Id of the commit, 32 bytes; None for what was never hidden."""
        return self.commit if self.origin in HIDDEN else None

    def leaf_bytes(self) -> bytes:
        """Return the encoding of the entry's leaf."""
        return leaf_bytes(self[3:12])


class BucketRow(NamedTuple):
    """A bucket of the window's candidates, before any of them ran."""

    key: bytes
    """4 bytes."""
    place: int
    """Position among the non-empty buckets, in the order of keys."""
    size: int
    """Entries in it, from 1."""
    gas_sum: int
    min_fee: int
    max_fee: int
    topk_digest: bytes
    merkle_root: bytes

    def leaf(self, target: str) -> BucketLeaf:
        """Return what the outer tree commits to. A window's candidates are of no earlier bundle."""
        return BucketLeaf(bucket_id(target, self.key), *self[2:], sealed_epoch=0)


class ParcelRow(NamedTuple):
    """What, with its entries, opens the commit of the parcel that runs."""

    account: str
    """The builder's."""
    tier: int
    payment: int
    """What it pays, smallest unit of the terms' asset."""
    salt: bytes
    """Of its commitment, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Body:
    """The entries, and what leads from each to its bucket."""

    entries: tuple[Row, ...]
    """What runs, in order."""
    left_out: tuple[Row, ...]
    """Forced entries that don't run, and what their causes refer to, in the order of the merge."""
    causes: tuple[Cause, ...]
    """One for each of ``left_out``."""
    positions: tuple[tuple[int, ...], ...]
    """For each bucket: the places of these entries in it, ascending."""
    paths: tuple[tuple[bytes, ...], ...]
    """For each bucket: the Merkle multiproof of these places, 32-byte hashes."""
    parcel: ParcelRow | None = None
    """Of the parcel that runs; None where none does."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        rows = (*self.entries, *self.left_out)
        places = [place for bucket in self.positions for place in (len(bucket), *bucket)]
        return {
            "entries": b"".join(_ENTRY.pack(*row[:11]) for row in self.entries),
            "left_out": b"".join(_ENTRY.pack(*row[:11]) for row in self.left_out),
            "causes": bytes(self.causes),
            "raws": [row.raw for row in rows],
            "opaques": [[number, row.opaque] for number, row in enumerate(rows) if row.opaque],
            "positions": struct.pack(f">{len(places)}I", *places),
            "paths": [b"".join(path) for path in self.paths],
            "parcel": None if self.parcel is None else list(self.parcel),
        }


@dataclass(frozen=True, slots=True)
class AuctionBundle:
    """A window's result and its proofs."""

    header: AuctionHeader
    terms: TargetTerms
    """Of the target, which the header names by their digest."""
    lists: tuple[ListName, ...]
    """The notaries' lists, which the header commits to; ascending."""
    forced: tuple[bytes, ...]
    """Transactions that inclusion lists name, ascending, 32 bytes each."""
    buckets: tuple[BucketRow, ...]
    """Buckets from which an entry ran, or was forced and left out, in the order of keys."""
    verkle: tuple[bytes, ...]
    """Proofs of these buckets in the outer tree, encoded, each of the next ``KEYS_OF_PROOF`` buckets."""
    mesh: tuple[bytes, ...]
    """Their Merkle multiproof in the mesh: 32-byte hashes."""
    certificate: Certificate
    """The committee's votes for the header."""
    post_quantum: bytes
    """ML-DSA-44 signature of the coordinator, 2,420 bytes."""
    next_committee: Committee | None
    """The committee that the header names; None if it names none."""
    body: Body | None
    """None where the bundle travels without its entries."""

    def without_body(self) -> Self:
        """Return the bundle as it travels to those who want no entries."""
        return replace(self, body=None)

    def encode(self) -> bytes:
        """Return the canonical CBOR form, the bytes of a bundle file."""
        value = {
            "v": VERSION,
            "header": self.header.as_map(),
            "terms": self.terms.as_map(),
            "lists": b"".join(name.encode() for name in self.lists),
            "forced": b"".join(self.forced),
            "buckets": b"".join(_BUCKET.pack(*row) for row in self.buckets),
            "verkle": list(self.verkle),
            "mesh": b"".join(self.mesh),
            "certificate": self.certificate.as_map(),
            "post_quantum": {"algorithm": ML_DSA_44, "signature": self.post_quantum},
            "next_committee": None if self.next_committee is None else self.next_committee.as_map(),
            "body": None if self.body is None else self.body.as_map(),
        }
        return codec.encode(value)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form. Nothing is verified.

        Raises:
            FormatError: not a bundle of version 2 (``bundle.format``, or the code of the part that is wrong), or not
                canonical CBOR (``format.cbor``, ``format.size``, ``format.value``).
        """
        return cls.from_map(codec.decode(data, max_bytes=MAX_BUNDLE_BYTES))

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map. Nothing is verified.

        Raises:
            FormatError: as for :meth:`decode`.
        """
        fields = Fields(value, _NAMES, what="a bundle", code=_CODE)
        fields.version(VERSION)
        signature = Fields(
            fields.raw("post_quantum"), ("algorithm", "signature"), what="the signature of a bundle", code=_CODE
        )
        if signature.integer("algorithm") != ML_DSA_44:
            raise FormatError("the algorithm of the bundle's signature is not known here", code="bundle.algorithm")
        lists = tuple(ListName(*item) for item in _rows(fields, "lists", _LIST, 2 * MAX_SEATS))
        buckets = tuple(map(BucketRow._make, _rows(fields, "buckets", _BUCKET, MAX_CANDIDATES)))
        if any(max(bucket[3:6]) > MAX_INT for bucket in buckets):
            raise fields.wrong("has a bucket with a number that is out of range")
        return cls(
            header=AuctionHeader.from_map(fields.raw("header")),
            terms=TargetTerms.from_map(fields.raw("terms")),
            lists=lists,
            forced=_hashes(fields, "forced", MAX_FORCED),
            buckets=buckets,
            verkle=_read_proofs(fields, len(buckets)),
            mesh=_hashes(fields, "mesh", MAX_CANDIDATES),
            certificate=Certificate.from_map(fields.raw("certificate")),
            post_quantum=signature.blob("signature", mldsa.SIGNATURE_BYTES),
            next_committee=None
            if fields.is_null("next_committee")
            else Committee.from_map(fields.raw("next_committee")),
            body=None if fields.is_null("body") else _read_body(fields.raw("body"), len(buckets)),
        )


def post_quantum_message(header_digest: bytes) -> bytes:
    """Return what the coordinator signs with ML-DSA-44, 32 bytes."""
    return derive(POST_QUANTUM_CONTEXT, header_digest)


def _read_body(value: Any, bucket_count: int) -> Body:
    fields = Fields(value, _BODY_NAMES, what="the body of a bundle", code=_CODE)
    ran = _rows(fields, "entries", _ENTRY, MAX_ENTRIES)
    others = _rows(fields, "left_out", _ENTRY, MAX_CANDIDATES)
    packed = [*ran, *others]
    raws = fields.items("raws", len(packed))
    if len(raws) != len(packed) or not all(
        type(raw) is bytes and 0 < len(raw) <= MAX_TRANSACTION_BYTES for raw in raws
    ):
        raise fields.wrong(f"needs one transaction of at most {MAX_TRANSACTION_BYTES} bytes for each entry")
    opaques = _read_opaques(fields, len(packed))
    rows = tuple(
        Row._make((*item, opaques.get(number, b""), raw))
        for number, (item, raw) in enumerate(zip(packed, raws, strict=True))
    )
    if any((row[1] in HIDDEN) == (row[2] == _NO_COMMIT) or row[1] > Origin.PUBLIC for row in rows):
        raise fields.wrong("has an entry whose origin does not fit its commit")
    if any(row[0] >= bucket_count or row[5] > MAX_NONCE for row in rows):
        raise fields.wrong("has an entry of no bucket, or with a nonce that is out of range")
    joined = (fields.raw("entries"), fields.raw("left_out"))
    # The first byte of a number of eight says whether it is one of 63 bits.
    if any(max(rows_of[at :: _ENTRY.size], default=0) > 0x7F for rows_of in joined for at in _FIRST_BYTES):
        raise fields.wrong("has an entry with a number that is out of range")
    causes = _blob(fields, "causes", MAX_CANDIDATES)
    if len(causes) != len(others) or any(cause not in _CAUSES for cause in causes):
        raise fields.wrong("needs one cause for each entry that is left out")
    paths = fields.items("paths", bucket_count)
    if any(type(path) is not bytes for path in paths):
        raise fields.wrong("needs joined hashes in 'paths'")
    return Body(
        entries=rows[: len(ran)],
        left_out=rows[len(ran) :],
        causes=tuple(map(Cause, causes)),
        positions=_read_positions(fields, len(rows)),
        paths=tuple(split_hashes(path, "a path in a bundle", _CODE) for path in paths),
        parcel=None if fields.is_null("parcel") else _read_parcel(fields),
    )


def _read_parcel(fields: Fields) -> ParcelRow:
    parts = fields.items("parcel", len(ParcelRow._fields))
    if [type(part) for part in parts] != [str, int, int, bytes]:
        raise fields.wrong("needs account, tier, payment and salt in 'parcel'")
    row = ParcelRow._make(parts)
    if (
        ACCOUNT_FORM.fullmatch(row.account) is None
        or not 0 <= row.tier <= MAX_TIER
        or not 1 <= row.payment <= MAX_INT
        or len(row.salt) != SALT_BYTES
    ):
        raise fields.wrong("has a part of 'parcel' that is out of range")
    return row


_CAUSES = frozenset(cause for cause in Cause if cause is not Cause.DUPLICATE)


def _read_proofs(fields: Fields, bucket_count: int) -> tuple[bytes, ...]:
    proofs = fields.items("verkle", MAX_CANDIDATES)
    if len(proofs) != -(-bucket_count // KEYS_OF_PROOF) or any(type(proof) is not bytes for proof in proofs):
        raise fields.wrong(f"needs a proof in 'verkle' for every {KEYS_OF_PROOF} buckets")
    return tuple(proofs)


def _read_opaques(fields: Fields, count: int) -> dict[int, bytes]:
    opaques: dict[int, bytes] = {}
    last = -1
    for item in fields.items("opaques", count):
        if type(item) is not list or len(item) != 2 or type(item[0]) is not int or type(item[1]) is not bytes:
            raise fields.wrong("needs pairs of a number and bytes in 'opaques'")
        if not last < item[0] < count or not 0 < len(item[1]) <= MAX_OPAQUE_BYTES:
            raise fields.wrong("needs ascending numbers of entries, and bytes, in 'opaques'")
        last = item[0]
        opaques[last] = item[1]
    return opaques


def _read_positions(fields: Fields, count: int) -> tuple[tuple[int, ...], ...]:
    """Cut ``count, position, ..., count, position, ...`` apart."""
    joined = _blob(fields, "positions", 8 * count)
    if len(joined) % 4:
        raise fields.wrong("needs numbers of 4 bytes in 'positions'")
    numbers: Sequence[int] = struct.unpack(f">{len(joined) // 4}I", joined)
    positions, at = [], 0
    while at < len(numbers):
        end = at + 1 + numbers[at]
        if not at + 1 < end <= len(numbers):
            raise fields.wrong("needs counts and as many places in 'positions'")
        positions.append(tuple(numbers[at + 1 : end]))
        at = end
    return tuple(positions)


def _rows(fields: Fields, name: str, form: struct.Struct, most: int) -> list[tuple[Any, ...]]:
    joined = _blob(fields, name, form.size * most)
    if len(joined) % form.size:
        raise fields.wrong(f"needs rows of {form.size} bytes in {name!r}")
    return list(form.iter_unpack(joined))


def _hashes(fields: Fields, name: str, most: int) -> tuple[bytes, ...]:
    return split_hashes(_blob(fields, name, 32 * most), "a bundle", _CODE)


def _blob(fields: Fields, name: str, most: int) -> bytes:
    value = fields.raw(name)
    if type(value) is not bytes or len(value) > most:
        raise fields.wrong(f"needs at most {most} bytes in {name!r}")
    return value
