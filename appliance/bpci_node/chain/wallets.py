"""Governance wallets: accounts that no key speaks for. What they hold moves by the guardians' quorum alone.

Their ids are made from names under a context of their own, so no key can be found that makes the same id.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType

from bpci_node.primitives.amounts import POLICIES
from bpci_node.primitives.hashing import derive

WALLET_CONTEXT = "bpci 2026 governance wallet v1"

TREASURY = "treasury"
"""Where fees and forfeited bonds go."""
AUCTION = "auction"
"""Holder of the escrows from which bonds of commits are reserved; it has no balance of its own."""
RESERVE, PARTNERS = "reserve", "partner-chains"
"""Receivers of policies that settlements know: what pays committees, and what is divided among the partner chains."""


def wallet_id(name: str) -> str:
    """Return the account id of the governance wallet of that name."""
    digest = derive(WALLET_CONTEXT, name.encode("ascii"))[:20]
    return "bpa1" + base64.b32encode(digest).decode("ascii").lower()


_NAMES = sorted({TREASURY, AUCTION, "faucet", "parvyom", *(name for shares in POLICIES.values() for name in shares)})

WALLETS: Mapping[str, str] = MappingProxyType({name: wallet_id(name) for name in _NAMES})
"""Name to account id: the treasury, the faucet's pool, the network's own governance wallet, receivers of policies."""
