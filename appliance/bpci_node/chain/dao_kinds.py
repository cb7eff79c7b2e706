"""The kinds of commands about DAOs."""

from __future__ import annotations

from bpci_node.chain import dao, dao_members, dao_treasury, dao_votes
from bpci_node.chain.kinds import Kind

_DAO = (
    ("dao.unknown", "There is such a DAO."),
    ("dao.dissolved", "It was not dissolved."),
)
_MEMBER = (*_DAO, ("dao.member", "The sender is a member."))
_KNOWN = ("governance.unknown", "The DAO has a proposal of this number.")

KINDS = (
    Kind(
        name="dao.accept",
        summary="Makes the sender a member, by an invitation.",
        body=dao_members.DaoName,
        apply=dao_members.accept,
        rules=(
            *_DAO,
            (
                "dao.not_invited",
                "It was invited at most 10,000 blocks ago, by a vote or a member who may still invite with this power.",
            ),
            ("dao.members", "The DAO has fewer than 100 members."),
        ),
        effects="The sender's D-PAN; it may propose, and invites and spends nothing.",
        events=("dao.joined",),
    ),
    Kind(
        name="dao.create",
        summary="Creates a DAO with the sender as its only member.",
        body=dao.Creation,
        check=dao.check_creation,
        apply=dao.create,
        rules=(
            ("format.name", "It is a name (`identity.md`)."),
            ("dao.name", "No DAO has it, or one that looks like it; names of dissolved DAOs stay taken."),
        ),
        effects="The DAO, whose id is its treasury's account id, and the founder's D-PAN: power 1 and every right.",
        events=("dao.created",),
    ),
    Kind(
        name="dao.delegate",
        summary="Lets another member vote for the sender, in the DAO's proposals that begin later.",
        body=dao_votes.Delegation,
        apply=dao_votes.delegate,
        rules=(
            *_MEMBER,
            ("governance.self", "It is another member."),
            ("governance.delegated", "It changes something."),
            ("governance.delegators", "The other votes for fewer than 64."),
        ),
        effects="An earlier delegation of the sender's in the DAO ends.",
        events=("dao.delegated",),
    ),
    Kind(
        name="dao.divide",
        summary="Divides what came to the treasury of a dissolved DAO. Anyone may send it.",
        body=dao_members.DaoName,
        apply=dao_treasury.divide,
        rules=(
            _DAO[0],
            ("dao.active", "It was dissolved."),
            ("dao.nothing", "Its treasury holds something."),
        ),
        effects="The balances of those who were members at the end, in proportion to their power.",
        events=("dao.divided",),
    ),
    Kind(
        name="dao.execute",
        summary="Lets the machine do what a DAO's passed proposal carries. Anyone may send it.",
        body=dao_votes.ProposalName,
        apply=dao_votes.execute,
        rules=(
            *_DAO,
            _KNOWN,
            ("governance.closed", "It was not executed, and at most 10,000 blocks have passed."),
            ("governance.early", "Its voting period is over."),
            ("governance.not_passed", "It has its quorum, and more yes than its threshold among yes and no."),
            ("dao.member", "Its proposer is still a member."),
            ("dao.right", "Its proposer may still propose."),
        ),
        effects="Those of its actions, in their order, all or none, with the DAO as their sender.",
        events=(
            *("dao.executed", "asset.transferred", "vesting.claimed", "dao.invited", "dao.expelled", "dao.rights_set"),
            *("dao.rules_set", "dao.dissolved", "dao.divided"),
        ),
    ),
    Kind(
        name="dao.invite",
        summary="Invites an account to a DAO.",
        body=dao_members.Invitation,
        apply=dao_members.invite,
        rules=(
            *_MEMBER,
            ("dao.right", "The sender may invite."),
            ("dao.admission", "The DAO's rules say that members invite."),
            ("dao.power", "The power is at most the sender's, and 1 where all are equal."),
            ("dao.is_member", "The other is no member."),
            ("dao.invitations", "Fewer than 32 invitations to others are open."),
        ),
        effects="The invitation, for 10,000 blocks, in place of an earlier one.",
        events=("dao.invited",),
    ),
    Kind(
        name="dao.leave",
        summary="Ends the sender's membership.",
        body=dao_members.DaoName,
        apply=dao_members.leave,
        rules=(*_MEMBER, ("dao.last_member", "Somebody is left.")),
        effects="The sender's D-PAN stays, with status `left` and without power and rights.",
        events=("dao.left",),
    ),
    Kind(
        name="dao.propose",
        summary="Proposes actions to the members of a DAO.",
        body=dao_votes.Proposal,
        apply=dao_votes.propose,
        rules=(
            *_MEMBER,
            ("dao.right", "The sender may propose."),
            ("governance.open", "Its last proposal in the DAO is executed, or too old to be executed."),
        ),
        effects="The proposal, with the DAO's next number; powers count as they were after the block before.",
        events=("dao.proposed",),
    ),
    Kind(
        name="dao.spend",
        summary="Pays out of a DAO's treasury within the sender's allowance.",
        body=dao_treasury.Spending,
        apply=dao_treasury.spend,
        rules=(
            *_MEMBER,
            ("asset.unknown", "The ledger has the asset."),
            ("asset.self", "The receiver is not the treasury."),
            ("dao.allowance", "The sender has an allowance of this asset, and as much of it is left in this window."),
            ("asset.balance", "The treasury has the amount."),
        ),
        effects="Both balances; what the sender has spent in this window.",
        events=("dao.spent",),
    ),
    Kind(
        name="dao.vote",
        summary="Votes on a proposal in a DAO.",
        body=dao_votes.Vote,
        apply=dao_votes.vote,
        rules=(
            *_MEMBER,
            _KNOWN,
            ("governance.closed", "It is open, and its voting period is not over."),
            ("governance.voted", "The sender has not voted on it."),
            ("governance.weight", "It, or a member who delegated to it before, was a member before the proposal."),
        ),
        effects="The votes; a delegate's earlier vote with the sender's power is taken back.",
        events=("dao.voted",),
    ),
)
