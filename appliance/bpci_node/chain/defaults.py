"""The parameters of a ledger that a node begins by itself, where nobody wrote a genesis for it."""

from __future__ import annotations

from bpci_node.chain.parameters import Allocation, AssetRule, Parameters
from bpci_node.chain.target_terms import COMMUNITY, TargetTerms, Tier
from bpci_node.chain.wallets import TREASURY, WALLETS
from bpci_node.mempool.classes import QLOCK_MS

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


def community_target(target: str, *, base_fee_wei: int, fee_bin_wei: int) -> TargetTerms:
    """Return terms on which a network of one's own auctions a community chain: paid in BPI, in every class.

    One smallest unit of BPI pays a gwei; a bond is 1 or 10 BPI. Phases are long enough for a machine that runs several
    nodes at once.

    Args:
        target: id of the chain.
        base_fee_wei: its named base fee per gas.
        fee_bin_wei: width of a fee bin.
    """
    return TargetTerms(
        target=target,
        kind=COMMUNITY,
        owner=None,
        base_fee_wei=base_fee_wei,
        fee_bin_wei=fee_bin_wei,
        region=0,
        gas_limit=60_000_000,
        classes=QLOCK_MS,
        reveal_ms=1_000,
        seal_ms=2_000,
        asset="BPI",
        wei_per_unit=10**9,
        forced_gas_bps=1_000,
        policy="auction-25",
        sla=None,
        tiers=(Tier(0, _COIN, _COIN), Tier(1, 10 * _COIN, 10 * _COIN)),
    )
