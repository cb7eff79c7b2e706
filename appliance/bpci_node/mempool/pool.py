"""The pool of one target chain: who waits, in which bucket, under which root.

Pure: time and arrival numbers come in as arguments, nothing is written. The same calls in the same order give the same
pool, which is how a node restores it from its journal. Senders are proved by their signatures before they come here;
an entry is replaced only by its own sender. What a sender's nonce or balance is on the chain is not known here: a
sender's entries run in the order of their nonces, gaps are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bpci_node.errors import LimitError, RefusedError
from bpci_node.mempool.bucket import Bucket, mesh_root
from bpci_node.mempool.bucket_key import mesh_leaf
from bpci_node.mempool.entry import Entry, make_entry
from bpci_node.mempool.fees import replacement_fee
from bpci_node.mempool.mesh import Mesh, Roots
from bpci_node.mempool.target import MIN_GAS, TargetConfig
from bpci_node.mempool.verkle.opening import Opening
from bpci_node.primitives.ethereum import Transaction


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What one pool holds at most."""

    entries: int = 100_000
    """Entries that wait."""
    raw_bytes: int = 256 * 1024 * 1024
    """Raw bytes of all of them."""
    per_sender: int = 64
    """Entries of one sender that wait."""


class Pool:
    """Entries that wait for one target chain."""

    __slots__ = (
        "_buckets",
        "_by_sender",
        "_by_txid",
        "_last_arrival",
        "_mesh",
        "_sealed_epoch",
        "_sealed_nonce",
        "limits",
        "raw_bytes",
        "target",
    )

    def __init__(self, target: TargetConfig, limits: PoolLimits | None = None) -> None:
        self.target = target
        """Terms on which the entries are sorted now."""
        self.limits = limits or PoolLimits()
        self.raw_bytes = 0
        """Raw bytes of the entries that wait."""
        self._buckets: dict[bytes, Bucket] = {}
        self._mesh = Mesh()
        self._sealed_epoch: dict[bytes, int] = {}
        self._by_txid: dict[bytes, Entry] = {}
        self._by_sender: dict[bytes, dict[int, Entry]] = {}
        self._sealed_nonce: dict[bytes, int] = {}
        self._last_arrival = 0

    def __len__(self) -> int:
        return len(self._by_txid)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries, in no meaningful order."""
        return iter(self._by_txid.values())

    def find(self, txid: bytes) -> Entry | None:
        """Return the entry with this txid, if it waits here."""
        return self._by_txid.get(txid)

    def insert(self, tx: Transaction, arrival_seq: int, arrival_ms: int, *, qos: int = 0, opaque: bytes = b"") -> Entry:
        """Take a transaction in.

        Args:
            arrival_seq: its number in the order of arrival, greater than that of every one before it, from 1.
            arrival_ms: Unix milliseconds.
            qos: see :class:`~bpci_node.mempool.entry.EntryLeaf`; so is ``opaque``.
        Returns:
            The entry; its ``replaces`` names the one that it pushed out.
        Raises:
            RefusedError: meant for another chain, or for none (``entry.chain``); gas that never fits (``entry.gas``);
                already waiting (``entry.duplicate``); its nonce is sealed (``entry.nonce``); a replacement that pays
                too little (``entry.underpriced``, with the fees that would do); arrival out of order
                (``mempool.arrival``).
            LimitError: too many entries of its sender (``entry.sender_limit``), or in the pool
                (``mempool.full_count``, ``mempool.full_bytes``).
            FormatError: qos or opaque out of range (``entry.format``).
        """
        self._require_fitting(tx)
        sealed = self._sealed_nonce.get(tx.sender, -1)
        if tx.nonce <= sealed:
            raise RefusedError(
                f"nonce {tx.nonce} of this sender is sealed already", code="entry.nonce", sealed_nonce=str(sealed)
            )
        old = self._by_sender.get(tx.sender, {}).get(tx.nonce)
        if old is not None:
            _require_replacement(old.transaction, tx)
        self._require_room(tx, old)
        return self._place(tx, old, arrival_seq=arrival_seq, arrival_ms=arrival_ms, qos=qos, opaque=opaque)

    def restore(
        self, tx: Transaction, arrival_seq: int, arrival_ms: int, *, qos: int = 0, opaque: bytes = b""
    ) -> Entry | None:
        """Take in again what was accepted before: as :meth:`insert`, without the rules that judge newcomers.

        First :meth:`settle` whatever is sealed, then restore what waits, in the order of arrival.

        Returns:
            The entry, or None when it is no longer wanted: a replacement of it is sealed.
        Raises:
            RefusedError: for another chain (``entry.chain``), twice (``entry.duplicate``), or out of order
                (``mempool.arrival``): the journal is not that of this pool.
        """
        self._require_ours(tx)
        if tx.nonce <= self._sealed_nonce.get(tx.sender, -1):
            return None
        old = self._by_sender.get(tx.sender, {}).get(tx.nonce)
        return self._place(tx, old, arrival_seq=arrival_seq, arrival_ms=arrival_ms, qos=qos, opaque=opaque)

    def settle(self, sender: bytes, nonce: int) -> list[Entry]:
        """Record that ``sender``'s transactions up to ``nonce`` are sealed; return those that leave the pool."""
        self._sealed_nonce[sender] = max(nonce, self._sealed_nonce.get(sender, -1))
        gone = [entry for number, entry in sorted(self._by_sender.get(sender, {}).items()) if number <= nonce]
        for entry in gone:
            self._take_out(entry)
        return gone

    def reprice(self, base_fee_wei: int) -> None:
        """Sort all entries anew at another base fee. Costs as much as inserting them all.

        Raises:
            FormatError: the base fee is out of range (``mempool.target``).
        """
        self.target = replace(self.target, base_fee_wei=base_fee_wei)
        entries = list(self._by_txid.values())
        self._buckets, self._mesh, self._sealed_epoch = {}, Mesh(), {}
        for entry in entries:
            leaf = entry.leaf
            self._add(
                make_entry(
                    entry.transaction,
                    self.target,
                    arrival_seq=leaf.arrival_seq,
                    arrival_ms=leaf.ts,
                    qos=leaf.qos,
                    opaque=leaf.opaque,
                    replaces=entry.replaces,
                )
            )

    def buckets(self) -> list[Bucket]:
        """Return the non-empty buckets in the order of their keys."""
        return [bucket for _, bucket in sorted(self._buckets.items())]

    def bucket(self, key: bytes) -> Bucket | None:
        """Return the bucket of this key, or None when it is empty."""
        return self._buckets.get(key)

    def mark_sealed(self, keys: Iterable[bytes], epoch: int) -> None:
        """Record that the bundle with sequence ``epoch`` took entries of these buckets."""
        for key in keys:
            self._sealed_epoch[key] = epoch
            self._mesh.touch(key)

    def sealed_epoch(self, key: bytes) -> int:
        """Return the sequence of the last bundle that took an entry of this bucket on the terms in force, or 0."""
        return self._sealed_epoch.get(key, 0)

    def roots(self) -> Roots:
        """Bring the trees up to date with what changed since the last time, and return their roots."""
        return self._mesh.roots(self._buckets, self._sealed_epoch)

    def open(self, keys: Sequence[bytes]) -> Opening:
        """Return what proves the leaves, or the absence, of these buckets under the last :meth:`roots`."""
        return self._mesh.open(keys)

    def merkle_mesh_root(self) -> bytes:
        """Return the root over every non-empty bucket's id and root, 32 bytes."""
        return mesh_root(mesh_leaf(bucket.identifier, bucket.merkle_root()) for bucket in self.buckets())

    def _require_ours(self, tx: Transaction) -> None:
        if tx.chain_id != self.target.chain_id:
            chain = "no chain" if tx.chain_id is None else f"chain {tx.chain_id}"
            raise RefusedError(
                f"signed for {chain}, and this pool is that of {self.target.id}",
                code="entry.chain",
                hint="A signature that names no chain (EIP-155) is good on all of them; sign it for this one.",
            )
        if tx.txid in self._by_txid:
            raise RefusedError("this transaction is waiting already", code="entry.duplicate")

    def _require_fitting(self, tx: Transaction) -> None:
        self._require_ours(tx)
        if not MIN_GAS <= tx.gas <= self.target.gas_limit:
            raise RefusedError(
                f"a gas limit of {tx.gas} never fits: it must lie between {MIN_GAS} and {self.target.gas_limit}",
                code="entry.gas",
                low=MIN_GAS,
                high=self.target.gas_limit,
            )

    def _require_room(self, tx: Transaction, old: Entry | None) -> None:
        limits = self.limits
        freed = len(old.transaction.raw) if old else 0
        if self.raw_bytes - freed + len(tx.raw) > limits.raw_bytes:
            raise LimitError("the pool is full", code="mempool.full_bytes", limit=limits.raw_bytes)
        if old is not None:
            return
        if len(self._by_sender.get(tx.sender, ())) >= limits.per_sender:
            raise LimitError(
                f"{limits.per_sender} entries of this sender are waiting already",
                code="entry.sender_limit",
                limit=limits.per_sender,
            )
        if len(self) >= limits.entries:
            raise LimitError("the pool is full", code="mempool.full_count", limit=limits.entries)

    def _place(
        self, tx: Transaction, old: Entry | None, *, arrival_seq: int, arrival_ms: int, qos: int, opaque: bytes
    ) -> Entry:
        if arrival_seq <= self._last_arrival:
            raise RefusedError(
                f"arrival {arrival_seq} comes after arrival {self._last_arrival}", code="mempool.arrival"
            )
        entry = make_entry(
            tx,
            self.target,
            arrival_seq=arrival_seq,
            arrival_ms=arrival_ms,
            qos=qos,
            opaque=opaque,
            replaces=old.leaf.txid if old else None,
        )
        if old is not None:
            self._take_out(old)
        self._last_arrival = arrival_seq
        self.raw_bytes += len(tx.raw)
        self._add(entry)
        return entry

    def _add(self, entry: Entry) -> None:
        self._by_txid[entry.leaf.txid] = entry
        self._by_sender.setdefault(entry.leaf.sender, {})[entry.leaf.nonce] = entry
        bucket = self._buckets.get(entry.bucket_key)
        if bucket is None:
            bucket = self._buckets[entry.bucket_key] = Bucket(self.target.id, entry.bucket_key)
        bucket.add(entry)
        self._mesh.touch(entry.bucket_key)

    def _take_out(self, entry: Entry) -> None:
        leaf = entry.leaf
        del self._by_txid[leaf.txid]
        nonces = self._by_sender[leaf.sender]
        del nonces[leaf.nonce]
        if not nonces:
            del self._by_sender[leaf.sender]
        bucket = self._buckets[entry.bucket_key]
        bucket.remove(entry)
        self._mesh.touch(entry.bucket_key)
        if not len(bucket):
            del self._buckets[entry.bucket_key]
        self.raw_bytes -= len(entry.transaction.raw)


def _require_replacement(old: Transaction, new: Transaction) -> None:
    """Check that ``new`` pays enough more than ``old`` in both fees, so that it pays more at every base fee."""
    max_fee, priority = replacement_fee(old.max_fee), replacement_fee(old.max_priority_fee)
    if new.max_fee < max_fee or new.max_priority_fee < priority:
        raise RefusedError(
            f"nonce {new.nonce} of this sender is waiting already; a replacement pays at least {max_fee} wei per gas"
            f" and {priority} wei of priority fee",
            code="entry.underpriced",
            hint="Raise both fees by 10 %, rounded up.",
            max_fee=str(max_fee),
            max_priority_fee=str(priority),
        )
