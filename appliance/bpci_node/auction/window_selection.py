"""Selection of version 2: which candidates of a window run, in which order, and why each other one doesn't.

Candidates are ordered inside each bucket independently, then the buckets are merged; one sort does both, since the
order inside a bucket is that of the merge. Again and again, of the candidates that are each their sender's next one,
the first by origin, fee rate (descending), arrival, txid is looked at. It runs if it pays the base fee and there is
room; otherwise it is passed over, with all that its sender has behind it. As long as entries that notaries force in
wait, room for them, up to their share of the gas limit, is kept free from all others.

Before the first entry that only waits in the public pool is looked at, one parcel runs: the one that pays most of
those that can run whole, in one piece and in the builder's order, by the same rules. Copies of its entries in the pool
count no more then, whether a notary forced them or not: they run with the parcel.

The result depends on the set of candidates alone. Selecting again among those that run, and those of the others that
are shown, gives the same for each of them: that is how a verifier, who does not see the rest, checks both.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from bpci_node.auction.candidates import MAX_CANDIDATES, Candidate, MergeKey, Origin
from bpci_node.auction.header import MAX_ENTRIES
from bpci_node.auction.parcel import Parcel
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import LimitError
from bpci_node.primitives.amounts import WHOLE_BPS

MAX_RAW_BYTES = 8 * 1024 * 1024
"""Raw bytes of all entries of one window, at most."""
MAX_TRIED = 16
"""Parcels that are tried in one window, those that pay most; whatever else was bid as a parcel loses."""


class Cause(IntEnum):
    """Why a candidate does not run."""

    FEE = 1
    """It does not pay the base fee."""
    ROOM = 2
    """It did not fit when it was its turn."""
    BEHIND = 3
    """An earlier nonce of its sender was passed over."""
    NONCE = 4
    """Another candidate of its sender has the same nonce, and comes before it."""
    DUPLICATE = 5
    """The same transaction came in by an earlier door."""


class Item(NamedTuple):
    """What the merge looks at."""

    key: MergeKey
    sender: bytes
    nonce: int
    gas: int
    size: int
    """Raw bytes."""
    pays_base_fee: bool


class Merged(NamedTuple):
    """What a merge comes to; numbers are positions in what it was given."""

    ran: list[int]
    """In the order in which they run."""
    causes: dict[int, tuple[Cause, int | None]]
    """Of all others: why, and because of which one."""
    is_whole: bool = True
    """Whether the parcel ran; where it can't, the merge stops and means nothing."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A candidate that does not run."""

    candidate: Candidate
    cause: Cause
    by: Candidate | None
    """Because of which candidate: of ``BEHIND``, ``NONCE`` and ``DUPLICATE`` alone."""


@dataclass(frozen=True, slots=True)
class WindowSelection:
    """What a window's candidates come to."""

    winners: tuple[Candidate, ...]
    """What runs, in order."""
    carried: tuple[Candidate, ...]
    """Revealed in this window, and without room: they wait for the next window."""
    lost: tuple[Candidate, ...]
    """All others that were hidden once: their bonds go back."""
    excluded: tuple[Exclusion, ...]
    """Every candidate that does not run."""
    parcel: Parcel | None = None
    """The parcel that runs; its entries are among the winners."""
    lost_parcels: tuple[Parcel, ...] = ()
    """All others: their bonds go back."""

    def unique(self) -> list[Candidate]:
        """Return the candidates, each transaction once: what the trees of the header are over."""
        others = [item.candidate for item in self.excluded if item.cause is not Cause.DUPLICATE]
        return [*self.winners, *others]

    def left_out(self, forced: Iterable[bytes]) -> tuple[Exclusion, ...]:
        """Return why those of ``forced`` (txids) that do not run don't, with everything that a reason refers to."""
        found = {item.candidate.entry.leaf.txid: item for item in self.excluded if item.cause is not Cause.DUPLICATE}
        shown: dict[bytes, Exclusion] = {}
        waiting = [txid for txid in sorted(set(forced), reverse=True) if txid in found]
        while waiting:
            txid = waiting.pop()
            if txid in shown:
                continue
            item = shown[txid] = found[txid]
            if item.by is not None and item.by.entry.leaf.txid in found:
                waiting.append(item.by.entry.leaf.txid)
        return tuple(sorted(shown.values(), key=lambda item: item.candidate.merge_key))


def select_window(
    candidates: Sequence[Candidate], terms: TargetTerms, *, parcels: Sequence[Parcel] = (), carry: bool = True
) -> WindowSelection:
    """Return what runs in a window.

    Args:
        candidates: sorted on the same ``terms``, in any order, none of them of a parcel.
        parcels: of this window, each with an arrival of its own, in any order.
        carry: whether there is a next window that takes on what found no room; not in an epoch's last header.
    Raises:
        LimitError: more than ``MAX_CANDIDATES`` (``header.candidates``).
    Source: docs/spec/bundle.md, "Selection of version 2".
    """
    if len(candidates) > MAX_CANDIDATES:
        raise LimitError(f"a window has at most {MAX_CANDIDATES} candidates", code="header.candidates")
    items = [_item(candidate) for candidate in candidates]
    everybody: Sequence[Candidate] = candidates
    copies: list[Exclusion] = []
    chosen: Parcel | None = None
    merged: Merged | None = None
    for parcel in sorted(parcels, key=lambda parcel: parcel.rank)[:MAX_TRIED]:
        found = _with_parcel(candidates, items, terms, parcel)
        if found is not None:
            everybody, merged, copies = found
            chosen = parcel
            break
    if merged is None:
        merged = merge(items, terms.gas_limit, forced_gas(terms))
    winners = tuple(everybody[number] for number in merged.ran)
    causes = [
        Exclusion(everybody[number], cause, None if by is None else everybody[by])
        for number, (cause, by) in merged.causes.items()
    ]
    excluded = tuple(sorted([*causes, *copies], key=lambda item: item.candidate.merge_key))
    carried, lost = [], []
    for item in excluded:
        candidate = item.candidate
        if carry and candidate.origin is Origin.REVEALED and item.cause in (Cause.ROOM, Cause.BEHIND):
            carried.append(candidate)
        elif candidate.commit_id is not None:
            lost.append(candidate)
    others = tuple(item for item in parcels if item is not chosen)
    return WindowSelection(winners, tuple(carried), tuple(lost), excluded, chosen, others)


def _with_parcel(
    candidates: Sequence[Candidate], items: Sequence[Item], terms: TargetTerms, parcel: Parcel
) -> tuple[list[Candidate], Merged, list[Exclusion]] | None:
    """Put a parcel's entries in the place of their copies in the public pool, and merge.

    Returns:
        The candidates then, what they come to, and why the copies are out; ``None`` if the parcel can't run whole.
    """
    inside = {entry.leaf.txid: Candidate(entry, Origin.PARCEL, parcel.commit.commit_id) for entry in parcel.entries}
    copied = {
        number: inside[item.key[1][2]]
        for number, item in enumerate(items)
        if item.key[0] >= Origin.FORCED and item.key[1][2] in inside
    }
    kept = [number for number in range(len(candidates)) if number not in copied]
    if len(kept) + len(inside) > MAX_CANDIDATES:
        return None
    together = [*(items[number] for number in kept), *map(_item, inside.values())]
    block = range(len(kept), len(together))
    merged = merge(together, terms.gas_limit, forced_gas(terms), block)
    if not merged.is_whole:
        return None
    copies = [Exclusion(candidates[number], Cause.DUPLICATE, by) for number, by in copied.items()]
    return [*(candidates[number] for number in kept), *inside.values()], merged, copies


def forced_gas(terms: TargetTerms) -> int:
    """Return the gas that is kept for forced entries as long as any of them waits."""
    return terms.gas_limit * terms.forced_gas_bps // WHOLE_BPS


def merge(items: Sequence[Item], gas_limit: int, forced_share: int, parcel: Sequence[int] = ()) -> Merged:
    """Say of each item whether it runs, and of those that do in which order.

    Args:
        items: any order.
        forced_share: gas that is kept for items of origin ``FORCED`` while one waits.
        parcel: positions of the items of origin ``PARCEL``, in the order in which they must run.
    """
    if parcel:
        items = list(items)
        for place, number in enumerate(parcel):
            origin, (_, arrival, txid) = items[number].key
            items[number] = items[number]._replace(key=(origin, (place, arrival, txid)))
    causes: dict[int, tuple[Cause, int | None]] = {}
    queues, heads = _queues(items, causes)
    forced, in_parcel = int(Origin.FORCED), int(Origin.PARCEL)
    forced_waiting = sum(
        item.gas for number, item in enumerate(items) if item.key[0] == forced and number not in causes
    )
    ran: list[int] = []
    gas_left, bytes_left, share_left = gas_limit, MAX_RAW_BYTES, forced_share
    later: list[tuple[MergeKey, int]] = []
    held: list[tuple[MergeKey, int]] = []  # what the parcel made eligible: it waits until all of the parcel has run
    at, end, done = 0, len(heads), 0
    while at < end or later:
        if later and (at == end or later[0] < heads[at]):
            _, number = heapq.heappop(later)
        else:
            _, number = heads[at]
            at += 1
        key, sender, _, gas, size, pays = items[number]
        queue = queues.get(sender)
        is_forced = key[0] == forced
        kept = 0 if is_forced else min(share_left, forced_waiting)
        fits = gas <= gas_left - kept and size <= bytes_left and len(ran) < MAX_ENTRIES
        if done < len(parcel) and key[0] >= in_parcel and (number != parcel[done] or not pays or not fits):
            break
        if is_forced:
            forced_waiting -= gas
        if pays and fits:
            ran.append(number)
            gas_left -= gas
            bytes_left -= size
            share_left = max(0, share_left - gas) if is_forced else share_left
            if queue:
                following = queue.pop()
                waits = key[0] == in_parcel and items[following].key[0] != in_parcel
                heapq.heappush(held if waits else later, (items[following].key, following))
            if key[0] == in_parcel:
                done += 1
                if done == len(parcel):
                    for item in held:
                        heapq.heappush(later, item)
            continue
        causes[number] = (Cause.ROOM if pays else Cause.FEE, None)
        while queue:
            behind = queue.pop()
            causes[behind] = (Cause.BEHIND, number)
            forced_waiting -= items[behind].gas if items[behind].key[0] == forced else 0
    return Merged(ran, causes, done == len(parcel))


def _queues(
    items: Sequence[Item], causes: dict[int, tuple[Cause, int | None]]
) -> tuple[dict[bytes, list[int]], list[tuple[MergeKey, int]]]:
    """Return what each sender has behind its first item, last one first, and the first items in order.

    Notes what is there twice, and what has a nonce that another one has.
    """
    ordered = sorted((item[0], number) for number, item in enumerate(items))
    if len({item[1] for item in items}) == len(items) == len({item[0][1][2] for item in items}):
        return {}, ordered  # one item of each sender: nothing is behind anything
    first_of: dict[bytes, int] = {}
    by_sender: dict[bytes, list[int]] = {}
    for key, number in ordered:
        first = first_of.setdefault(key[1][2], number)
        if first != number:
            causes[number] = (Cause.DUPLICATE, first)
            continue
        by_sender.setdefault(items[number].sender, []).append(number)
    queues: dict[bytes, list[int]] = {}
    heads = []
    for sender, found in by_sender.items():
        found.sort(key=lambda number: items[number].nonce)  # stable: equal nonces stay in the order of the merge
        kept: list[int] = []
        for number in found:
            if kept and items[kept[-1]].nonce == items[number].nonce:
                causes[number] = (Cause.NONCE, kept[-1])
            else:
                kept.append(number)
        kept.reverse()
        first = kept.pop()
        heads.append((items[first].key, first))
        queues[sender] = kept
    heads.sort()
    return queues, heads


def _item(candidate: Candidate) -> Item:
    entry = candidate.entry
    leaf = entry.leaf
    key = (int(candidate.origin), (-leaf.fee_per_w, leaf.arrival_seq, leaf.txid))
    return Item(key, leaf.sender, leaf.nonce, leaf.gas, len(entry.transaction.raw), entry.pays_base_fee)
