"""One entry of the mempool: a transaction, when it arrived, and the leaf that commits to it."""

from __future__ import annotations

from dataclasses import dataclass

from bpci_node.errors import FormatError
from bpci_node.mempool.classes import class_byte, entry_type, gas_class
from bpci_node.mempool.entry_leaf import MAX_OPAQUE_BYTES, MAX_QOS, EntryLeaf
from bpci_node.mempool.fees import fee_bin, fee_per_weight
from bpci_node.mempool.target import MAX_AMOUNT, TargetConfig
from bpci_node.primitives.ethereum import Transaction


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction that waits in a pool, sorted on the terms of its target."""

    transaction: Transaction
    leaf: EntryLeaf
    bucket_key: bytes
    """Key of the bucket where it waits, 4 bytes."""
    pays_base_fee: bool
    """Whether its fee reaches the base fee; below it, it waits and is not selected."""
    replaces: bytes | None = None
    """txid of the entry that it pushed out, 32 bytes."""


def make_entry(
    tx: Transaction,
    target: TargetConfig,
    *,
    arrival_seq: int,
    arrival_ms: int,
    qos: int = 0,
    opaque: bytes = b"",
    replaces: bytes | None = None,
) -> Entry:
    """Return the entry that ``tx`` is on the terms of ``target``: the one computation that pool and verifier share.

    Raises:
        FormatError: arrival, qos or opaque out of range (``entry.format``).
    """
    if not (0 <= arrival_seq <= MAX_AMOUNT and 0 <= arrival_ms <= MAX_AMOUNT):
        raise FormatError("the arrival of an entry is out of range", code="entry.format")
    if not 0 <= qos <= MAX_QOS or len(opaque) > MAX_OPAQUE_BYTES:
        raise FormatError(
            f"qos lies between 0 and {MAX_QOS}, opaque has at most {MAX_OPAQUE_BYTES} bytes", code="entry.format"
        )
    fee = fee_per_weight(tx, target.base_fee_wei)
    kind = class_byte(entry_type(tx), gas_class(tx.gas), target.qlock_ms)
    key = bytes([target.region, kind]) + fee_bin(fee, target.fee_bin_wei).to_bytes(2, "big")
    leaf = EntryLeaf(tx.txid, tx.sender, tx.nonce, fee, tx.gas, arrival_ms, arrival_seq, qos, opaque)
    return Entry(tx, leaf, key, tx.max_fee >= target.base_fee_wei, replaces)
