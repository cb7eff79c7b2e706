"""The rules that judge a newcomer, and an entry whose sender's account has changed. Each check raises what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpci_node.errors import LimitError, RefusedError
from bpci_node.mempool.entry import Entry, Signed
from bpci_node.mempool.eviction import Room
from bpci_node.mempool.fees import outbidding
from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.state import SenderState
from bpci_node.mempool.target import MIN_GAS

FULL_COUNT, FULL_BYTES = "mempool.full_count", "mempool.full_bytes"
"""Which limit of the pool is reached."""
CROWDED = (15, 16)
"""Fraction of a limit from which on a pool is crowded, and nothing is taken back."""


@dataclass(frozen=True, slots=True)
class Admission:
    """An entry that was taken in, and who left because of it."""

    entry: Entry
    replaced: bytes | None
    """txid of the entry of the same sender and nonce, 32 bytes."""
    evicted: tuple[bytes, ...]
    """txids of those who were pushed out of the full pool, 32 bytes each."""


def check_gas(tx: Signed, gas_limit: int, *, is_checked: bool) -> None:
    """Check that the gas fits into a bundle, and in a checked pool that the chain would run it at all.

    Raises:
        RefusedError: ``entry.gas``, with the range.
    """
    low = tx.floor_gas if is_checked else MIN_GAS
    if not low <= tx.gas <= gas_limit:
        raise RefusedError(
            f"a gas limit of {tx.gas} never fits: it must lie between {low} and {gas_limit}",
            code="entry.gas",
            low=low,
            high=gas_limit,
        )


def check_nonce(tx: Signed, sealed_nonce: int, state: SenderState | None) -> None:
    """Check that the nonce is neither sealed nor used on the chain.

    Raises:
        RefusedError: ``entry.nonce``, with ``sealed_nonce`` or ``next_nonce``.
    """
    if tx.nonce <= sealed_nonce:
        raise RefusedError(
            f"nonce {tx.nonce} of this sender is sealed already", code="entry.nonce", sealed_nonce=str(sealed_nonce)
        )
    if state is not None and tx.nonce < state.nonce:
        raise RefusedError(
            f"nonce {tx.nonce} of this sender is used on the chain", code="entry.nonce", next_nonce=str(state.nonce)
        )


def check_replacement(old: Entry, new: Signed, percent: int) -> None:
    """Check that ``new`` pays enough more than ``old`` in both fees, so that it pays more at every base fee.

    Of an entry that others were pushed out for, it also uses no less gas, so that it pays no less in all.

    Raises:
        RefusedError: ``entry.underpriced``, with the fees that would do; ``entry.bound``, with the gas.
    """
    paid = old.transaction
    max_fee, priority = outbidding(paid.max_fee, percent), outbidding(paid.max_priority_fee, percent)
    if new.max_fee < max_fee or new.max_priority_fee < priority:
        raise RefusedError(
            f"nonce {new.nonce} of this sender is waiting already; a replacement pays at least {max_fee} wei per gas"
            f" and {priority} wei of priority fee",
            code="entry.underpriced",
            hint=f"Raise both fees by {percent} %, rounded up.",
            max_fee=str(max_fee),
            max_priority_fee=str(priority),
        )
    if old.is_bound and new.floor_gas < paid.floor_gas:
        raise RefusedError(
            f"others were pushed out for nonce {new.nonce} of this sender; a replacement uses at least"
            f" {paid.floor_gas} gas, whatever it does",
            code="entry.bound",
            floor_gas=paid.floor_gas,
        )


def check_quota(old: Entry | None, *, of_sender: int, of_source: int, limits: PoolLimits) -> None:
    """Check that neither the sender nor the source has as many entries as it may.

    Args:
        old: the entry that is replaced, if any; its sender has no more afterwards.
        of_sender: entries of the sender that wait.
        of_source: entries from the source that wait, ``old`` not counted; 0 for no source.
    Raises:
        LimitError: ``entry.sender_limit`` or ``entry.source_limit``, with the limit.
    """
    if old is None and of_sender >= limits.per_sender:
        raise LimitError(
            f"{limits.per_sender} entries of this sender are waiting already",
            code="entry.sender_limit",
            limit=limits.per_sender,
        )
    if of_source >= limits.per_source:
        raise LimitError(
            f"{limits.per_source} entries from this source are waiting already",
            code="entry.source_limit",
            limit=limits.per_source,
        )


def check_bucket(waiting: int, limit: int) -> None:
    """Check that a bucket in which ``waiting`` entries stay takes one more.

    Raises:
        LimitError: ``mempool.full_bucket``, with the limit.
    """
    if waiting >= limit:
        raise LimitError(
            f"{limit} entries are waiting in this bucket already",
            code="mempool.full_bucket",
            hint="Pay another fee, or try again after the next bundle.",
            limit=limit,
        )


def check_funds(tx: Signed, queue: Sequence[Entry], state: SenderState) -> None:
    """Check that the account can pay for ``tx`` and everything else of it that waits.

    Args:
        queue: the sender's entries by nonce; one of the same nonce is replaced.
    Raises:
        RefusedError: ``entry.funds``, with ``balance_wei`` and ``needed_wei``.
    """
    needed = tx.cost_wei + sum(
        entry.transaction.cost_wei
        for entry in queue
        if entry.leaf.nonce != tx.nonce and entry.leaf.nonce >= state.nonce
    )
    if needed > state.balance_wei:
        raise RefusedError(
            f"the sender has {state.balance_wei} wei, and what waits of it may take {needed} wei",
            code="entry.funds",
            hint="Gas limit times max fee, value and blob fee of all waiting entries count.",
            balance_wei=str(state.balance_wei),
            needed_wei=str(needed),
        )


def check_bid(newcomer: Entry, queue: Sequence[Entry], room: Room | None, limits: PoolLimits, code: str) -> None:
    """Check that a newcomer pays enough for what has to leave a full pool.

    Args:
        queue: the sender's entries; what runs before the newcomer bounds what the newcomer is worth.
        room: what would leave; None if nothing that may leave is enough.
        code: which limit is reached.
    Raises:
        LimitError: ``code``, with the limit and, if any would do, ``least_fee``.
    """
    if room is None:
        raise _full(code, limits, ", and nothing in it gives way")
    least = room.least_fee(newcomer.transaction.floor_gas, limits.replacement_percent)
    earlier = (entry.leaf.fee_per_w for entry in queue if entry.leaf.nonce < newcomer.leaf.nonce)
    worth = min([newcomer.leaf.fee_per_w, *earlier])
    if worth < least:
        why = "" if worth == newcomer.leaf.fee_per_w else f"; an earlier nonce of this sender pays {worth}"
        raise _full(code, limits, f"; {least} wei per gas would do{why}", least_fee=str(least))


def check_reach(tx: Signed, queue: Sequence[Entry], next_nonce: int | None, limits: PoolLimits, code: str) -> None:
    """Check that ``tx`` can run after what waits of its sender, as one that pushes others out of a full pool must.

    Args:
        queue: the sender's entries.
        next_nonce: with which the sender goes on; None when nothing is known of its account.
        code: which limit is reached.
    Raises:
        LimitError: nothing is known (``code``).
        RefusedError: a nonce is missing (``entry.nonce_gap``, with ``next_nonce``).
    """
    if next_nonce is None:
        raise _full(code, limits, ", and nobody knows what this sender can pay")
    if sum(next_nonce <= entry.leaf.nonce < tx.nonce for entry in queue) != tx.nonce - next_nonce:
        raise RefusedError(
            f"the pool is full, and this sender's nonces from {next_nonce} to {tx.nonce} have a gap",
            code="entry.nonce_gap",
            hint="Send the earlier nonces first.",
            next_nonce=str(next_nonce),
        )


def _full(code: str, limits: PoolLimits, why: str, **details: str) -> LimitError:
    return LimitError(
        f"the pool is full{why}",
        code=code,
        hint="Pay more, also for the nonces before it, or try again after the next bundle.",
        limit=limits.entries if code == FULL_COUNT else limits.raw_bytes,
        **details,
    )


def is_crowded(count: int, limit: int) -> bool:
    """Tell whether so little room is left below ``limit`` that nothing is taken back."""
    part, whole = CROWDED
    return count * whole >= limit * part


def check_recall(entry: Entry, *, crowded: bool) -> None:
    """Check that an entry may be taken back by its sender.

    Raises:
        RefusedError: others were pushed out for it (``entry.bound``).
        LimitError: the pool is crowded (``mempool.crowded``).
    """
    if entry.is_bound:
        raise RefusedError(
            "others were pushed out for this entry, so it can't be taken back",
            code="entry.bound",
            hint="Replace it by one that pays more and does nothing, such as a transfer to yourself.",
        )
    if crowded:
        raise LimitError(
            "nothing is taken back while the pool is crowded",
            code="mempool.crowded",
            hint="Try again after the next bundle, or replace the entry by one that pays more and does nothing.",
        )


def spent(queue: Sequence[Entry], state: SenderState) -> list[Entry]:
    """Return those of a sender's entries that the chain has run, or that can't be paid for any more."""
    used = [entry for entry in queue if entry.leaf.nonce < state.nonce]
    rest, left = queue[len(used) :], state.balance_wei
    for position, entry in enumerate(rest):
        left -= entry.transaction.cost_wei
        if left < 0:
            return [*used, *rest[position:]]
    return used
