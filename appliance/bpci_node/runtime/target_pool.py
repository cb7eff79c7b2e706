"""One target's pool together with its journal: what is in memory is what the journal says, also after a failed commit.

Invariants: everything here that changes or walks the pool runs in the writer's thread; the few numbers of its status
are read from any.
An arrival number is given to accepted entries only, so they have no gaps. When a commit fails, the pool is built
anew from the journal before it is used again: the journal is the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from bpci_node.errors import BpciError, StorageError
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.prove import HeaderFacts
from bpci_node.mempool.receipt import START, next_running_hash
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.ethereum import Transaction, decode_transaction
from bpci_node.store import journal
from bpci_node.store.journal import JournalEntry


@dataclass(frozen=True, slots=True)
class Arrival:
    """An accepted entry: all that its receipt says."""

    txid: bytes
    arrival_seq: int
    arrival_ms: int
    previous: bytes
    """Running hash before it, 32 bytes."""


class TargetPool:
    """Pool, order of arrival and journal of one target."""

    def __init__(self, target: TargetConfig, limits: PoolLimits) -> None:
        self.pool = Pool(target, limits)
        self._arrival_seq = 0
        self._running_hash = START
        self._is_stale = True

    @property
    def target(self) -> TargetConfig:
        """The target's terms, its base fee included, as they stand now."""
        return self.pool.target

    @property
    def count(self) -> int:
        """Entries that wait."""
        return len(self.pool)

    def status(self) -> dict[str, Any]:
        """Return what anyone may know of this pool."""
        return {
            "count": self.count,
            "bytes": self.pool.raw_bytes,
            "arrivals": self._arrival_seq,
            "base_fee_wei": str(self.target.base_fee_wei),
            "gas_limit": self.target.gas_limit,
        }

    def is_pooled(self, txid: bytes) -> bool:
        """Tell whether the entry waits."""
        return self.pool.find(txid) is not None

    def accept(
        self, connection: Connection, decoded: Sequence[Transaction | BpciError], now_ms: int
    ) -> list[Arrival | BpciError]:
        """Take decoded transactions in and write them to the journal; one result each, in their order.

        Raises:
            StorageError: the journal failed; :meth:`forget` follows.
        """
        self.refresh(connection)
        results: list[Arrival | BpciError] = []
        rows: list[JournalEntry] = []
        replaced: list[bytes] = []
        for item in decoded:
            if isinstance(item, BpciError):
                results.append(item)
                continue
            try:
                admission = self.pool.insert(item, self._arrival_seq + 1, now_ms)
            except BpciError as error:
                results.append(error)
                continue
            previous = self._running_hash
            self._arrival_seq += 1
            self._running_hash = next_running_hash(previous, self.target.id, item.txid, self._arrival_seq, now_ms)
            rows.append(
                JournalEntry(
                    self.target.id, self._arrival_seq, now_ms, item.txid, item.sender, self._running_hash, item.raw
                )
            )
            if admission.replaced is not None:
                replaced.append(admission.replaced)
            results.append(Arrival(item.txid, self._arrival_seq, now_ms, previous))
        if rows:
            journal.append_entries(connection, rows, replaced)
        return results

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

    def forget(self) -> None:
        """What was done since the last commit is void: build the pool anew before the next use."""
        self._is_stale = True

    def refresh(self, connection: Connection) -> None:
        """Build the pool from the journal, if it is not what the journal says.

        Raises:
            StorageError: an entry of the journal is damaged (``storage.damaged``).
        """
        if not self._is_stale:
            return
        reader, target = journal.InJob(connection), self.target
        known = {entry.leaf.txid: entry.transaction for entry in self.pool}
        pool = Pool(target, self.pool.limits)
        for sender, nonce in journal.sealed_nonces(reader, target.id):
            pool.settle(sender, nonce)
        for row in journal.pooled_entries(reader, target.id):
            pool.restore(known.get(row.txid) or _decode(row), row.arrival_seq, row.arrival_ms)
        last = journal.last_arrival(reader, target.id)
        self._arrival_seq, self._running_hash = last or (0, START)
        self.pool = pool
        self._is_stale = False


def _decode(row: JournalEntry) -> Transaction:
    try:
        transaction = decode_transaction(row.raw)
    except BpciError as error:
        raise _damaged(row) from error
    if transaction.txid != row.txid:
        raise _damaged(row)
    return transaction


def _damaged(row: JournalEntry) -> StorageError:
    return StorageError(
        f"the journal's entry {row.arrival_seq} of {row.target} is damaged",
        code="storage.damaged",
        hint="Stop the node, keep a copy of its state directory, and restore it from a backup.",
        target=row.target,
        arrival_seq=row.arrival_seq,
    )
