"""What is known of a sender on the target chain, and who says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SenderState:
    """An account of the target chain at its latest block."""

    nonce: int
    """Nonce that its next transaction carries."""
    balance_wei: int
    """What it owns of the coin in which gas is paid, wei."""


class StateProvider(Protocol):
    """Something that knows the accounts of one target chain."""

    def states(self, addresses: Iterable[bytes]) -> Mapping[bytes, SenderState]:
        """Return the state of each of these accounts; one that was never used has nonce and balance 0.

        Raises:
            UnreachableError: the chain could not be asked, or what it answered makes no sense; nothing is known then.
        """
        ...
