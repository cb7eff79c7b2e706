"""Who has entries in a pool: each sender's queue by nonce, what of it is sealed, and what is known of its account."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from itertools import takewhile

from bpci_node.mempool.entry import Entry
from bpci_node.mempool.state import SenderState


def _nonce(entry: Entry) -> int:
    return entry.leaf.nonce


class Senders:
    """The senders of one pool. A queue holds each nonce once, in ascending order."""

    __slots__ = ("_queues", "_sealed", "_states")

    def __init__(self) -> None:
        self._queues: dict[bytes, list[Entry]] = {}
        self._sealed: dict[bytes, int] = {}
        self._states: dict[bytes, SenderState] = {}

    def __iter__(self) -> Iterator[bytes]:
        """Yield the senders that have entries, in no meaningful order."""
        return iter(self._queues)

    def clear(self) -> None:
        """Forget the entries, and nothing else."""
        self._queues = {}

    def queue(self, sender: bytes) -> Sequence[Entry]:
        """Return a sender's entries by nonce."""
        return self._queues.get(sender, ())

    def before(self, sender: bytes, nonce: int) -> Sequence[Entry]:
        """Return a sender's entries with a smaller nonce."""
        queue = self._queues.get(sender, [])
        return queue[: bisect_left(queue, nonce, key=_nonce)]

    def find(self, sender: bytes, nonce: int) -> Entry | None:
        """Return the entry of this sender with this nonce."""
        queue = self._queues.get(sender)
        if queue is None:
            return None
        at = bisect_left(queue, nonce, key=_nonce)
        return queue[at] if at < len(queue) and queue[at].leaf.nonce == nonce else None

    def add(self, entry: Entry) -> None:
        """Add an entry whose nonce is free."""
        queue = self._queues.get(entry.leaf.sender)
        if queue is None:
            self._queues[entry.leaf.sender] = [entry]
        elif queue[-1].leaf.nonce < entry.leaf.nonce:
            queue.append(entry)
        else:
            insort(queue, entry, key=_nonce)

    def remove(self, entry: Entry) -> None:
        """Remove an entry that is there."""
        sender = entry.leaf.sender
        queue = self._queues[sender]
        del queue[bisect_left(queue, entry.leaf.nonce, key=_nonce)]
        if not queue:
            del self._queues[sender]
            self._states.pop(sender, None)

    def sealed_nonce(self, sender: bytes) -> int:
        """Return the greatest nonce of this sender that is sealed, -1 if none is."""
        return self._sealed.get(sender, -1)

    def seal(self, sender: bytes, nonce: int) -> list[Entry]:
        """Record that nonces up to this one are sealed; return the entries that are thereby done."""
        self._sealed[sender] = max(nonce, self.sealed_nonce(sender))
        return list(takewhile(lambda entry: entry.leaf.nonce <= nonce, self.queue(sender)))

    def know(self, sender: bytes, state: SenderState) -> None:
        """Keep what is known of the account of a sender that has entries."""
        self._states[sender] = state

    def next_nonce(self, sender: bytes, state: SenderState) -> int:
        """Return the nonce with which the sender goes on: above what the chain has run and what is sealed."""
        return max(state.nonce, self.sealed_nonce(sender) + 1)

    def backed(self, sender: bytes) -> int | None:
        """Return how many entries at the head of a queue can run one after another, paid from the account.

        None when nothing is known of the account.
        """
        state = self._states.get(sender)
        if state is None:
            return None
        count, expected, left = 0, self.next_nonce(sender, state), state.balance_wei
        for entry in self.queue(sender):
            left -= entry.transaction.cost_wei
            if entry.leaf.nonce != expected or left < 0:
                break
            count, expected = count + 1, expected + 1
        return count
