"""The kinds of commands about proposals."""

from __future__ import annotations

from bpci_node.chain import delegation, governance
from bpci_node.chain.kinds import Kind

_KNOWN = ("governance.unknown", "The proposal exists.")
_WEIGHT = "has bonded at least one percent of all that is bonded"

KINDS = (
    Kind(
        name="governance.delegate",
        summary="Lets another account vote for the sender, in proposals that begin later.",
        body=delegation.Delegation,
        apply=delegation.delegate,
        rules=(
            ("governance.self", "It is another account."),
            ("governance.delegated", "It changes something."),
            ("governance.delegators", "The other votes for fewer than 64."),
        ),
        effects="An earlier delegation of the sender's ends.",
        events=("governance.delegated",),
    ),
    Kind(
        name="governance.execute",
        summary="Lets the machine do what a passed proposal carries. Anyone may send it.",
        body=governance.ProposalName,
        apply=governance.execute,
        rules=(
            _KNOWN,
            ("governance.closed", "It was neither executed nor vetoed, and at most 10,000 blocks have passed."),
            ("governance.early", "Its veto period is over."),
            ("governance.not_passed", "It has its quorum, and more yes than its threshold among yes and no."),
            ("governance.weight", f"Its proposer still {_WEIGHT}."),
        ),
        effects="Those of its actions, in their order, all or none; the rules of each hold but for the guardians' "
        "quorum, in whose place the vote stands. `governance.set_parameter` `{name, value}` exists as an action alone.",
        events=(
            *("governance.executed", "governance.parameter_set", "asset.minted", "authority.granted"),
            *("auction.halted", "auction.resumed", "auction.target_set"),
            *("authority.revoked", "faucet.operator_set", "reputation.changed", "wallet.distributed", "wallet.spent"),
        ),
    ),
    Kind(
        name="governance.propose",
        summary="Proposes actions to a vote.",
        body=governance.Proposal,
        apply=governance.propose,
        rules=(
            ("governance.weight", f"The sender {_WEIGHT}, before this block."),
            ("governance.open", "Its last proposal is executed, vetoed, or too old to be executed."),
        ),
        effects="The proposal, with the next number; weights count as they were after the block before.",
        events=("governance.proposed",),
    ),
    Kind(
        name="governance.veto",
        summary="Stops a proposal.",
        body=governance.ProposalName,
        apply=governance.veto,
        rules=(
            _KNOWN,
            ("access.quorum", "A quorum of the guardians signed it."),
            ("governance.closed", "It is open, and its veto period is not over."),
        ),
        effects="The proposal is closed.",
        events=("governance.vetoed",),
        takes_approvals=True,
    ),
    Kind(
        name="governance.vote",
        summary="Votes on a proposal.",
        body=governance.Vote,
        apply=governance.vote,
        rules=(
            _KNOWN,
            ("governance.closed", "It is open, and its voting period is not over."),
            ("governance.voted", "The sender has not voted on it."),
            ("governance.weight", "It, or who delegated to it before the start, had something bonded at the start."),
        ),
        effects="The votes; a delegate's earlier vote with the sender's weight is taken back.",
        events=("governance.voted",),
    ),
)
