"""``dao.propose``, ``dao.vote``, ``dao.execute``, ``dao.delegate``: a DAO decides, by the network's rules of ballots.

What a proposal carries is done with the DAO as the sender, and with nobody's approval: no vote of a DAO stands in the
place of the guardians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated

from bpci_node.chain import ballot, dao_members, dao_treasury, transfer, vesting
from bpci_node.chain.action import Action, Actions, actions_form, run_actions
from bpci_node.chain.ballot import ABSTAIN, EXECUTED, NO, YES, Terms
from bpci_node.chain.context import Context, Event
from bpci_node.chain.dao import require_active, require_member, roll_of, total_power
from bpci_node.chain.delegation import change_delegate
from bpci_node.chain.forms import ACCOUNT, DIGEST, Empty, Spec, choice, integer, optional
from bpci_node.chain.state import Overlay

_ACTIONS = (
    Action("asset.transfer", transfer.Transfer, transfer.transfer),
    Action("dao.admit", dao_members.Admittance, dao_members.admit),
    Action("dao.dissolve", Empty, dao_treasury.dissolve),
    Action("dao.expel", dao_members.Expulsion, dao_members.expel),
    Action("dao.set_rights", dao_members.Empowerment, dao_members.set_rights),
    Action("dao.set_rules", dao_treasury.RulesChange, dao_treasury.set_rules),
    Action("vesting.claim", vesting.Claim, vesting.claim),
)
ACTIONS: Mapping[str, Action] = MappingProxyType({action.name: action for action in _ACTIONS})
"""Every kind of action that a DAO's proposals carry, by name."""

_NUMBER = integer(1)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Body of ``dao.propose``."""

    dao: Annotated[str, Spec(ACCOUNT, "The DAO.")]
    reasons: Annotated[bytes, Spec(DIGEST, "Digest of the text that says why.")]
    actions: Annotated[Actions, Spec(actions_form(ACTIONS), "What is done, in this order, by the DAO.")]


@dataclass(frozen=True, slots=True)
class Vote:
    """Body of ``dao.vote``."""

    dao: Annotated[str, Spec(ACCOUNT, "The DAO.")]
    proposal: Annotated[int, Spec(_NUMBER, "Its number in the DAO.")]
    choice: Annotated[str, Spec(choice(YES, NO, ABSTAIN), "An abstention counts for the quorum alone.")]


@dataclass(frozen=True, slots=True)
class ProposalName:
    """Body of ``dao.execute``."""

    dao: Annotated[str, Spec(ACCOUNT, "The DAO.")]
    proposal: Annotated[int, Spec(_NUMBER, "Its number in the DAO.")]


@dataclass(frozen=True, slots=True)
class Delegation:
    """Body of ``dao.delegate``."""

    dao: Annotated[str, Spec(ACCOUNT, "The DAO.")]
    to: Annotated[str | None, Spec(optional(ACCOUNT), "The member who votes for the sender; null ends it.")]


def propose(state: Overlay, context: Context, body: Proposal) -> list[Event]:
    """Begin a proposal in a DAO, by its rules of now.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``, or the sender's last proposal is open (``governance.open``).
        AccessError: no member (``dao.member``), or without the right (``dao.right``).
    """
    rules = require_active(state, body.dao).rules
    require_member(state, body.dao, context.sender, "propose")
    terms = Terms(rules.voting_blocks, 0, rules.quorum_bps, rules.threshold_bps)
    total = total_power(state, body.dao, context.height - 1)
    number, record = ballot.begin(
        state, context, roll_of(body.dao), terms, reasons=body.reasons, actions=body.actions, total=total
    )
    fields: dict[str, str | int | bytes] = {"dao": body.dao, "proposal": number, "proposer": context.sender}
    return [Event("dao.proposed", fields | {"vote_until": record["vote_until"]})]


def vote(state: Overlay, context: Context, body: Vote) -> list[Event]:
    """Vote in a DAO, with one's power at the proposal's start and that of members who delegated before it.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``, ``governance.unknown``, ``governance.closed``,
            ``governance.voted``.
        AccessError: no member (``dao.member``), or no vote at the proposal's start (``governance.weight``).
    """
    require_active(state, body.dao)
    require_member(state, body.dao, context.sender)
    weight = ballot.cast(state, context, roll_of(body.dao), body.proposal, body.choice)
    fields: dict[str, str | int | bytes] = {"dao": body.dao, "proposal": body.proposal, "voter": context.sender}
    return [Event("dao.voted", fields | {"choice": body.choice, "weight": weight})]


def execute(state: Overlay, context: Context, body: ProposalName) -> list[Event]:
    """Do what a DAO's passed proposal carries, all of it or nothing. Anyone may ask for it.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``, ``governance.unknown``, ``governance.closed``,
            ``governance.early``, ``governance.not_passed``, or what an action raises.
        AccessError: the proposer is no member any more (``dao.member``), or has lost the right (``dao.right``).
    """
    require_active(state, body.dao)
    roll = roll_of(body.dao)
    record = ballot.require_passed(state, context, roll, body.proposal)
    require_member(state, body.dao, record["proposer"], "propose")
    ballot.close(state, roll, body.proposal, EXECUTED)
    decided = replace(context, sender=body.dao, approvers=frozenset(), is_voted=False)
    events = [Event("dao.executed", {"dao": body.dao, "proposal": body.proposal, "by": context.sender})]
    return events + run_actions(state, decided, record["actions"], ACTIONS)


def delegate(state: Overlay, context: Context, body: Delegation) -> list[Event]:
    """Let another member vote for the sender in a DAO, or no longer.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``, ``governance.self``, ``governance.delegated``,
            ``governance.delegators``.
        AccessError: the sender or the other is no member (``dao.member``).
    """
    require_active(state, body.dao)
    require_member(state, body.dao, context.sender)
    if body.to is not None:
        require_member(state, body.dao, body.to)
    change_delegate(state, context, roll_of(body.dao), body.to)
    return [Event("dao.delegated", {"dao": body.dao, "account": context.sender, "to": body.to or ""})]
