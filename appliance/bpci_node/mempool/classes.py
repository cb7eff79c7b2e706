"""The class of an entry: what it is, how much gas it wants, how fast it must go. One byte, from three tables.

The tables are those of ``docs/spec/mempool.md``; their numbers are part of every bucket key and never change meaning.
"""

from __future__ import annotations

from bisect import bisect_left
from enum import IntEnum

from bpci_node.errors import FormatError
from bpci_node.primitives.ethereum import BLOB, SET_CODE, Transaction


class EntryType(IntEnum):
    """What an entry is. Ethereum transactions are of the first three types."""

    TRANSFER = 0
    CONTRACT_CALL = 1
    BLOB = 2
    POF_UPDATE = 3
    SETTLEMENT = 4


class GasClass(IntEnum):
    """How much gas an entry may use."""

    S = 0
    M = 1
    L = 2
    XL = 3


_GAS_CLASSES = tuple(GasClass)
GAS_BOUNDS = (80_000, 300_000, 1_000_000)
"""Greatest gas limit of classes S, M and L; above it is XL."""
QLOCK_MS = (10, 20, 50, 100)
"""Latency classes, milliseconds; the position is the number."""


def entry_type(tx: Transaction) -> EntryType:
    """Return the type of an Ethereum transaction: blobs, then plain transfers, then everything else."""
    if tx.tx_type == BLOB:
        return EntryType.BLOB
    is_plain = tx.to is not None and tx.data_bytes == 0 and tx.tx_type != SET_CODE
    return EntryType.TRANSFER if is_plain else EntryType.CONTRACT_CALL


def gas_class(gas: int) -> GasClass:
    """Return the class of a gas limit."""
    return _GAS_CLASSES[bisect_left(GAS_BOUNDS, gas)]


def class_byte(kind: EntryType, gas: GasClass, qlock_ms: int) -> int:
    """Return ``type * 16 + gas * 4 + qlock``, 0 to 79."""
    return kind * 16 + gas * 4 + QLOCK_MS.index(qlock_ms)


def split_class(value: int) -> tuple[EntryType, GasClass, int]:
    """Return entry type, gas class and latency in milliseconds of a class byte.

    Raises:
        FormatError: no entry has this class (``mempool.class``).
    """
    if not 0 <= value < 16 * len(EntryType):
        raise FormatError(f"no entry has class {value}", code="mempool.class")
    return EntryType(value >> 4), GasClass(value >> 2 & 3), QLOCK_MS[value & 3]
