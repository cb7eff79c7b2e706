"""Which entries leave a full pool for a newcomer, and what the newcomer must pay for that.

The first to leave are entries that nothing stands behind (gaps before them, or nobody knows who pays); then those of
the least fee rate. Of a sender, the latest nonce goes first, so that nothing is left that can't run; an entry is worth
no more than what the least fee before it in its sender's queue lets it be worth. Reasons: ``docs/adr/0041``.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby

from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_leaf import OrderKey
from bpci_node.mempool.entry_list import EntryList
from bpci_node.mempool.fees import outbidding
from bpci_node.mempool.target import MIN_GAS


@dataclass(frozen=True, slots=True)
class Room:
    """What has to leave so that a newcomer fits."""

    victims: tuple[Entry, ...]
    """In the order in which they leave."""
    dearest_wei: int
    """The greatest fee rate at which one of them is reckoned, wei per gas."""
    sum_wei: int
    """What they are reckoned at together, wei."""

    def least_fee(self, floor_gas: int, percent: int) -> int:
        """Return the least fee rate, wei per gas, of a newcomer that uses at least ``floor_gas``.

        It outbids the dearest of them per gas. And it outbids all of them together by the gas that it uses at least:
        one large entry does not push many small ones out for the fee of one.
        """
        together = -(-outbidding(self.sum_wei, percent) // floor_gas)
        return max(outbidding(self.dearest_wei, percent), together)


class Ranking:
    """The entries of a pool in the order in which they leave it when it is full."""

    __slots__ = ("_bins", "_buckets", "_idle", "_idle_txids")

    def __init__(self, buckets: Mapping[bytes, Bucket]) -> None:
        """Rank the entries of these buckets, which are not copied: :meth:`open` and :meth:`close` say what changes."""
        self._buckets = buckets
        self._bins: list[tuple[bytes, bytes]] = []
        self._idle = EntryList()
        self._idle_txids: set[bytes] = set()

    def open(self, key: bytes) -> None:
        """Note that there is a bucket of this key now."""
        insort(self._bins, (key[2:], key))

    def close(self, key: bytes) -> None:
        """Note that there is no bucket of this key any more."""
        del self._bins[bisect_left(self._bins, (key[2:], key))]

    def is_idle(self, entry: Entry) -> bool:
        """Tell whether nothing stands behind an entry, as far as is known."""
        return entry.leaf.txid in self._idle_txids

    def mark(self, entry: Entry, *, idle: bool) -> None:
        """Note whether nothing stands behind an entry; one that leaves the pool is first marked as not idle."""
        if idle == self.is_idle(entry):
            return
        if idle:
            self._idle_txids.add(entry.leaf.txid)
            self._idle.add(entry)
        else:
            self._idle_txids.remove(entry.leaf.txid)
            self._idle.remove(entry)

    def weakest(self) -> Iterator[tuple[Entry, int]]:
        """Yield the entries from the one that leaves first, each with the fee rate at which it is reckoned."""
        for entry in reversed(self._idle):
            yield entry, 0
        for _, group in groupby(self._bins, key=lambda item: item[0]):
            buckets = [reversed(self._buckets[key]) for _, key in group]
            for entry in merge(*buckets, key=_order_key, reverse=True):
                if entry.leaf.txid not in self._idle_txids:
                    yield entry, entry.leaf.fee_per_w

    def make_room(
        self,
        newcomer: Entry,
        replaced: Entry | None,
        *,
        count: int,
        raw_bytes: int,
        queue_of: Callable[[bytes], Sequence[Entry]],
    ) -> Room | None:
        """Choose what leaves for ``newcomer``; None when even all that may leave is not enough.

        Args:
            replaced: the entry that leaves anyway.
            count: how many entries have to leave, at least.
            raw_bytes: how many raw bytes have to leave, at least.
            queue_of: returns the entries of a sender by nonce.
        """
        chosen: dict[bytes, Entry] = {}
        dearest = total = 0
        for weakest, price in self.weakest():
            if weakest is replaced:
                continue
            sender, first = weakest.leaf.sender, weakest.leaf.nonce
            if sender == newcomer.leaf.sender:  # what runs before the newcomer stays, or it could not run itself
                first = max(first, newcomer.leaf.nonce + 1)
            for entry in reversed(queue_of(sender)):
                if entry.leaf.nonce < first:
                    break
                if entry.leaf.txid in chosen or entry is replaced:
                    continue
                chosen[entry.leaf.txid] = entry
                # One that pushed others out is reckoned whole, or what it owes for them would be forgotten with it.
                dearest = max(dearest, price)
                total += price * (entry.transaction.floor_gas if entry.is_bound else MIN_GAS)
                count -= 1
                raw_bytes -= len(entry.transaction.raw)
                if count <= 0 and raw_bytes <= 0:
                    return Room(tuple(chosen.values()), dearest, total)
        return None


def _order_key(entry: Entry) -> OrderKey:
    return entry.leaf.order_key
