"""The kinds of commands about the network as a whole: its deactivation."""

from __future__ import annotations

from bpci_node.chain import deactivation
from bpci_node.chain.kinds import Kind

_QUORUM = ("access.quorum", "A quorum of the guardians signed it, the sender among them or not.")

KINDS = (
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
