"""One entry of the mempool: what was signed, when it arrived, and the leaf that commits to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from bpci_node.errors import FormatError, RefusedError
from bpci_node.mempool.classes import EntryType, GasClass, class_byte, entry_type, gas_class
from bpci_node.mempool.entry_leaf import MAX_OPAQUE_BYTES, MAX_QOS, EntryLeaf
from bpci_node.mempool.fees import MAX_FEE_BIN, fee_bin, fee_per_weight
from bpci_node.mempool.native import NativeEntry, decode_native
from bpci_node.mempool.target import MAX_AMOUNT, TargetConfig
from bpci_node.primitives.ethereum import Transaction, decode_transaction

Signed: TypeAlias = Transaction | NativeEntry
"""What can wait in a pool: an Ethereum transaction, or a native entry; what both know has the same names."""

_MAP_FIRST, _MAP_END = 0xA0, 0xC0
"""First bytes of CBOR maps; no Ethereum transaction begins with one of them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something signed that waits in a pool, sorted on the terms of its target."""

    transaction: Signed
    leaf: EntryLeaf
    bucket_key: bytes
    """Key of the bucket where it waits, 4 bytes."""
    pays_base_fee: bool
    """Whether its fee reaches the base fee; below it, it waits and is not selected."""
    source: bytes = b""
    """From where it came, as the caller named it; empty when nobody did, and after a restart."""
    is_bound: bool = False
    """Whether it pushed others out of a full pool, or replaced one that did: it can't be taken back."""


def decode_entry(raw: bytes) -> Signed:
    """Decode what somebody signed, and prove its sender; its first byte tells what it is.

    Raises:
        FormatError: neither in form (``entry.format``, ``entry.type``, ``entry.blob_sidecar``).
        RefusedError: too long, or a signature or fee that does not hold (``entry.size``, ``entry.signature``,
            ``entry.fee``).
    """
    if raw and _MAP_FIRST <= raw[0] < _MAP_END:
        return decode_native(raw)
    return decode_transaction(raw)


def check_destination(tx: Signed, target: TargetConfig, ledger_id: str | None) -> None:
    """Check that what was signed is meant for this target, on this ledger.

    Args:
        ledger_id: ``None`` where no native entry is meant.
    Raises:
        RefusedError: for another chain, or for none (``entry.chain``); for another ledger (``entry.ledger``).
    """
    if isinstance(tx, NativeEntry):
        if tx.ledger_id != ledger_id:
            raise RefusedError(
                "the entry is signed for another ledger",
                code="entry.ledger",
                hint="Sign it for the ledger that the node belongs to; its status names it.",
            )
        if tx.target == target.id:
            return
        signed_for = tx.target
    elif tx.chain_id == target.chain_id:
        return
    else:
        signed_for = "no chain" if tx.chain_id is None else f"chain {tx.chain_id}"
    raise RefusedError(
        f"signed for {signed_for}, and this pool is that of {target.id}",
        code="entry.chain",
        hint="A signature that names no chain (EIP-155) is good on all of them; sign it for this one.",
    )


def make_entry(
    tx: Signed,
    target: TargetConfig,
    *,
    arrival_seq: int,
    arrival_ms: int,
    qos: int = 0,
    opaque: bytes = b"",
    source: bytes = b"",
    is_bound: bool = False,
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
    fee = fee_per_weight(tx.max_fee, tx.max_priority_fee, target.base_fee_wei)
    kind = tx.kind if isinstance(tx, NativeEntry) else entry_type(tx)
    key = _bucket_key(target.region, kind, gas_class(tx.gas), target.qlock_ms, fee_bin(fee, target.fee_bin_wei))
    leaf = EntryLeaf(tx.txid, tx.sender, tx.nonce, fee, tx.gas, arrival_ms, arrival_seq, qos, opaque)
    return Entry(tx, leaf, key, tx.max_fee >= target.base_fee_wei, source, is_bound)


@lru_cache(maxsize=MAX_FEE_BIN + 1)
def _bucket_key(region: int, kind: EntryType, gas: GasClass, qlock_ms: int, bin_number: int) -> bytes:
    """Return ``region ‖ class ‖ fee_bin``, one object for all entries of a bucket."""
    return bytes([region, class_byte(kind, gas, qlock_ms)]) + bin_number.to_bytes(2, "big")
