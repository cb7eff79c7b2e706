"""What a builder puts into a parcel: entries of its own, and behind them the best of a node's public pool."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from bpci_node.auction.parcel import MAX_ENTRIES, MAX_PARCEL_BYTES, encode_parcel
from bpci_node.auction.selection import select
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.cli.bidding import make_candidate
from bpci_node.errors import BpciError, NotFoundError, RefusedError
from bpci_node.mempool.entry import Entry
from bpci_node.network.client import NodeClient

MAX_READ = 4_096
"""Entries of the public pool that are looked at, the dearest buckets first."""
_FRAME_BYTES = 64 + 5 * MAX_ENTRIES
"""What a parcel's encoding adds to its entries, at most."""


def read_pool(client: NodeClient, target: str) -> list[bytes]:
    """Return what waits in a node's public pool, as it was signed, the dearest buckets first, at most ``MAX_READ``.

    Raises:
        NotFoundError: the node has no pool for this target (``entry.target``).
        UnreachableError: it does not answer, or answers nonsense.
    """
    buckets = sorted(client.mempool.buckets(target), key=lambda item: -int(item["max_fee_wei"]))
    found: list[bytes] = []
    for bucket in buckets:
        with suppress(NotFoundError):  # it emptied meanwhile
            for raw in client.mempool.entries(target, bytes.fromhex(bucket["key"].removeprefix("0x"))):
                if len(found) == MAX_READ:
                    return found
                found.append(raw)
    return found


def build_parcel(
    own: Sequence[bytes],
    pool: Sequence[bytes],
    terms: TargetTerms,
    qlock_ms: int,
    ledger_id: str,
    *,
    payment: int,
    gas: int,
    most: int,
) -> bytes:
    """Return an encoded parcel: the builder's own entries in their order, then the best of the pool that fit.

    The pool's are in the order of their fees, each behind its sender's earlier ones, as they would run by themselves.

    Args:
        gas: gas of all of them, at most.
        most: entries of the pool, at most.
    Raises:
        RefusedError: nothing is left to put into it (``parcel.empty``).
        BpciError: one of its own entries is none, or not for this target (``entry.*``).
    """
    chosen = [make_candidate(raw, terms, qlock_ms, ledger_id, 0) for raw in own]
    senders = {entry.leaf.sender for entry in chosen}
    gas -= sum(entry.leaf.gas for entry in chosen)
    room = MAX_PARCEL_BYTES - _FRAME_BYTES - sum(map(len, own))
    for entry in select(_candidates(pool, terms, qlock_ms, ledger_id), terms.gas_limit):
        if len(chosen) - len(own) >= most or len(chosen) >= MAX_ENTRIES:
            break
        size = len(entry.transaction.raw)
        if entry.leaf.sender in senders:
            continue
        if entry.leaf.gas > gas or size > room:
            senders.add(entry.leaf.sender)  # what its sender has behind it can't run without it
            continue
        chosen.append(entry)
        gas, room = gas - entry.leaf.gas, room - size
    if not chosen:
        raise RefusedError(
            "nothing waits that could be put into a parcel",
            code="parcel.empty",
            hint="Name entries of your own, or ask a node whose pool is not empty.",
        )
    return encode_parcel(payment, [entry.transaction.raw for entry in chosen])


def _candidates(pool: Sequence[bytes], terms: TargetTerms, qlock_ms: int, ledger_id: str) -> list[Entry]:
    """Return the entries of the pool that are for this target; a node may tell anything."""
    found: dict[bytes, Entry] = {}
    for raw in pool:
        with suppress(BpciError):
            entry = make_candidate(raw, terms, qlock_ms, ledger_id, 0)
            found[entry.leaf.sender + entry.leaf.nonce.to_bytes(8)] = entry
    return list(found.values())
