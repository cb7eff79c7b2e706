"""What an entry pays per gas at a named base fee, its fee bin, and what it takes to push another out."""

from __future__ import annotations

from bpci_node.mempool.target import MAX_AMOUNT

MAX_FEE_BIN = 65_535
"""The last bin; it holds everything above, too."""


def fee_per_weight(max_fee: int, max_priority_fee: int, base_fee_wei: int) -> int:
    """Return what is paid per gas, wei: ``min(max_fee, base_fee + max_priority_fee)``, at most ``MAX_AMOUNT``."""
    return min(max_fee, base_fee_wei + max_priority_fee, MAX_AMOUNT)


def fee_bin(fee_wei: int, width_wei: int) -> int:
    """Return the bin of a fee, saturating at ``MAX_FEE_BIN``."""
    return min(fee_wei // width_wei, MAX_FEE_BIN)


def outbidding(amount_wei: int, percent: int) -> int:
    """Return the least amount that outbids ``amount_wei``: ``percent`` more, rounded up, and at least 1 wei more."""
    return max(amount_wei + 1, -(-amount_wei * (100 + percent) // 100))
