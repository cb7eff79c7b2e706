"""Candidates of a window: what may run in it, and by which door it came in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256 as _sha256  # called directly: a window is ten thousand of each hash
from typing import Any, TypeAlias

from bpci_node.auction.packing import integer, repeated
from bpci_node.auction.window import WindowId
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.mempool.entry import Entry, Signed, check_destination, make_entry
from bpci_node.mempool.entry_leaf import LEAF_VERSION, OrderKey
from bpci_node.primitives.record import save_record

MAX_CANDIDATES = 65_536
"""Candidates of one window, at most."""
COMMIT_ID_BYTES = 32


class Origin(IntEnum):
    """The doors, in the order in which they are served."""

    CARRIED = 0
    """Revealed in an earlier window, where it found no room."""
    REVEALED = 1
    """Revealed in this window."""
    FORCED = 2
    """Of the public pool, and named by an inclusion list of a notary."""
    PARCEL = 3
    """Of the one parcel that runs in this window (:mod:`bpci_node.auction.parcel`)."""
    PUBLIC = 4
    """Of the public pool; it was visible all the time."""


HIDDEN = frozenset((Origin.CARRIED, Origin.REVEALED, Origin.PARCEL))
"""The doors of what a commit hid."""
_ORIGINS = [bytes((origin,)) for origin in range(256)]
_LEAF_HEAD = bytes((0x8A, LEAF_VERSION, 0x58, 0x20))

MergeKey: TypeAlias = tuple[int, OrderKey]
"""Candidates are served by this, ascending: origin, then fee rate (descending), arrival, txid."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry that may run in a window."""

    entry: Entry
    origin: Origin
    commit_id: bytes | None = None
    """The commit that hid it, 32 bytes; None for what was never hidden."""

    @property
    def merge_key(self) -> MergeKey:
        """Key of the merge."""
        return (int(self.origin), self.entry.leaf.order_key)


def public_candidate(tx: Signed, window: WindowId, terms: TargetTerms, ledger_id: str, *, is_forced: bool) -> Candidate:
    """Return what a transaction of the public pool is in a window: the same for everybody, whenever it arrived.

    It has arrival 0, so that equal fees are decided by the txid, over which no coordinator has a say.

    Raises:
        RefusedError: it is meant for another chain or ledger (``entry.chain``, ``entry.ledger``).
    """
    target = terms.config(window.qlock_ms)
    check_destination(tx, target, ledger_id)
    entry = make_entry(tx, target, arrival_seq=0, arrival_ms=window.opens_ms)
    return Candidate(entry, Origin.FORCED if is_forced else Origin.PUBLIC)


def entry_leaf(origin: int, commit_id: bytes | None, raw: bytes, leaf: bytes) -> bytes:
    """Return what ``entries_root`` commits to about one entry: ``origin (1) ‖ sha256 of raw (32) ‖ commit id ‖ leaf``.

    Args:
        commit_id: 32 bytes for an entry that was hidden, and then alone; the origin says which.
        leaf: encoding of its :class:`~bpci_node.mempool.entry_leaf.EntryLeaf`.
    """
    return _ORIGINS[origin] + _sha256(raw).digest() + (commit_id or b"") + leaf


def entry_hashes(parts: Iterable[tuple[int, bytes | None, bytes, bytes]]) -> list[bytes]:
    """Return the leaf hashes of :func:`entry_leaf` for ``(origin, commit id, raw, leaf)``, 32 bytes each."""
    return [
        _sha256(b"\x00" + _ORIGINS[origin] + _sha256(raw).digest() + (commit_id or b"") + leaf).digest()
        for origin, commit_id, raw, leaf in parts
    ]


def leaf_bytes(members: tuple[Any, ...]) -> bytes:
    """Return the encoding of an :class:`~bpci_node.mempool.entry_leaf.EntryLeaf`.

    Args:
        members: those of the leaf in their order, from the txid to the note; they fit a leaf.
    """
    txid, sender, nonce, fee_per_w, gas, ts, arrival_seq, qos, opaque = members
    return b"".join(
        (
            _LEAF_HEAD,
            txid,
            b"\x54",
            sender,
            repeated(nonce),
            integer(fee_per_w),
            repeated(gas),
            repeated(ts),
            integer(arrival_seq),
            repeated(qos),
            save_record(opaque) if opaque else b"\x40",
        )
    )
