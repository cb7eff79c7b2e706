"""The pool of one target chain: who waits, in which bucket, under which root.

Pure: time, arrival numbers and what is known of accounts come in as arguments, nothing is written. The same calls in
the same order give the same pool. Senders are proved by their signatures before they come here; only its sender
replaces or cancels an entry. A checked pool is told, with each entry, what its sender has on the target chain; an
unchecked one takes what nobody may ever pay for, and its entries run in the order of their nonces, gaps not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from bpci_node.errors import NotFoundError, RefusedError
from bpci_node.mempool import admission
from bpci_node.mempool.admission import Admission
from bpci_node.mempool.bucket import Bucket, mesh_root
from bpci_node.mempool.bucket_key import mesh_leaf
from bpci_node.mempool.cancellation import Cancellation, verify_cancellation
from bpci_node.mempool.entry import Entry, Signed, check_destination, make_entry
from bpci_node.mempool.eviction import Ranking
from bpci_node.mempool.fees import outbidding
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.mesh import Mesh, Roots
from bpci_node.mempool.native import NativeEntry
from bpci_node.mempool.senders import Senders
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import TargetConfig
from bpci_node.mempool.verkle.opening import Opening


class Pool:
    """Entries that wait for one target chain."""

    __slots__ = (
        "_buckets",
        "_by_source",
        "_by_txid",
        "_last_arrival",
        "_mesh",
        "_ranking",
        "_sealed_epoch",
        "_senders",
        "is_checked",
        "ledger_id",
        "limits",
        "raw_bytes",
        "target",
    )

    def __init__(
        self,
        target: TargetConfig,
        limits: PoolLimits | None = None,
        *,
        ledger_id: str | None = None,
        is_checked: bool = False,
    ) -> None:
        self.target = target
        """Terms on which the entries are sorted now."""
        self.limits = limits or PoolLimits()
        self.ledger_id = ledger_id
        """The ledger of the node; None where neither native entries nor cancellations are meant."""
        self.is_checked = is_checked
        """Whether :meth:`insert` is told what senders have on the chain."""
        self._senders = Senders()
        self._last_arrival = 0
        self._clear()

    def _clear(self) -> None:
        self.raw_bytes = 0
        """Raw bytes of the entries that wait."""
        self._buckets: dict[bytes, Bucket] = {}
        self._mesh = Mesh()
        self._sealed_epoch: dict[bytes, int] = {}
        self._ranking = Ranking(self._buckets)
        self._by_txid: dict[bytes, Entry] = {}
        self._by_source: dict[bytes, int] = {}
        self._senders.clear()

    def __len__(self) -> int:
        return len(self._by_txid)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries, in no meaningful order."""
        return iter(self._by_txid.values())

    def find(self, txid: bytes) -> Entry | None:
        """Return the entry with this txid, if it waits here."""
        return self._by_txid.get(txid)

    def insert(
        self,
        tx: Signed,
        arrival_seq: int,
        arrival_ms: int,
        *,
        source: bytes = b"",
        state: SenderState | None = None,
        qos: int = 0,
        opaque: bytes = b"",
    ) -> Admission:
        """Take an entry in; what is refused changes nothing.

        Args:
            arrival_seq: its number in the order of arrival, greater than that of every one before it, from 1.
            arrival_ms: Unix milliseconds.
            source: from where it came, counted while it waits; empty is not counted.
            state: what its sender has on the chain; None when nobody knows, and in a pool that is not checked.
            qos: see :class:`~bpci_node.mempool.entry_leaf.EntryLeaf`; so is ``opaque``.
        Raises:
            RefusedError: meant for another chain or ledger, or for none (``entry.chain``, ``entry.ledger``); already
                waiting (``entry.duplicate``); gas that never fits (``entry.gas``); its nonce is sealed or used
                (``entry.nonce``); a replacement that pays or uses too little (``entry.underpriced``, with the fees
                that would do); its sender can't pay for it (``entry.funds``); a nonce is missing before it, and the
                pool is full (``entry.nonce_gap``); arrival out of order (``mempool.arrival``).
            LimitError: too many entries of its sender (``entry.sender_limit``), source (``entry.source_limit``) or
                bucket (``mempool.full_bucket``), or in the pool (``mempool.full_count``, ``mempool.full_bytes``, with
                the fee that would do).
            FormatError: qos or opaque out of range (``entry.format``).
        Source: docs/spec/mempool.md, "What is accepted".
        """
        self._require_new(tx, arrival_seq)
        admission.check_gas(tx, self.target.gas_limit, is_checked=state is not None)
        admission.check_nonce(tx, self._senders.sealed_nonce(tx.sender), state)
        old = self._senders.find(tx.sender, tx.nonce)
        limits = self.limits
        if old is not None:
            admission.check_replacement(old, tx, limits.replacement_percent)
        queue = self._senders.queue(tx.sender)
        of_source = self._by_source.get(source, 0) - (old is not None and old.source == source) if source else 0
        admission.check_quota(old, of_sender=len(queue), of_source=of_source, limits=limits)
        if state is not None:
            admission.check_funds(tx, queue, state)
        entry = make_entry(
            tx,
            self.target,
            arrival_seq=arrival_seq,
            arrival_ms=arrival_ms,
            qos=qos,
            opaque=opaque,
            source=source,
            is_bound=old is not None and old.is_bound,
        )
        victims = self._make_room(entry, old, state)
        bucket = self._buckets.get(entry.bucket_key)
        if bucket is not None and len(bucket) >= limits.per_bucket:
            leaving = sum(gone is not None and gone.bucket_key == bucket.key for gone in (*victims, old))
            admission.check_bucket(len(bucket) - leaving, limits.per_bucket)
        if victims:
            entry = replace(entry, is_bound=True)
            for gone in victims:
                self._take_out(gone)
        self._place(entry, old)
        if state is not None:
            self._weigh(tx.sender, state)
        elif self.is_checked:
            self._ranking.mark(entry, idle=True)
        return Admission(entry, old.leaf.txid if old else None, tuple([gone.leaf.txid for gone in victims]))

    def restore(
        self,
        tx: Signed,
        arrival_seq: int,
        arrival_ms: int,
        *,
        qos: int = 0,
        opaque: bytes = b"",
        is_bound: bool = False,
    ) -> Entry | None:
        """Take in again what was accepted before: as :meth:`insert`, without the rules that judge newcomers.

        First :meth:`settle` whatever is sealed, then restore what waits, in the order of arrival. Until :meth:`revise`
        says otherwise, an Ethereum sender is believed to be able to pay: it was asked when the entry came.

        Args:
            is_bound: as the entry was.
        Returns:
            The entry, or None when it is no longer wanted: a replacement of it is sealed.
        Raises:
            RefusedError: for another chain or ledger (``entry.chain``, ``entry.ledger``), twice
                (``entry.duplicate``), or out of order (``mempool.arrival``): the journal is not that of this pool.
        """
        self._require_new(tx, arrival_seq)
        if tx.nonce <= self._senders.sealed_nonce(tx.sender):
            return None
        entry = make_entry(
            tx, self.target, arrival_seq=arrival_seq, arrival_ms=arrival_ms, qos=qos, opaque=opaque, is_bound=is_bound
        )
        self._place(entry, self._senders.find(tx.sender, tx.nonce))
        if self.is_checked and isinstance(tx, NativeEntry):
            self._ranking.mark(entry, idle=True)
        return entry

    def cancel(self, cancellation: Cancellation) -> Entry:
        """Take an entry out because its sender says so; return it.

        Raises:
            RefusedError: for another ledger or target (``entry.ledger``, ``entry.chain``), for another arrival of the
                entry (``entry.stale_cancellation``), not signed by its sender (``entry.not_yours``), or the entry is
                bound (``entry.bound``).
            NotFoundError: the entry does not wait here (``entry.not_waiting``).
            LimitError: the pool is crowded (``mempool.crowded``).
        Source: docs/spec/mempool.md, "Cancellation".
        """
        if cancellation.ledger_id != self.ledger_id:
            raise RefusedError("the cancellation is signed for another ledger", code="entry.ledger")
        if cancellation.target != self.target.id:
            raise RefusedError("the cancellation is signed for another target", code="entry.chain")
        entry = self._by_txid.get(cancellation.txid)
        if entry is None:
            raise NotFoundError("this entry does not wait here", code="entry.not_waiting")
        verify_cancellation(cancellation, entry)
        admission.check_recall(entry, crowded=self.is_crowded)
        self._take_out(entry)
        if self.is_checked:
            for later in self._senders.queue(entry.leaf.sender):
                if later.leaf.nonce > entry.leaf.nonce:
                    self._ranking.mark(later, idle=True)
        return entry

    def settle(self, sender: bytes, nonce: int) -> list[Entry]:
        """Record that ``sender``'s entries up to ``nonce`` are sealed; return those that leave the pool."""
        gone = self._senders.seal(sender, nonce)
        for entry in gone:
            self._take_out(entry)
        return gone

    def waits_for(self, sender: bytes) -> bool:
        """Say whether anything of a sender waits here."""
        return bool(self._senders.queue(sender))

    def mark_sealed(self, keys: Iterable[bytes], epoch: int) -> None:
        """Record that the bundle of sequence ``epoch`` took entries of these buckets, which may be empty now."""
        for key in keys:
            self._sealed_epoch[key] = epoch
            self._mesh.touch(key)

    def sealed_epoch(self, key: bytes) -> int:
        """Return the sequence of the last bundle that took an entry of this bucket on the terms in force, or 0."""
        return self._sealed_epoch.get(key, 0)

    def revise(self, states: Mapping[bytes, SenderState]) -> list[Entry]:
        """Bring the pool up to date with the chain; return the entries that leave because they can't run any more.

        Of each sender that is named: what the chain has run leaves; so does the first entry for which the balance does
        not suffice, with everything behind it. Entries behind a gap stay, and are the first to leave a full pool.

        Args:
            states: what senders have on the chain now; who is not named stays as it is.
        """
        gone: list[Entry] = []
        for sender, state in sorted(states.items()):
            leaving = admission.spent(self._senders.queue(sender), state)
            for entry in leaving:
                self._take_out(entry)
            self._weigh(sender, state)
            gone += leaving
        return gone

    def runnable(self) -> Iterator[Entry]:
        """Yield the entries that may be selected: all but those behind a gap; in no meaningful order."""
        for entry in self:
            if not self._ranking.is_idle(entry) or isinstance(entry.transaction, NativeEntry):
                yield entry

    def senders(self) -> list[bytes]:
        """Return the Ethereum senders that have entries here, in ascending order: whose states to ask for."""
        queues = ((sender, self._senders.queue(sender)) for sender in self._senders)
        return sorted(sender for sender, queue in queues if not isinstance(queue[0].transaction, NativeEntry))

    def reprice(self, base_fee_wei: int) -> None:
        """Sort all entries anew at another base fee. Costs as much as inserting them all.

        Raises:
            FormatError: the base fee is out of range (``mempool.target``).
        """
        self.target = replace(self.target, base_fee_wei=base_fee_wei)
        entries = [(entry, self._ranking.is_idle(entry)) for entry in self]
        self._clear()
        for old, is_idle in entries:
            leaf = old.leaf
            entry = make_entry(
                old.transaction,
                self.target,
                arrival_seq=leaf.arrival_seq,
                arrival_ms=leaf.ts,
                qos=leaf.qos,
                opaque=leaf.opaque,
                source=old.source,
                is_bound=old.is_bound,
            )
            self._add(entry)
            self._ranking.mark(entry, idle=is_idle)

    def buckets(self) -> list[Bucket]:
        """Return the non-empty buckets in the order of their keys."""
        return [bucket for _, bucket in sorted(self._buckets.items())]

    def bucket(self, key: bytes) -> Bucket | None:
        """Return the bucket of this key, or None when it is empty."""
        return self._buckets.get(key)

    @property
    def behind(self) -> int:
        """Buckets that have changed since the trees were last brought up to date."""
        return self._mesh.behind

    def advance(self, most: int) -> None:
        """Bring the trees up to date for ``most`` buckets, so that the next :meth:`roots` has less to do."""
        self._mesh.advance(self._buckets, self._sealed_epoch, most)

    def roots(self) -> Roots:
        """Bring the trees up to date with what changed since the last time, and return their roots."""
        return self._mesh.roots(self._buckets, self._sealed_epoch)

    def open(self, keys: Sequence[bytes]) -> Opening:
        """Return what proves the leaves, or the absence, of these buckets under the last :meth:`roots`."""
        return self._mesh.open(keys)

    def merkle_mesh_root(self) -> bytes:
        """Return the root over every non-empty bucket's id and root, 32 bytes."""
        return mesh_root(mesh_leaf(bucket.identifier, bucket.merkle_root()) for bucket in self.buckets())

    @property
    def is_crowded(self) -> bool:
        """Whether so little room is left that nothing is taken back."""
        limits = self.limits
        return admission.is_crowded(len(self), limits.entries) or admission.is_crowded(self.raw_bytes, limits.raw_bytes)

    def least_fee(self) -> int:
        """Return the fee rate, wei per gas, with which a plain transfer gets in now; 0 while there is room."""
        if len(self) < self.limits.entries and self.raw_bytes < self.limits.raw_bytes:
            return 0
        _, price = next(self._ranking.weakest())
        return outbidding(price, self.limits.replacement_percent)

    def _require_new(self, tx: Signed, arrival_seq: int) -> None:
        check_destination(tx, self.target, self.ledger_id)
        if tx.txid in self._by_txid:
            raise RefusedError("this entry is waiting already", code="entry.duplicate")
        if arrival_seq <= self._last_arrival:
            raise RefusedError(
                f"arrival {arrival_seq} comes after arrival {self._last_arrival}", code="mempool.arrival"
            )

    def _make_room(self, entry: Entry, old: Entry | None, state: SenderState | None) -> tuple[Entry, ...]:
        """Choose who leaves, if the pool is full, and check that the newcomer may push them out."""
        limits, tx = self.limits, entry.transaction
        count = 0 if old else len(self) + 1 - limits.entries
        surplus = self.raw_bytes + len(tx.raw) - (len(old.transaction.raw) if old else 0) - limits.raw_bytes
        if count <= 0 and surplus <= 0:
            return ()
        code = admission.FULL_COUNT if count > 0 else admission.FULL_BYTES
        if self.is_checked:
            expected = None if state is None else self._senders.next_nonce(tx.sender, state)
            admission.check_reach(tx, self._senders.queue(tx.sender), expected, limits, code)
        room = self._ranking.make_room(entry, old, count=count, raw_bytes=surplus, queue_of=self._senders.queue)
        admission.check_bid(entry, self._senders.queue(tx.sender), room, limits, code)
        return room.victims if room else ()

    def _place(self, entry: Entry, old: Entry | None) -> None:
        if old is not None:
            self._take_out(old)
        self._last_arrival = entry.leaf.arrival_seq
        self._add(entry)

    def _weigh(self, sender: bytes, state: SenderState) -> None:
        """Note which of a sender's entries nothing stands behind: those before which a nonce is missing."""
        queue, first_idle = self._senders.queue(sender), self._senders.first_behind_gap(sender, state)
        for position, entry in enumerate(queue):
            self._ranking.mark(entry, idle=position >= first_idle)

    def _add(self, entry: Entry) -> None:
        self.raw_bytes += len(entry.transaction.raw)
        self._by_txid[entry.leaf.txid] = entry
        self._senders.add(entry)
        if entry.source:
            self._by_source[entry.source] = self._by_source.get(entry.source, 0) + 1
        bucket = self._buckets.get(entry.bucket_key)
        if bucket is None:
            bucket = self._buckets[entry.bucket_key] = Bucket(self.target.id, entry.bucket_key)
            self._ranking.open(entry.bucket_key)
        bucket.add(entry)
        self._mesh.touch(entry.bucket_key)

    def _take_out(self, entry: Entry) -> None:
        self._ranking.mark(entry, idle=False)
        self.raw_bytes -= len(entry.transaction.raw)
        del self._by_txid[entry.leaf.txid]
        self._senders.remove(entry)
        if entry.source:
            self._by_source[entry.source] -= 1
            if not self._by_source[entry.source]:
                del self._by_source[entry.source]
        bucket = self._buckets[entry.bucket_key]
        bucket.remove(entry)
        self._mesh.touch(entry.bucket_key)
        if not len(bucket):
            del self._buckets[entry.bucket_key]
            self._ranking.close(entry.bucket_key)
