"""What an entry pays per gas at a named base fee, its fee bin, and what a replacement must pay."""

from __future__ import annotations

from bpci_node.mempool.target import MAX_AMOUNT
from bpci_node.primitives.ethereum import Transaction

MAX_FEE_BIN = 65_535
"""The last bin; it holds everything above, too."""
REPLACEMENT_PERCENT = 10
"""How much more a replacement pays, at least."""


def fee_per_weight(tx: Transaction, base_fee_wei: int) -> int:
    """Return what ``tx`` pays per gas, wei: ``min(max_fee, base_fee + priority fee)``, at most ``MAX_AMOUNT``."""
    return min(tx.max_fee, base_fee_wei + tx.max_priority_fee, MAX_AMOUNT)


def fee_bin(fee_wei: int, width_wei: int) -> int:
    """Return the bin of a fee, saturating at ``MAX_FEE_BIN``."""
    return min(fee_wei // width_wei, MAX_FEE_BIN)


def replacement_fee(fee_wei: int) -> int:
    """Return the least fee that replaces one of ``fee_wei``: 10 % more, rounded up, and at least 1 wei more."""
    return max(fee_wei + 1, -(-fee_wei * (100 + REPLACEMENT_PERCENT) // 100))
