"""Selection: which entries go into a bundle, and in which order. The same for everybody who has the same entries.

Of the entries that are each their sender's next one, the first in the order of fee rate (descending), arrival, txid is
taken, again and again, until the gas limit is reached. A sender whose next entry does not fit, or does not pay the
base fee, is passed over with everything behind that entry. The result depends on the set of entries alone, not on the
order in which they, or their buckets, are looked at.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_leaf import OrderKey
from bpci_node.mempool.target import MIN_GAS

MAX_ENTRIES = 20_000
"""Entries of one bundle, at most."""
MAX_RAW_BYTES = 8 * 1024 * 1024
"""Raw bytes of all entries of one bundle, at most."""


def select(entries: Iterable[Entry], gas_limit: int) -> list[Entry]:
    """Return the entries that a bundle holds, in the order in which they run.

    Args:
        entries: each sender's nonces are all different; every gas limit is at least ``MIN_GAS``.
        gas_limit: gas that all of them together may use.
    Source: docs/spec/bundle.md, "Selection".
    """
    queues: dict[bytes, list[Entry]] = {}
    for entry in entries:
        queues.setdefault(entry.leaf.sender, []).append(entry)
    for queue in queues.values():
        queue.sort(key=lambda entry: entry.leaf.nonce, reverse=True)  # the next one is the last, where pop is cheap
    heads: list[tuple[OrderKey, bytes]] = [(queue[-1].leaf.order_key, sender) for sender, queue in queues.items()]
    heapq.heapify(heads)

    selected: list[Entry] = []
    gas_left, bytes_left = gas_limit, MAX_RAW_BYTES
    while heads and gas_left >= MIN_GAS and len(selected) < MAX_ENTRIES:
        _, sender = heapq.heappop(heads)
        queue = queues[sender]
        entry = queue.pop()
        size = len(entry.transaction.raw)
        if not entry.pays_base_fee or entry.leaf.gas > gas_left or size > bytes_left:
            continue
        selected.append(entry)
        gas_left -= entry.leaf.gas
        bytes_left -= size
        if queue:
            heapq.heappush(heads, (queue[-1].leaf.order_key, sender))
    return selected
