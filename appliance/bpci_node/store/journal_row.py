"""One accepted entry as the journal keeps it, and the checks by which a damaged row shows.

Every row can be judged by itself: its number, time, txid and the running hash before it give the running hash after it,
and a CRC-32 binds that hash to the sender; a second CRC-32 covers the rest while the entry waits. After it has
left, the first check takes in where it went. The checks find what disks and memory do; against somebody who can write
to the file nothing here protects.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Any, TypeAlias
from zlib import crc32

from bpci_node.errors import StorageError
from bpci_node.mempool.receipt import next_running_hash

REPLACED = 0
"""In the column ``bundle``: its sender replaced it. Sequences of bundles begin at 1."""
CANCELLED = -1
"""Its sender took it back."""
EVICTED = -2
"""A full pool gave its place to another."""
SPENT = -3
"""Its target chain has used its nonce, or its sender can't pay for it any more."""

WON = -4
"""It runs in a window of an auction, or another entry of its sender that does has its nonce or a later one."""

SEQ_BITS = 48
"""An id is ``target number << SEQ_BITS | arrival number``: ids of one target are in the order of arrival."""

REPAIR = "Stop the node and run 'bpci node repair': it keeps a copy, saves what can be read and says what is lost."
"""What to do about damage."""

_UINT32 = 0xFFFF_FFFF
_DEPARTURE = Struct(">qq")
_STATES = {REPLACED: "replaced", CANCELLED: "cancelled", EVICTED: "evicted", SPENT: "spent", WON: "won"}

WaitingRow: TypeAlias = tuple[int, int, bytes, bytes, bytes, int, bytes, int, int, bytes]
"""``(id, arrival_ms, txid, sender, previous, is_bound, facts, row_check, raw_check, raw)``."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One accepted entry."""

    target: str
    """CAIP-2 id of the target chain."""
    arrival_seq: int
    """Position in the order of arrival at this node, per target, from 1."""
    arrival_ms: int
    """Unix milliseconds."""
    txid: bytes
    """32 bytes."""
    sender: bytes
    """Proved by the signature before acceptance."""
    previous: bytes
    """Running hash before this entry, 32 bytes."""
    bundle: int | None = None
    """Sequence of the bundle that holds it, ``None`` while it waits, or one of the reasons above."""
    left_ms: int | None = None
    """When it left, Unix milliseconds; ``None`` while it waits."""

    @property
    def running_hash(self) -> bytes:
        """Running hash after this entry, 32 bytes."""
        return next_running_hash(self.previous, self.target, self.txid, self.arrival_seq, self.arrival_ms)


def row_id(number: int, arrival_seq: int) -> int:
    """Return the id of an arrival at the target of this number."""
    return number << SEQ_BITS | arrival_seq


def split_id(identifier: int) -> tuple[int, int]:
    """Return the number of the target and the arrival number."""
    return identifier >> SEQ_BITS, identifier & ((1 << SEQ_BITS) - 1)


def waiting_row(
    identifier: int,
    arrival_ms: int,
    txid: bytes,
    sender: bytes,
    raw: bytes,
    *,
    previous: bytes,
    after: bytes,
    is_bound: bool = False,
    facts: bytes = b"",
) -> WaitingRow:
    """Return the row of an entry that waits.

    Args:
        identifier: see :func:`row_id`.
        arrival_ms: see :class:`JournalEntry`; so are ``txid`` and ``sender``.
        raw: the entry as it was sent.
        previous: running hash before it, 32 bytes; ``after``: the one after it.
        is_bound: see :class:`~bpci_node.mempool.entry.Entry`.
        facts: see :mod:`bpci_node.store.facts`.
    """
    row_check, raw_check = crc32(sender, crc32(after)), crc32(raw, crc32(facts, is_bound))
    return identifier, arrival_ms, txid, sender, previous, int(is_bound), facts, row_check, raw_check, raw


def departure_check(bundle: int, left_ms: int) -> int:
    """Return what is added to a row's check, modulo 2**32, when the entry leaves."""
    return crc32(_DEPARTURE.pack(bundle, left_ms))


def gone_row(row: WaitingRow, bundle: int, left_ms: int) -> tuple[int, int, bytes, bytes, bytes, int, int, int]:
    """Return the row of an entry that left, from the one of when it waited."""
    identifier, arrival_ms, txid, sender, previous, _, _, check, _, _ = row
    left = (check + departure_check(bundle, left_ms)) & _UINT32
    return identifier, arrival_ms, txid, sender, previous, bundle, left_ms, left


def check_waiting(target: str, row: WaitingRow) -> bytes:
    """Check the row of an entry that waits and return the running hash after it.

    Raises:
        StorageError: it is damaged (``storage.damaged``).
    """
    identifier, arrival_ms, txid, sender, previous, is_bound, facts, row_check, raw_check, raw = row
    after = next_running_hash(previous, target, txid, identifier & ((1 << SEQ_BITS) - 1), arrival_ms)
    if crc32(sender, crc32(after)) != row_check or crc32(raw, crc32(facts, is_bound)) != raw_check:
        raise damaged_row("waiting", target, split_id(identifier)[1])
    return after


def read_entry(target: str, row: tuple[Any, ...]) -> JournalEntry:
    """Check ``(id, arrival_ms, txid, sender, previous, bundle, left_ms, row_check)`` and return the entry.

    Args:
        row: of an entry that left; of one that waits, with ``None`` for ``bundle`` and ``left_ms``.
    Raises:
        StorageError: it is damaged (``storage.damaged``).
    """
    identifier, arrival_ms, txid, sender, previous, bundle, left_ms, check = row
    arrival_seq = split_id(identifier)[1]
    entry = JournalEntry(target, arrival_seq, arrival_ms, txid, sender, previous, bundle, left_ms)
    expected = crc32(sender, crc32(entry.running_hash))
    if bundle is not None:
        expected = (expected + departure_check(bundle, left_ms)) & _UINT32
    if expected != check:
        raise damaged_row("waiting" if bundle is None else "gone", target, arrival_seq)
    return entry


def terms_check(number: int, name: str, terms: bytes, base_fee_wei: int) -> int:
    """Return the check of what a target's row says of its terms."""
    return crc32(f"{number} {name} {base_fee_wei} ".encode() + terms)


def nonce_check(number: int, sender: bytes, nonce: str) -> int:
    """Return the check of a sealed nonce at the target of this number."""
    return crc32(f"{number} {nonce} ".encode() + sender)


def epoch_check(number: int, key: bytes, epoch: int) -> int:
    """Return the check of a bucket's epoch at the target of this number."""
    return crc32(f"{number} {epoch} ".encode() + key)


def damaged_row(table: str, target: str, number: int) -> StorageError:
    """Return the error that names one damaged row: an arrival, or a bundle."""
    what = "bundle" if table == "bundles" else "arrival"
    return StorageError(
        f"the journal is damaged: table {table}, {what} {number} of {target}",
        code="storage.damaged",
        hint=REPAIR,
        table=table,
        target=target,
        **{what: number},
    )


def place_of(entry: JournalEntry) -> dict[str, Any]:
    """Return where an accepted entry is: ``{state, arrival_seq, bundle}``."""
    if entry.bundle is None:
        return {"state": "pooled", "arrival_seq": entry.arrival_seq, "bundle": None}
    if entry.bundle > 0:
        return {"state": "sealed", "arrival_seq": entry.arrival_seq, "bundle": entry.bundle}
    return {"state": _STATES[entry.bundle], "arrival_seq": entry.arrival_seq, "bundle": None}
