"""The parameters of a ledger that a node begins by itself, where nobody wrote a genesis for it."""

from __future__ import annotations

from bpci_node.chain.parameters import Allocation, AssetRule, Parameters
from bpci_node.chain.wallets import TREASURY, WALLETS

DECIMALS = 8
_COIN = 10**DECIMALS
_ASSETS = ("BPI", "FLX", "GEN", "NEX")


def default_parameters(registry_key: bytes) -> Parameters:
    """Return parameters for a network of one's own: no fees, a full faucet, the registry as its only guardian.

    Each asset has a cap of 10 billion. A tenth of BPI is there from the beginning, half of it in the faucet's pool and
    half in the treasury; everything else is minted as the guardian justifies it.
    """
    return Parameters(
        network="devnet",
        assets=tuple(AssetRule(name, DECIMALS, 10**10 * _COIN) for name in _ASSETS),
        allocations=tuple(Allocation(WALLETS[name], "BPI", 500_000_000 * _COIN, None) for name in ("faucet", TREASURY)),
        guardians=(registry_key,),
        threshold=1,
    )
