"""The kinds of commands about the network as a whole: its deactivation, its faucet."""

from __future__ import annotations

from bpci_node.chain import deactivation, faucet
from bpci_node.chain.kinds import Kind

_QUORUM = ("access.quorum", "A quorum of the guardians signed it, the sender among them or not.")

KINDS = (
    Kind(
        name="faucet.grant",
        summary="Grants somebody BPI out of the faucet's pool.",
        body=faucet.Grant,
        apply=faucet.grant,
        rules=(
            ("faucet.mainnet", "The genesis's network is not the mainnet."),
            ("faucet.operator", "The sender is the faucet's operator."),
            ("asset.unknown", "The ledger has BPI."),
            ("faucet.granted", "As a wallet: the account had no such grant before."),
            ("faucet.node", "As a node: the account has an active node."),
            ("faucet.amount", "All grants to this wallet, or node, are together at most the parameter of its kind."),
            ("asset.balance", "The pool has the amount."),
        ),
        effects="The balances of the governance wallet `faucet` and of the account.",
        events=("faucet.granted",),
        is_free=True,
    ),
    Kind(
        name="faucet.set_operator",
        summary="Appoints the faucet's operator; before the first appointment it is the registry key's account.",
        body=faucet.Appointment,
        apply=faucet.set_operator,
        rules=(_QUORUM,),
        effects="Who may send `faucet.grant`.",
        events=("faucet.operator_set",),
        takes_approvals=True,
    ),
    Kind(
        name="registry.deactivate",
        summary="Stops the ledger in an emergency.",
        body=deactivation.Reason,
        apply=deactivation.deactivate,
        rules=(_QUORUM,),
        effects="From the next command on, and up to `guardians_last_height`, every command is refused with "
        "`registry.deactivated`, but for `registry.reactivate`, and `account.rotate_key` and "
        "`account.strengthen_key` of a guardian's account. Nodes seal nothing meanwhile.",
        events=("registry.deactivated",),
        is_free=True,
        takes_approvals=True,
    ),
    Kind(
        name=deactivation.REACTIVATE,
        summary="Lets a deactivated ledger go on.",
        body=deactivation.Reason,
        apply=deactivation.reactivate,
        rules=(_QUORUM, ("registry.active", "The ledger is deactivated.")),
        effects="The ledger takes every command again.",
        events=("registry.reactivated",),
        is_free=True,
        takes_approvals=True,
    ),
)
