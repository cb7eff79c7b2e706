"""What a bundle is made of: transactions, contracts, data storage, records of the network.

The type of an entry is that of its bucket, whose key the trees of the header commit to; nothing is said twice, and no
type can be claimed. A bundle is of a type when all its entries are; most are of several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bpci_node.auction.auction_bundle import AuctionBundle
from bpci_node.mempool.classes import EntryType, split_class


class BundleType(StrEnum):
    """What entries of a bundle want of the target's block space."""

    TRANSACTION = "transaction"
    """Coins move, and nothing else."""
    CONTRACT = "contract"
    """A contract is called or made."""
    DATA_STORAGE = "data-storage"
    """Blobs are stored with the target."""
    RECORD = "record"
    """A native entry: a record of the network, or a settlement."""
    MIXED = "mixed"
    """Of a whole bundle only: its entries are of several types."""


TYPES: Mapping[EntryType, BundleType] = MappingProxyType(
    {
        EntryType.TRANSFER: BundleType.TRANSACTION,
        EntryType.CONTRACT_CALL: BundleType.CONTRACT,
        EntryType.BLOB: BundleType.DATA_STORAGE,
        EntryType.POF_UPDATE: BundleType.RECORD,
        EntryType.SETTLEMENT: BundleType.RECORD,
    }
)
"""The type of a bundle that holds only entries of one type."""


@dataclass(frozen=True, slots=True)
class Part:
    """The entries of one type in a bundle."""

    count: int
    gas: int
    """Sum of their gas limits."""


def contents_of(bundle: AuctionBundle) -> dict[BundleType, Part]:
    """Return the entries that run, by type, types without any left out; nothing if it travels without entries."""
    parts: dict[BundleType, Part] = {}
    for row in () if bundle.body is None else bundle.body.entries:
        kind, _, _ = split_class(bundle.buckets[row.bucket].key[1])
        before = parts.get(TYPES[kind], Part(0, 0))
        parts[TYPES[kind]] = Part(before.count + 1, before.gas + row.gas)
    return dict(sorted(parts.items()))


def type_of(contents: Mapping[BundleType, Part]) -> BundleType | None:
    """Return the type of a bundle with these contents, None for one in which no entry is shown."""
    if len(contents) > 1:
        return BundleType.MIXED
    return next(iter(contents), None)
