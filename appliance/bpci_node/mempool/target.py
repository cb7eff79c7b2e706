"""A target chain: the chain whose block space is auctioned, and the terms on which its entries are sorted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bpci_node.errors import FormatError
from bpci_node.mempool.classes import QLOCK_MS

MAX_AMOUNT = 2**63 - 1
"""Largest fee per gas, gas or count that is reckoned with: what a signed 64-bit column holds."""
MIN_GAS = 21_000
"""Gas below which no Ethereum transaction runs. Source: Ethereum Yellow Paper, appendix G, G_transaction."""

_EIP155 = re.compile(r"eip155:([1-9][0-9]{0,19})")


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """Terms of one target chain. They stand in every bundle's header, so that a verifier sorts as the pool did."""

    id: str
    """CAIP-2, of the namespace eip155: ``eip155:1``."""
    base_fee_wei: int
    """Named base fee per gas, wei, 0 <= base_fee_wei <= ``MAX_AMOUNT``."""
    fee_bin_wei: int = 5_000_000_000
    """Width of a fee bin, wei, 1 <= fee_bin_wei <= ``MAX_AMOUNT``."""
    gas_limit: int = 60_000_000
    """Gas that one bundle may use, ``MIN_GAS`` <= gas_limit <= ``MAX_AMOUNT``."""
    region: int = 0
    """Region of the entries that arrive here, 0 (global) to 255."""
    qlock_ms: int = 100
    """Latency class of the entries that arrive here: 10, 20, 50 or 100 ms."""
    chain_id: int = field(init=False, repr=False, compare=False)
    """The EIP-155 chain id, which ``id`` names."""

    def __post_init__(self) -> None:
        """Check every range.

        Raises:
            FormatError: ``mempool.target``.
        """
        match = _EIP155.fullmatch(self.id)
        if not match or int(match[1]) >= 2**64:
            raise FormatError(
                f"{self.id!r} is not a target chain that is known here",
                code="mempool.target",
                hint="Write it like eip155:1.",
            )
        for name, low, high in (
            ("base_fee_wei", 0, MAX_AMOUNT),
            ("fee_bin_wei", 1, MAX_AMOUNT),
            ("gas_limit", MIN_GAS, MAX_AMOUNT),
            ("region", 0, 255),
        ):
            if not low <= getattr(self, name) <= high:
                raise FormatError(f"{name} of a target lies between {low} and {high}", code="mempool.target")
        if self.qlock_ms not in QLOCK_MS:
            raise FormatError(f"qlock_ms of a target is one of {QLOCK_MS}", code="mempool.target")
        object.__setattr__(self, "chain_id", int(match[1]))
