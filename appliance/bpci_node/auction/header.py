"""Headers of version 2: what was auctioned in one window, in a few hundred bytes, voted for by the epoch's committee.

The headers of one target form a chain, whatever the windows' classes; following it needs no bundle. The last header of
an epoch names the committee of the next one, so the chain says by itself who may sign its next link.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from bpci_node.auction.candidates import MAX_CANDIDATES
from bpci_node.auction.outcome import MAX_OUTCOMES
from bpci_node.auction.window import MAX_INDEX, WindowId
from bpci_node.errors import FormatError
from bpci_node.mempool.classes import QLOCK_MS
from bpci_node.mempool.header import VERKLE_ROOT_BYTES, combine_roots
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.kzg import INFINITY
from bpci_node.primitives.merkle import EMPTY_ROOT
from bpci_node.primitives.names import LEDGER_ID_FORM, TARGET_FORM

HEADER_CONTEXT = "bpci 2026 auction header v2"
VERSION = 2
NO_PARENT = bytes(32)
"""Parent of a target's first header."""
MAX_HEADER_BYTES = 1024
"""Longest encoded header."""
MAX_ENTRIES = 20_000
"""Entries of one bundle, at most."""

_CODE = "header.format"
_HASHES = ("parent", "terms", "outcomes_root", "lists_root", "forced_root", "entries_root", "merkle_mesh_root")


@dataclass(frozen=True, slots=True)
class AuctionHeader:
    """What a window came to."""

    ledger_id: str
    """The ledger whose validators are the committee."""
    target: str
    """CAIP-2 id of the chain whose block space was auctioned."""
    epoch: int
    """The epoch of the committee."""
    qlock_ms: int
    """Class of the window, milliseconds."""
    index: int
    """Index of the window."""
    sequence: int
    """Position in the target's chain of headers, from 1."""
    parent: bytes
    """Digest of the header before, 32 bytes; ``NO_PARENT`` for the first."""
    time_us: int
    """When the coordinator made it, ledger time, microseconds."""
    terms: bytes
    """Digest of the target's terms, 32 bytes."""
    commit_set: bytes | None
    """Digest of the window's set of commits, 32 bytes; None where there were no commits."""
    commits: int
    """Commits in the set."""
    reveals: int
    """Entries that were revealed in time."""
    outcomes_root: bytes
    """Over the outcomes, 32 bytes (:mod:`bpci_node.auction.outcome`)."""
    lists_root: bytes
    """Over the notaries' signed lists, 32 bytes (:mod:`bpci_node.auction.lists`)."""
    forced_root: bytes
    """Over what became of the entries that inclusion lists name, 32 bytes (:mod:`bpci_node.auction.lists`)."""
    entries_root: bytes
    """RFC 6962 root over the entries' leaves in the order in which they run, 32 bytes."""
    count: int
    """Entries that run; a handover may have none."""
    gas_used: int
    """Sum of their gas limits."""
    verkle_root: bytes
    """Commitment of the outer tree over the candidates' buckets, 48 bytes."""
    merkle_mesh_root: bytes
    """RFC 6962 root over the candidates' buckets, 32 bytes."""
    candidates: int
    """Entries that could have run."""
    buckets: int
    """Non-empty buckets of the candidates."""
    next_committee: bytes | None
    """Digest of the next epoch's committee, 32 bytes, in the epoch's last header; None in all others."""
    parcel: bytes | None = None
    """Id of the commit whose parcel runs, 32 bytes; None where none does."""

    @property
    def window(self) -> WindowId:
        """The window's name."""
        return WindowId(self.target, self.qlock_ms, self.index)

    @property
    def mx_root(self) -> bytes:
        """What binds both trees over the candidates, 32 bytes."""
        return combine_roots(self.verkle_root, self.merkle_mesh_root)

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {"v": VERSION} | {name: getattr(self, name) for name in _FIELD_NAMES}

    def encode(self) -> bytes:
        """Return the canonical encoding."""
        return encode(self.as_map())

    def digest(self) -> bytes:
        """Return what the committee votes for, and by which the next header names this one: 32 bytes."""
        return derive(HEADER_CONTEXT, self.encode())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical encoding; nothing is verified.

        Raises:
            FormatError: not a header of version 2 (``header.format``), or no CBOR (``format.*``).
        """
        return cls.from_map(decode(data, max_bytes=MAX_HEADER_BYTES))

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map, and that its parts are possible together; nothing is verified.

        Raises:
            FormatError: ``header.format``.
        """
        read = Fields(value, ("v", *_FIELD_NAMES), what="the header of an auction", code=_CODE)
        read.version(VERSION)
        hashes = {name: read.blob(name, 32) for name in _HASHES}
        header = cls(
            ledger_id=read.text("ledger_id", LEDGER_ID_FORM, "a ledger id"),
            target=read.text("target", TARGET_FORM, "the id of a target chain"),
            epoch=read.integer("epoch"),
            qlock_ms=read.integer("qlock_ms"),
            index=read.integer("index", 0, MAX_INDEX),
            sequence=read.integer("sequence", 1),
            time_us=read.integer("time_us"),
            commit_set=None if read.is_null("commit_set") else read.blob("commit_set", 32),
            commits=read.integer("commits", 0, MAX_OUTCOMES),
            reveals=read.integer("reveals", 0, MAX_CANDIDATES),
            count=read.integer("count", 0, MAX_ENTRIES),
            gas_used=read.integer("gas_used"),
            verkle_root=read.blob("verkle_root", VERKLE_ROOT_BYTES),
            candidates=read.integer("candidates", 0, MAX_CANDIDATES),
            buckets=read.integer("buckets", 0, MAX_CANDIDATES),
            next_committee=None if read.is_null("next_committee") else read.blob("next_committee", 32),
            parcel=None if read.is_null("parcel") else read.blob("parcel", 32),
            **hashes,
        )
        header.check()
        return header

    def check(self) -> None:
        """Check what a header's parts say of one another.

        Raises:
            FormatError: ``header.format``.
        """
        for holds, problem in (
            (self.qlock_ms in QLOCK_MS, "has a class that there is not"),
            ((self.sequence == 1) == (self.parent == NO_PARENT), "has a parent exactly when it is not the first"),
            ((self.commit_set is None) == (self.commits == 0), "names a set of commits exactly when there are commits"),
            (self.reveals <= self.commits, "has more reveals than commits"),
            (
                self.parcel is None or (self.reveals > 0 and self.count > 0),
                "has a parcel that nobody revealed or none runs",
            ),
            (self.buckets <= self.candidates, "has more buckets than candidates"),
            (self.count <= self.candidates, "has more entries than candidates"),
            ((self.gas_used == 0) == (self.count == 0), "uses gas exactly when it has entries"),
            ((self.buckets == 0) == (self.candidates == 0), "has buckets exactly when it has candidates"),
            ((self.verkle_root == INFINITY) == (self.buckets == 0), "has a tree exactly when it has buckets"),
            ((self.merkle_mesh_root == EMPTY_ROOT) == (self.buckets == 0), "has a mesh exactly when it has buckets"),
            ((self.entries_root == EMPTY_ROOT) == (self.count == 0), "has a root of entries exactly when it has some"),
        ):
            if not holds:
                raise FormatError(f"the header of an auction {problem}", code=_CODE)


_FIELD_NAMES = tuple(field.name for field in fields(AuctionHeader))
