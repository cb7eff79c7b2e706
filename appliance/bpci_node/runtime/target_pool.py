"""One target's pool together with its journal: what is in memory is what the journal says, also after a failed commit.

Invariants: everything here that changes or walks the pool runs in the writer's thread; the few numbers of its status
are read from any. An arrival number is given to accepted entries only, so they have no gaps. Whoever leaves the pool
leaves the journal's waiting rows in the commit that holds the reason. When a commit fails, the pool is built anew from
the journal before it is used again: the journal is the truth, for entries, for the base fee in force and for the epochs
of buckets, so that a rebuilt pool has the same roots.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from sqlite3 import Connection
from typing import Any

from bpci_node.errors import BpciError, RefusedError, StorageError
from bpci_node.mempool.cancellation import Cancellation
from bpci_node.mempool.entry import Entry, Signed, decode_entry
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.prove import HeaderFacts
from bpci_node.mempool.receipt import START, next_running_hash
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.codec import encode
from bpci_node.store import journal
from bpci_node.store.arrival_guard import ArrivalGuard
from bpci_node.store.facts import pack, unpack
from bpci_node.store.journal import Arrivals, JournalBundle, TargetRow
from bpci_node.store.journal_row import (
    CANCELLED,
    EVICTED,
    REPAIR,
    REPLACED,
    SPENT,
    WON,
    WaitingRow,
    check_waiting,
    damaged_row,
    row_id,
    split_id,
    waiting_row,
)

_TERMS_VERSION = 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """An accepted entry: all that its receipt says, and who left because of it."""

    txid: bytes
    arrival_seq: int
    arrival_ms: int
    previous: bytes
    """Running hash before it, 32 bytes."""
    has_replaced: bool = False
    """Whether another entry of its sender left because of it."""
    evicted: int = 0
    """Entries of others that it pushed out."""


class TargetPool:
    """Pool, order of arrival and journal of one target."""

    def __init__(
        self,
        target: TargetConfig,
        limits: PoolLimits,
        *,
        guard: ArrivalGuard,
        ledger_id: str | None = None,
        is_checked: bool = False,
    ) -> None:
        """Begin empty; :meth:`refresh` fills it.

        Args:
            target: its terms as configured.
            guard: remembers how far arrivals were acknowledged.
            ledger_id: see :class:`~bpci_node.mempool.pool.Pool`; so is ``is_checked``.
        """
        self._configured, self._guard = target, guard
        self._make_pool: Callable[[TargetConfig], Pool] = lambda terms: Pool(
            terms, limits, ledger_id=ledger_id, is_checked=is_checked
        )
        self.pool = self._make_pool(target)
        self._number = 0
        self._arrival_seq = 0
        self._running_hash = START
        self._forgotten_seq = 0
        self._is_stale = True
        self._shown = self._status()

    @property
    def target(self) -> TargetConfig:
        """The target's terms, its base fee included, as they stand now."""
        return self.pool.target

    @property
    def count(self) -> int:
        """Entries that wait."""
        return len(self.pool)

    def status(self) -> dict[str, Any]:
        """Return what anyone may know of this pool: what the last commit left."""
        return dict(self._shown)

    def is_pooled(self, txid: bytes) -> bool:
        """Tell whether the entry waits."""
        return self.pool.find(txid) is not None

    def accept(
        self,
        connection: Connection,
        decoded: Sequence[Signed | BpciError],
        now_ms: int,
        *,
        source: bytes = b"",
        states: Mapping[bytes, SenderState] | None = None,
    ) -> list[Arrival | BpciError]:
        """Take decoded entries in and write them to the journal; one result each, in their order.

        Args:
            now_ms: Unix milliseconds.
            source: from where they came; see :meth:`~bpci_node.mempool.pool.Pool.insert`.
            states: what is known of their senders, by address.
        Raises:
            StorageError: the journal failed; :meth:`forget` follows.
        """
        self.refresh(connection)
        with _no_collection():
            return self._take_in(connection, decoded, now_ms, source, states or {})

    def _take_in(
        self,
        connection: Connection,
        decoded: Sequence[Signed | BpciError],
        now_ms: int,
        source: bytes,
        states: Mapping[bytes, SenderState],
    ) -> list[Arrival | BpciError]:
        insert, target = self.pool.insert, self._configured.id
        arrival_seq, running_hash = self._arrival_seq, self._running_hash
        arrivals = Arrivals(self._number, now_ms)
        results: list[Arrival | BpciError] = []
        for item in decoded:
            if isinstance(item, BpciError):
                results.append(item)
                continue
            try:
                admission = insert(item, arrival_seq + 1, now_ms, source=source, state=states.get(item.sender))
            except BpciError as error:
                results.append(error)
                continue
            arrival_seq, txid, previous = arrival_seq + 1, item.txid, running_hash
            running_hash = next_running_hash(previous, target, txid, arrival_seq, now_ms)
            if admission.replaced is not None:
                arrivals.leave(admission.replaced, REPLACED)
            for gone in admission.evicted:
                arrivals.leave(gone, EVICTED)
            arrivals.add(
                waiting_row(
                    row_id(self._number, arrival_seq),
                    now_ms,
                    txid,
                    item.sender,
                    item.raw,
                    previous=previous,
                    after=running_hash,
                    is_bound=admission.entry.is_bound,
                    facts=pack(item),
                )
            )
            has_replaced = admission.replaced is not None
            results.append(Arrival(txid, arrival_seq, now_ms, previous, has_replaced, len(admission.evicted)))
        if arrival_seq > self._arrival_seq:
            arrivals.write(connection, arrival_seq, running_hash)
            self._arrival_seq, self._running_hash = arrival_seq, running_hash
        return results

    def cancel(self, connection: Connection, cancellation: Cancellation, now_ms: int) -> Entry:
        """Take an entry out because its sender says so; return it.

        Args:
            now_ms: Unix milliseconds.
        Raises:
            RefusedError: as :meth:`~bpci_node.mempool.pool.Pool.cancel`.
            StorageError: the journal failed; :meth:`forget` follows.
        """
        self.refresh(connection)
        entry = self.pool.cancel(cancellation)
        journal.leave(connection, self._number, CANCELLED, now_ms, [entry.leaf.txid])
        journal.append_cancellation(connection, self._number, entry.leaf.arrival_seq, cancellation.encode())
        return entry

    def revise(self, connection: Connection, states: Mapping[bytes, SenderState], now_ms: int) -> int:
        """Bring the pool up to date with the chain; return how many entries left.

        Args:
            states: see :meth:`~bpci_node.mempool.pool.Pool.revise`.
            now_ms: Unix milliseconds.
        Raises:
            StorageError: the journal failed; :meth:`forget` follows.
        """
        self.refresh(connection)
        gone = self.pool.revise(states)
        journal.leave(connection, self._number, SPENT, now_ms, [entry.leaf.txid for entry in gone])
        return len(gone)

    def take_winners(self, connection: Connection, nonces: Mapping[bytes, int], now_ms: int) -> int:
        """Let entries leave that have won in an auction, or can't follow what has; return how many.

        Args:
            nonces: greatest nonce with which each sender has won; who has nothing here changes nothing.
            now_ms: Unix milliseconds.
        Raises:
            StorageError: the journal failed; :meth:`forget` follows.
        """
        self.refresh(connection)
        here = {sender: nonce for sender, nonce in nonces.items() if self.pool.waits_for(sender)}
        gone = [entry.leaf.txid for sender, nonce in here.items() for entry in self.pool.settle(sender, nonce)]
        journal.leave(connection, self._number, WON, now_ms, gone)
        journal.seal_nonces(connection, self._number, here.items())
        return len(gone)

    def reprice(self, connection: Connection, base_fee_wei: int) -> None:
        """Sort everything anew at another base fee, which then stays in force.

        Raises:
            FormatError: the base fee is out of range (``mempool.target``).
            StorageError: the journal failed; :meth:`forget` follows.
        """
        self.refresh(connection)
        if base_fee_wei != self.target.base_fee_wei:
            self.pool.reprice(base_fee_wei)
            journal.set_base_fee(connection, self._number, base_fee_wei)

    def seal(self, connection: Connection, bundle: JournalBundle, sealed: Sequence[Entry], now_ms: int) -> None:
        """Write a bundle of this pool, and let what it holds leave.

        Args:
            sealed: its entries.
            now_ms: Unix milliseconds.
        Raises:
            StorageError: the journal failed; :meth:`forget` follows.
        """
        nonces: dict[bytes, int] = {}
        for entry in sealed:
            nonces[entry.leaf.sender] = max(entry.leaf.nonce, nonces.get(entry.leaf.sender, 0))
        keys = sorted({entry.bucket_key for entry in sealed})
        left = [entry.leaf.txid for sender, nonce in nonces.items() for entry in self.pool.settle(sender, nonce)]
        self.pool.mark_sealed(keys, bundle.sequence)
        txids = {entry.leaf.txid for entry in sealed}
        journal.append_bundle(
            connection,
            self._number,
            bundle,
            now_ms=now_ms,
            txids=[txid for txid in left if txid in txids],
            superseded=[txid for txid in left if txid not in txids],
            nonces=nonces.items(),
            keys=keys,
        )

    def header_facts(
        self, connection: Connection, *, ledger_id: str, time_ms: int, certificate: bytes | None, signer: bytes
    ) -> HeaderFacts:
        """Return what a header says of this pool beside its roots, with the pool brought up to date.

        Args:
            ledger_id: see :class:`~bpci_node.mempool.prove.HeaderFacts`; so are the others.
        Raises:
            StorageError: as :meth:`refresh`.
        """
        self.refresh(connection)
        last = journal.last_bundle(journal.InJob(connection), self.target.id)
        return HeaderFacts(
            ledger_id=ledger_id,
            arrival_seq=self._arrival_seq,
            running_hash=self._running_hash,
            sequence=0 if last is None else last[0],
            time_ms=time_ms,
            certificate=certificate,
            signer=signer,
        )

    def note_forgotten(self, connection: Connection) -> None:
        """Say in the status up to which arrival entries may be forgotten, after some were."""
        self._forgotten_seq = journal.forgotten_seq(connection, self._number)

    def remember(self) -> None:
        """After a commit: show what it left, and let the guard remember how far arrivals have got.

        Raises:
            StorageError: the guard can't be written (``storage.guard``).
        """
        if not self._is_stale:
            self._shown = self._status()
            self._guard.note(self._arrival_seq, self._running_hash)

    def forget(self) -> None:
        """What was done since the last commit is void: build the pool anew before the next use."""
        self._is_stale = True

    def refresh(self, connection: Connection) -> None:
        """Build the pool from the journal, if it is not what the journal says.

        Raises:
            StorageError: the journal is damaged (``storage.damaged``), or the guard can't be read
                (``storage.guard``).
            RefusedError: the guard remembers arrivals that the journal does not have (``sign.rolled_back``).
        """
        if not self._is_stale:
            return
        configured = self._configured
        row = journal.open_target(connection, configured.id, _terms(configured), configured.base_fee_wei)
        self._check_guard(connection, row)
        known = {entry.leaf.txid: entry.transaction for entry in self.pool}
        pool = self._make_pool(replace(configured, base_fee_wei=row.base_fee_wei))
        with _no_collection():
            for sender, nonce in journal.sealed_nonces(connection, row.number):
                pool.settle(sender, nonce)
            for entry in self._waiting(connection, row):
                transaction = known.get(entry[2]) or _signed(configured.id, entry)
                pool.restore(transaction, split_id(entry[0])[1], entry[1], is_bound=bool(entry[5]))
        for key, epoch in journal.epochs(connection, row.number).items():
            pool.mark_sealed((key,), epoch)
        if len(pool) != row.waiting:
            raise _damaged(configured.id, f"{row.waiting} entries wait, and {len(pool)} of them can be taken in")
        self.pool, self._number = pool, row.number
        self._arrival_seq, self._running_hash = row.arrival_seq, row.running_hash
        self._forgotten_seq = row.forgotten_seq
        self._is_stale = False

    def _status(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "bytes": self.pool.raw_bytes,
            "arrivals": self._arrival_seq,
            "forgotten": self._forgotten_seq,
            "base_fee_wei": str(self.target.base_fee_wei),
            "gas_limit": self.target.gas_limit,
            "funding": "checked" if self.pool.is_checked else "unchecked",
        }

    def _waiting(self, connection: Connection, row: TargetRow) -> Iterator[WaitingRow]:
        """Yield what waits, each row checked by itself and against the one before it."""
        target, last, after = self._configured.id, 0, START
        for entry in journal.waiting_entries(connection, row.number):
            arrival_seq = split_id(entry[0])[1]
            if arrival_seq == last + 1 and entry[4] != after:
                raise damaged_row("waiting", target, arrival_seq)
            last, after = arrival_seq, check_waiting(target, entry)
            yield entry
        if last > row.arrival_seq or (last == row.arrival_seq and after != row.running_hash):
            raise _damaged(target, f"arrival {last} waits, and the last one is {row.arrival_seq}")

    def _check_guard(self, connection: Connection, row: TargetRow) -> None:
        remembered = self._guard.last()
        if remembered is None and not row.is_guarded:
            self._guard.create(row.arrival_seq, row.running_hash)
            journal.set_guarded(connection, row.number)
            return
        now = row.arrival_seq, row.running_hash
        if remembered is None or remembered[0] > now[0] or (remembered[0] == now[0] and remembered != now):
            known = "there is no memory of it" if remembered is None else f"arrival {remembered[0]} was acknowledged"
            raise RefusedError(
                f"the journal of {self._configured.id} ends at arrival {row.arrival_seq}, and {known}",
                code="sign.rolled_back",
                hint="If its files are damaged, run 'bpci node repair'. If they come from a backup, begin with a new"
                " state directory under a higher instance number: going on could contradict receipts that others hold.",
                target=self._configured.id,
                arrival_seq=row.arrival_seq,
            )


def _terms(target: TargetConfig) -> bytes:
    return encode([_TERMS_VERSION, target.base_fee_wei, target.fee_bin_wei, target.region, target.qlock_ms])


def _signed(target: str, row: WaitingRow) -> Signed:
    """Return what a checked row holds; the sender was proved before it was written."""
    identifier, _, txid, sender, _, _, facts, _, _, raw = row
    found: Signed | None = unpack(facts, raw=raw, txid=txid, sender=sender)
    if found is None:
        try:
            found = decode_entry(raw)
        except BpciError as error:
            raise damaged_row("waiting", target, split_id(identifier)[1]) from error
        if (found.txid, found.sender) != (txid, sender):
            raise damaged_row("waiting", target, split_id(identifier)[1])
    return found


def _damaged(target: str, reason: str) -> StorageError:
    return StorageError(
        f"the journal of {target} is damaged: {reason}", code="storage.damaged", hint=REPAIR, target=target
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cycle collector from walking a pool again and again while it grows: nothing in it is a cycle."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
