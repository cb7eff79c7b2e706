"""The kinds of commands about registered wallets."""

from __future__ import annotations

from bpci_node.chain import wallet_registry
from bpci_node.chain.kinds import Kind

_ADDRESS = (
    ("format.wallet_address", "The address is written in the one way there is."),
    ("format.wallet_check", "Its check fits."),
    ("wallet.network", "It is of the ledger's network."),
    ("wallet.account", "Its account is the sender."),
    ("wallet.role", "Who says validator or notary is an active validator; who says miner, an active miner."),
)
_OWN = (
    ("wallet.unknown", "There is a wallet of this name."),
    ("wallet.account", "It is the sender's."),
    ("wallet.retired", "It is active."),
)

KINDS = (
    Kind(
        name="wallet.register",
        summary="Registers a wallet of the sender's under the URL of its address.",
        body=wallet_registry.Registration,
        apply=wallet_registry.register,
        rules=(
            *_ADDRESS,
            ("wallet.taken", "No other account has this name or one that looks like it, and it is not active already."),
            ("wallet.count", "The sender has fewer than 8 names, those of retired wallets included."),
        ),
        effects="The wallet's record, active; the name is the sender's for good.",
        events=("wallet.registered",),
    ),
    Kind(
        name="wallet.retire",
        summary="Retires a wallet of the sender's.",
        body=wallet_registry.Retirement,
        apply=wallet_registry.retire,
        rules=_OWN,
        effects="The record stays, with status `retired`; the sender may register it again.",
        events=("wallet.retired",),
    ),
    Kind(
        name="wallet.update",
        summary="States where a wallet of the sender's is reached, and its role, anew.",
        body=wallet_registry.Registration,
        apply=wallet_registry.update,
        rules=(*_ADDRESS, *_OWN, ("wallet.unchanged", "It changes something.")),
        effects="The wallet's record.",
        events=("wallet.updated",),
    ),
)
