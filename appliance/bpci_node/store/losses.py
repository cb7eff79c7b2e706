"""What a salvage could not save, and a journal that is consistent again without it.

An arrival number that may have been acknowledged is never given a second time: where the end of the order is lost, the
order goes on far behind it, after a running hash that says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bpci_node.auction.bundle import Bundle
from bpci_node.errors import BpciError
from bpci_node.mempool.entry import Signed, decode_entry
from bpci_node.mempool.receipt import START
from bpci_node.primitives.codec import encode
from bpci_node.primitives.hashing import derive
from bpci_node.store.facts import unpack
from bpci_node.store.journal import leave
from bpci_node.store.journal_row import REPLACED, SEQ_BITS, nonce_check, read_entry, row_id, split_id, terms_check
from bpci_node.store.salvage import Findings

GAP_CONTEXT = "bpci 2026 entry order gap v1"
MARGIN = 1 << 24
"""Arrival numbers that are left out behind a lost end: more than can arrive before the system writes a file back by
itself, which bounds how far the guard may be behind."""


@dataclass(slots=True)
class TargetLosses:
    """What is lost of one target."""

    name: str
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    """First and last arrival number of each range of entries that are lost."""
    earlier: list[tuple[int, int]] = field(default_factory=list)
    """The same of earlier repairs, numbers that were left out included."""
    bundles: list[int] = field(default_factory=list)
    """Sequences of bundles that are lost."""
    last_bundle: int = 0
    """Sequence of the last one that is kept, 0 if none is."""
    waiting: int = 0
    """How many of the lost entries waited, as far as the target's own row says so."""
    next_seq: int = 0
    """The number that the next arrival gets."""
    is_end_lost: bool = False
    """Whether later arrivals may be lost, too, and their numbers are left out."""


def settle(
    sink: sqlite3.Connection,
    findings: Findings,
    guards: Mapping[str, tuple[int, bytes] | None],
    *,
    is_log_damaged: bool,
    now_ms: int,
) -> list[TargetLosses]:
    """Make what was salvaged a consistent journal, and return what is lost of each target.

    Args:
        guards: what the guard of arrivals remembers, by target.
        is_log_damaged: whether something that was committed in the log can't be read.
        now_ms: Unix milliseconds.
    """
    sink.execute("DELETE FROM waiting WHERE id IN (SELECT id FROM gone)")
    numbers = {row[0] for row in sink.execute("SELECT number FROM targets")}
    for table in ("waiting", "gone", "bundles"):
        numbers |= {row[0] for row in sink.execute(f"SELECT DISTINCT id >> {SEQ_BITS} FROM {table}")}  # noqa: S608
    is_broken = {"sealed_nonces"} & (findings.broken | set(findings.bad_rows))
    lost = []
    for number in sorted(numbers):
        name = findings.names.get(number) or _name_in_bundles(sink, number)
        if name is None:
            # Nothing says to which chain these rows belong, and no check of theirs can hold.
            sink.execute("DELETE FROM bundles WHERE id BETWEEN ? AND ?", _span(number))
            continue
        if is_broken:
            _renew_nonces(sink, number)
        losses, fits = _settle_target(
            sink, number, name, guards.get(name), is_log_damaged=is_log_damaged, now_ms=now_ms
        )
        lost.append(losses)
        if not fits:
            findings.broken.add("targets")
    return lost


def gap_hash(previous: bytes, target: str, first_seq: int, last_seq: int) -> bytes:
    """Return the running hash with which the order goes on behind arrivals that are lost, 32 bytes.

    Args:
        previous: the last running hash that is known, 32 bytes.
        first_seq: the first number that is left out; ``last_seq``: the last one.
    """
    gap = {"previous": previous, "target": target, "first_seq": first_seq, "last_seq": last_seq}
    return derive(GAP_CONTEXT, encode(gap))


def _settle_target(
    sink: sqlite3.Connection,
    number: int,
    name: str,
    guard: tuple[int, bytes] | None,
    *,
    is_log_damaged: bool,
    now_ms: int,
) -> tuple[TargetLosses, bool]:
    """Settle one target; return what it lost, and whether its own row fits what was salvaged of it."""
    row = sink.execute(
        "SELECT arrival_seq, running_hash, waiting, forgotten_seq, forgotten_bundle FROM targets WHERE number = ?",
        (number,),
    ).fetchone()
    if row is None:
        # Guarded, so that a start looks for the guard; terms of nobody: those of the configuration are in force again.
        check = terms_check(number, name, b"", 0)
        sink.execute("INSERT INTO targets VALUES (?, ?, x'', 0, ?, 0, ?, 0, 0, 0, 1)", (number, name, check, START))
    stated_seq, stated_hash, stated_waiting, forgotten_seq, forgotten_bundle = row or (0, START, 0, 0, 0)
    _let_superseded_leave(sink, number, now_ms)
    greatest, hash_after = _last_row(sink, number, name)
    losses = TargetLosses(name)
    losses.earlier = [
        (split_id(first)[1], final)
        for first, final in sink.execute(
            "SELECT id, last_seq FROM losses WHERE id BETWEEN ? AND ? ORDER BY id", _span(number)
        )
    ]
    last, running_hash = (greatest, hash_after) if greatest >= stated_seq else (stated_seq, stated_hash)
    losses.arrivals = list(_missing(sink, number, forgotten_seq, last))
    acknowledged = guard[0] if guard else 0
    losses.is_end_lost = is_log_damaged or row is None or greatest > stated_seq or acknowledged > last
    if losses.is_end_lost:
        end = max(last, acknowledged) + MARGIN
        running_hash = gap_hash(running_hash, name, last + 1, end)
        if acknowledged > last:
            losses.arrivals.append((last + 1, acknowledged))
        sink.execute("INSERT INTO losses VALUES (?, ?, ?)", (row_id(number, last + 1), end, now_ms))
        last = end
    sink.executemany(
        "INSERT OR IGNORE INTO losses VALUES (?, ?, ?)",
        [(row_id(number, first), final, now_ms) for first, final in losses.arrivals],
    )
    count = sink.execute("SELECT count(*) FROM waiting WHERE id BETWEEN ? AND ?", _span(number)).fetchone()[0]
    losses.waiting = max(0, stated_waiting - count)
    losses.bundles, losses.last_bundle = _missing_bundles(sink, number, forgotten_bundle)
    sink.executemany(
        "INSERT INTO lost_bundles VALUES (?, ?)", [(row_id(number, sequence), now_ms) for sequence in losses.bundles]
    )
    losses.next_seq = last + 1
    sink.execute(
        "UPDATE targets SET arrival_seq = ?, running_hash = ?, waiting = ? WHERE number = ?",
        (last, running_hash, count, number),
    )
    fits = greatest < stated_seq or (greatest, hash_after) == (stated_seq, stated_hash)
    return losses, fits and stated_waiting == count


def _span(number: int) -> tuple[int, int]:
    return row_id(number, 0), row_id(number + 1, 0) - 1


def _name_in_bundles(sink: sqlite3.Connection, number: int) -> str | None:
    for (data,) in sink.execute("SELECT data FROM bundles WHERE id BETWEEN ? AND ?", _span(number)):
        try:
            return Bundle.decode(data).header.target
        except BpciError:
            continue
    return None


def _last_row(sink: sqlite3.Connection, number: int, name: str) -> tuple[int, bytes]:
    """Return the greatest arrival number of a row and the running hash after it."""
    found = sink.execute(
        "SELECT id, arrival_ms, txid, sender, previous, NULL, NULL, row_check FROM waiting WHERE id BETWEEN ?1 AND ?2"
        " UNION ALL SELECT id, arrival_ms, txid, sender, previous, bundle, left_ms, row_check"
        " FROM gone WHERE id BETWEEN ?1 AND ?2 ORDER BY 1 DESC LIMIT 1",
        _span(number),
    ).fetchone()
    if found is None:
        return 0, START
    entry = read_entry(name, found)
    return entry.arrival_seq, entry.running_hash


def _missing(sink: sqlite3.Connection, number: int, after: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of arrival numbers of which there is no row, and no earlier loss."""
    known = sink.execute(
        "SELECT id, id FROM waiting WHERE id > ?1 AND id <= ?2 UNION ALL"
        " SELECT id, id FROM gone WHERE id > ?1 AND id <= ?2 UNION ALL"
        " SELECT id, (id & ~281474976710655) + last_seq FROM losses WHERE id BETWEEN ?3 AND ?2 ORDER BY 1",
        (row_id(number, after), row_id(number, last), row_id(number, 0)),
    )
    expected = after + 1
    for first, final in known:
        if split_id(first)[1] > expected:
            yield expected, split_id(first)[1] - 1
        expected = max(expected, split_id(final)[1] + 1)
    if expected <= last:
        yield expected, last


def _missing_bundles(sink: sqlite3.Connection, number: int, forgotten: int) -> tuple[list[int], int]:
    """Return the sequences of bundles that are missing and were neither forgotten nor lost before, and the last one."""
    low, high = _span(number)
    kept = {split_id(row[0])[1] for row in sink.execute("SELECT id FROM bundles WHERE id BETWEEN ? AND ?", (low, high))}
    named = sink.execute("SELECT max(bundle) FROM gone WHERE id BETWEEN ? AND ?", (low, high)).fetchone()[0]
    most = max(named or 0, *kept, 0)
    known = kept | {
        split_id(row[0])[1] for row in sink.execute("SELECT id FROM lost_bundles WHERE id BETWEEN ? AND ?", (low, high))
    }
    return [sequence for sequence in range(forgotten + 1, most + 1) if sequence not in known], max(kept, default=0)


def _let_superseded_leave(sink: sqlite3.Connection, number: int, now_ms: int) -> None:
    """Let entries leave whose place is taken: their nonce is sealed, or a later entry of their sender has it."""
    sealed = {
        sender: int(nonce)
        for sender, nonce in sink.execute("SELECT sender, nonce FROM sealed_nonces WHERE target = ?", (number,))
    }
    latest: dict[tuple[bytes, int], bytes] = {}
    gone: list[bytes] = []
    for txid, sender, facts, raw in sink.execute(
        "SELECT txid, sender, facts, raw FROM waiting WHERE id BETWEEN ? AND ? ORDER BY id", _span(number)
    ):
        entry: Signed = unpack(facts, raw=raw, txid=txid, sender=sender) or decode_entry(raw)
        place = sender, entry.nonce
        if entry.nonce <= sealed.get(sender, -1):
            gone.append(txid)
            continue
        if place in latest:
            gone.append(latest[place])
        latest[place] = txid
    leave(sink, number, REPLACED, now_ms, gone)


def _renew_nonces(sink: sqlite3.Connection, number: int) -> None:
    """Add what the bundles that are kept say of sealed nonces."""
    for (data,) in sink.execute("SELECT data FROM bundles WHERE id BETWEEN ? AND ?", _span(number)).fetchall():
        sealed: dict[bytes, int] = {}
        try:
            entries = [decode_entry(item.raw) for item in Bundle.decode(data).entries]
        except BpciError:
            continue
        for entry in entries:
            sealed[entry.sender] = max(entry.nonce, sealed.get(entry.sender, 0))
        for sender, nonce in sealed.items():
            known = sink.execute(
                "SELECT nonce FROM sealed_nonces WHERE target = ? AND sender = ?", (number, sender)
            ).fetchone()
            if known is None or int(known[0]) < nonce:
                check = nonce_check(number, sender, str(nonce))
                sink.execute(
                    "INSERT OR REPLACE INTO sealed_nonces VALUES (?, ?, ?, ?)", (number, sender, str(nonce), check)
                )
