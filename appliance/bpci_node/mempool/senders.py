"""Who has entries in a pool: each sender's queue by nonce, and what of it is sealed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from itertools import takewhile

from bpci_node.mempool.entry import Entry
from bpci_node.mempool.state import SenderState


def _nonce(entry: Entry) -> int:
    return entry.leaf.nonce


class Senders:
    """The senders of one pool. A queue holds each nonce once, in ascending order.

    A sender with a single entry, as most are, has no list of its own.
    """

    __slots__ = ("_queues", "_sealed")

    def __init__(self) -> None:
        self._queues: dict[bytes, Entry | list[Entry]] = {}
        self._sealed: dict[bytes, int] = {}

    def __iter__(self) -> Iterator[bytes]:
        """Yield the senders that have entries, in no meaningful order."""
        return iter(self._queues)

    def clear(self) -> None:
        """Forget the entries, and nothing else."""
        self._queues = {}

    def queue(self, sender: bytes) -> Sequence[Entry]:
        """Return a sender's entries by nonce."""
        found = self._queues.get(sender, ())
        return (found,) if isinstance(found, Entry) else found

    def find(self, sender: bytes, nonce: int) -> Entry | None:
        """Return the entry of this sender with this nonce."""
        queue = self.queue(sender)
        at = bisect_left(queue, nonce, key=_nonce) if queue else 0
        return queue[at] if at < len(queue) and queue[at].leaf.nonce == nonce else None

    def add(self, entry: Entry) -> None:
        """Add an entry whose nonce is free."""
        found = self._queues.setdefault(entry.leaf.sender, entry)
        if isinstance(found, list):
            insort(found, entry, key=_nonce)
        elif found is not entry:
            self._queues[entry.leaf.sender] = sorted((found, entry), key=_nonce)

    def remove(self, entry: Entry) -> None:
        """Remove an entry that is there."""
        sender = entry.leaf.sender
        found = self._queues[sender]
        if isinstance(found, list) and len(found) > 1:
            del found[bisect_left(found, entry.leaf.nonce, key=_nonce)]
        else:
            del self._queues[sender]

    def sealed_nonce(self, sender: bytes) -> int:
        """Return the greatest nonce of this sender that is sealed, -1 if none is."""
        return self._sealed.get(sender, -1)

    def seal(self, sender: bytes, nonce: int) -> list[Entry]:
        """Record that nonces up to this one are sealed; return the entries that are thereby done."""
        self._sealed[sender] = max(nonce, self.sealed_nonce(sender))
        return list(takewhile(lambda entry: entry.leaf.nonce <= nonce, self.queue(sender)))

    def next_nonce(self, sender: bytes, state: SenderState) -> int:
        """Return the nonce with which the sender goes on: above what the chain has run and what is sealed."""
        return max(state.nonce, self.sealed_nonce(sender) + 1)

    def first_behind_gap(self, sender: bytes, state: SenderState) -> int:
        """Return the position in the queue of the first entry behind a missing nonce, or its length."""
        queue, expected = self.queue(sender), self.next_nonce(sender, state)
        for position, entry in enumerate(queue):
            if entry.leaf.nonce > expected:
                return position
            expected = max(expected, entry.leaf.nonce + 1)
        return len(queue)
