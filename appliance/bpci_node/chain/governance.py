"""``governance.*``: proposals that carry commands, votes weighed as of the proposal's start, execution by the machine.

A proposal passes through voting and a veto period; then anyone may have it executed, whole or not at all. What it
carries runs through the same handlers as under the guardians' quorum, with the vote in the quorum's place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain import ballot
from bpci_node.chain.action import Actions, actions_form, run_actions
from bpci_node.chain.ballot import ABSTAIN, EXECUTED, NO, OPEN, VETOED, YES, Terms, has_passed
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import DIGEST, Spec, choice, integer
from bpci_node.chain.governed import ACTIONS
from bpci_node.chain.guardians import load_parameter, require_quorum
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.weight import NETWORK, load_total, weight_at
from bpci_node.errors import AccessError, RefusedError

__all__ = [
    "Proposal",
    "ProposalName",
    "Vote",
    "execute",
    "find_proposal",
    "has_passed",
    "propose",
    "veto",
    "vote",
]

PROPOSER_BPS = 100
"""Least share of all weight that a proposer has, basis points."""

_NUMBER = integer(1)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Body of ``governance.propose``."""

    reasons: Annotated[bytes, Spec(DIGEST, "Digest of the text that says why.")]
    actions: Annotated[Actions, Spec(actions_form(ACTIONS), "What is done, in this order.")]


@dataclass(frozen=True, slots=True)
class Vote:
    """Body of ``governance.vote``."""

    proposal: Annotated[int, Spec(_NUMBER, "Its number.")]
    choice: Annotated[str, Spec(choice(YES, NO, ABSTAIN), "An abstention counts for the quorum alone.")]


@dataclass(frozen=True, slots=True)
class ProposalName:
    """Body of ``governance.execute`` and ``governance.veto``."""

    proposal: Annotated[int, Spec(_NUMBER, "Its number.")]


def propose(state: Overlay, context: Context, body: Proposal) -> list[Event]:
    """Begin a proposal; its periods and rates are those in force now.

    Raises:
        AccessError: the sender has too little weight (``governance.weight``).
        RefusedError: its last proposal can still be voted on or executed (``governance.open``).
    """
    total = load_total(state)
    _require_weight(state, context.sender, total, context.height - 1)
    terms = Terms(
        voting_blocks=load_parameter(state, "governance_voting_blocks"),
        veto_blocks=load_parameter(state, "governance_veto_blocks"),
        quorum_bps=load_parameter(state, "governance_quorum_bps"),
        threshold_bps=load_parameter(state, "governance_threshold_bps"),
    )
    number, record = ballot.begin(
        state, context, NETWORK, terms, reasons=body.reasons, actions=body.actions, total=total
    )
    fields = {"proposal": number, "proposer": context.sender, "vote_until": record["vote_until"]}
    return [Event("governance.proposed", fields)]


def vote(state: Overlay, context: Context, body: Vote) -> list[Event]:
    """Vote with one's weight at the proposal's start, and with that of those who delegated theirs before it.

    Who delegated may vote all the same: that takes its weight back from its delegate's choice.

    Raises:
        RefusedError: ``governance.unknown``, ``governance.closed``, ``governance.voted``.
        AccessError: nothing to vote with (``governance.weight``).
    """
    weight = ballot.cast(state, context, NETWORK, body.proposal, body.choice)
    fields: dict[str, str | int | bytes] = {"proposal": body.proposal, "voter": context.sender, "choice": body.choice}
    return [Event("governance.voted", fields | {"weight": weight})]


def veto(state: Overlay, context: Context, body: ProposalName) -> list[Event]:
    """Stop a proposal before its veto period is over.

    Raises:
        AccessError: without the guardians' quorum (``access.quorum``).
        RefusedError: ``governance.unknown``, ``governance.closed``.
    """
    record = find_proposal(state, body.proposal)
    require_quorum(state, context)
    if record["status"] != OPEN or context.height > record["veto_until"]:
        raise RefusedError("it is too late to stop this proposal", code="governance.closed")
    ballot.close(state, NETWORK, body.proposal, VETOED)
    return [Event("governance.vetoed", {"proposal": body.proposal, "by": context.sender})]


def execute(state: Overlay, context: Context, body: ProposalName) -> list[Event]:
    """Do what a passed proposal carries, all of it or nothing.

    Raises:
        RefusedError: ``governance.unknown``, ``governance.closed``, ``governance.early``, ``governance.not_passed``,
            or what an action raises.
        AccessError: the proposer has lost its weight (``governance.weight``).
    """
    record = ballot.require_passed(state, context, NETWORK, body.proposal)
    _require_weight(state, record["proposer"], record["total"], context.height - 1)
    ballot.close(state, NETWORK, body.proposal, EXECUTED)
    voted = replace(context, sender=record["proposer"], approvers=frozenset(), is_voted=True)
    events = [Event("governance.executed", {"proposal": body.proposal, "by": context.sender})]
    return events + run_actions(state, voted, record["actions"], ACTIONS)


def find_proposal(state: View, number: int) -> dict[str, Any]:
    """Return a proposal as it is stored.

    Raises:
        RefusedError: there is none of this number (``governance.unknown``).
    """
    return ballot.find_proposal(state, NETWORK, number)


def _require_weight(state: View, account: str, total: int, height: int) -> None:
    weight = weight_at(state, account, height)
    if weight == 0 or weight * 10_000 < PROPOSER_BPS * total:
        raise AccessError("a proposer has at least one percent of all that is bonded", code="governance.weight")
