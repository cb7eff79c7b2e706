"""``governance.*``: proposals that carry commands, votes weighed as of the proposal's start, execution by the machine.

A proposal passes through voting and a veto period; then anyone may have it executed, whole or not at all. What it
carries runs through the same handlers as under the guardians' quorum, with the vote in the quorum's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.delegation import delegators_of
from bpci_node.chain.forms import DIGEST, Form, Spec, choice, integer
from bpci_node.chain.governed import ACTIONS
from bpci_node.chain.guardians import load_parameter, require_quorum
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.weight import load_total, weight_at
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.record import load_record, save_record

MAX_ACTIONS = 8
PROPOSER_BPS = 100
"""Least share of all weight that a proposer has, basis points."""
EXECUTION_BLOCKS = 10_000
"""How long a passed proposal may be executed."""

OPEN, EXECUTED, VETOED = "open", "executed", "vetoed"
YES, NO, ABSTAIN = "yes", "no", "abstain"


def _read_actions(fields: Fields, name: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    found = []
    for item in fields.items(name, MAX_ACTIONS):
        inner = Fields(item, ("kind", "body"), what="an action", code="format.body")
        action, body = ACTIONS.get(str(inner.raw("kind"))), inner.raw("body")
        if action is None:
            raise inner.wrong("is not of a kind that proposals carry")
        action.read(body)
        found.append((action.name, body))
    if not found:
        raise fields.wrong(f"needs an action in {name!r}")
    return tuple(found)


_ACTIONS = Form(
    f"list of 1 to {MAX_ACTIONS} maps `{{kind: text, body: map}}`; kinds: {', '.join(f'`{name}`' for name in ACTIONS)}",
    _read_actions,
    lambda value: [{"kind": kind, "body": body} for kind, body in value],
)
_NUMBER = integer(1)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Body of ``governance.propose``."""

    reasons: Annotated[bytes, Spec(DIGEST, "Digest of the text that says why.")]
    actions: Annotated[tuple[tuple[str, dict[str, Any]], ...], Spec(_ACTIONS, "What is done, in this order.")]


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
    start, total = context.height - 1, load_total(state)
    _require_weight(state, context.sender, total, start)
    former = state.get(_proposer_entry(context.sender))
    if former is not None:
        record = find_proposal(state, load_record(former)["proposal"])
        if record["status"] == OPEN and context.height <= record["last_height"]:
            raise RefusedError("this account has an open proposal", code="governance.open")
    counted = state.get(b"proposal-count")
    number = 1 if counted is None else load_record(counted)["count"] + 1
    vote_until = context.height + load_parameter(state, "governance_voting_blocks")
    veto_until = vote_until + load_parameter(state, "governance_veto_blocks")
    record = {
        "v": 1,
        "proposer": context.sender,
        "reasons": body.reasons,
        "actions": [{"kind": kind, "body": action} for kind, action in body.actions],
        "start_height": start,
        "vote_until": vote_until,
        "veto_until": veto_until,
        "last_height": veto_until + EXECUTION_BLOCKS,
        "quorum_bps": load_parameter(state, "governance_quorum_bps"),
        "threshold_bps": load_parameter(state, "governance_threshold_bps"),
        "total": total,
        "votes": {YES: 0, NO: 0, ABSTAIN: 0},
        "status": OPEN,
    }
    _store(state, number, record)
    state.put(b"proposal-count", save_record({"v": 1, "count": number}))
    state.put(_proposer_entry(context.sender), save_record({"v": 1, "proposal": number}))
    return [Event("governance.proposed", {"proposal": number, "proposer": context.sender, "vote_until": vote_until})]


def vote(state: Overlay, context: Context, body: Vote) -> list[Event]:
    """Vote with one's weight at the proposal's start, and with that of those who delegated theirs before it.

    Who delegated may vote all the same: that takes its weight back from its delegate's choice.

    Raises:
        RefusedError: ``governance.unknown``, ``governance.closed``, ``governance.voted``.
        AccessError: nothing to vote with (``governance.weight``).
    """
    record = find_proposal(state, body.proposal)
    if record["status"] != OPEN or context.height > record["vote_until"]:
        raise RefusedError("the vote on this proposal is over", code="governance.closed")
    votes, start, own = dict(record["votes"]), record["start_height"], _load_vote(state, body.proposal, context.sender)
    if own is not None:
        if own["by"] == context.sender:
            raise RefusedError("this account has voted on it", code="governance.voted")
        votes[own["choice"]] -= own["weight"]
    cast = 0
    for account in (context.sender, *delegators_of(state, context.sender, start)):
        if account != context.sender and _load_vote(state, body.proposal, account) is not None:
            continue
        weight = weight_at(state, account, start)
        if weight:
            entry = {"v": 1, "choice": body.choice, "weight": weight, "by": context.sender}
            state.put(_vote_entry(body.proposal, account), save_record(entry))
            cast += weight
    if cast == 0:
        raise AccessError("this account had nothing bonded when the proposal began", code="governance.weight")
    votes[body.choice] += cast
    _store(state, body.proposal, record | {"votes": votes})
    fields: dict[str, str | int | bytes] = {"proposal": body.proposal, "voter": context.sender, "choice": body.choice}
    return [Event("governance.voted", fields | {"weight": cast})]


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
    _store(state, body.proposal, record | {"status": VETOED})
    return [Event("governance.vetoed", {"proposal": body.proposal, "by": context.sender})]


def execute(state: Overlay, context: Context, body: ProposalName) -> list[Event]:
    """Do what a passed proposal carries, all of it or nothing.

    Raises:
        RefusedError: ``governance.unknown``, ``governance.closed``, ``governance.early``, ``governance.not_passed``,
            or what an action raises.
        AccessError: the proposer has lost its weight (``governance.weight``).
    """
    record = find_proposal(state, body.proposal)
    if record["status"] != OPEN or context.height > record["last_height"]:
        raise RefusedError("this proposal is closed", code="governance.closed")
    if context.height <= record["veto_until"]:
        raise RefusedError(
            f"it can be executed after height {record['veto_until']}",
            code="governance.early",
            height=record["veto_until"],
        )
    if not has_passed(record):
        raise RefusedError("this proposal did not pass", code="governance.not_passed")
    _require_weight(state, record["proposer"], record["total"], context.height - 1)
    _store(state, body.proposal, record | {"status": EXECUTED})
    events = [Event("governance.executed", {"proposal": body.proposal, "by": context.sender})]
    for action in record["actions"]:
        kind = ACTIONS[action["kind"]]
        voted = replace(context, sender=record["proposer"], approvers=frozenset(), is_voted=True)
        events += kind.apply(state, voted, kind.read(action["body"]))
    return events


def has_passed(record: Mapping[str, Any]) -> bool:
    """Say whether a proposal has its quorum and its majority, as its votes stand."""
    votes = record["votes"]
    turnout, decided = sum(votes.values()), votes[YES] + votes[NO]
    is_quorate: bool = turnout > 0 and turnout * 10_000 >= record["quorum_bps"] * record["total"]
    is_won: bool = votes[YES] * 10_000 > record["threshold_bps"] * decided
    return is_quorate and is_won


def find_proposal(state: View, number: int) -> dict[str, Any]:
    """Return a proposal as it is stored.

    Raises:
        RefusedError: there is none of this number (``governance.unknown``).
    """
    data = state.get(_entry(number))
    if data is None:
        raise RefusedError("there is no such proposal", code="governance.unknown")
    found: dict[str, Any] = load_record(data)
    return found


def _require_weight(state: View, account: str, total: int, height: int) -> None:
    weight = weight_at(state, account, height)
    if weight == 0 or weight * 10_000 < PROPOSER_BPS * total:
        raise AccessError("a proposer has at least one percent of all that is bonded", code="governance.weight")


def _load_vote(state: View, number: int, account: str) -> dict[str, Any] | None:
    data = state.get(_vote_entry(number, account))
    return None if data is None else load_record(data)


def _store(state: Overlay, number: int, record: dict[str, Any]) -> None:
    state.put(_entry(number), save_record(record))


def _entry(number: int) -> bytes:
    return f"proposal/{number:010d}".encode("ascii")


def _vote_entry(number: int, account: str) -> bytes:
    return f"vote/{number:010d}/{account}".encode("ascii")


def _proposer_entry(account: str) -> bytes:
    return f"proposer/{account}".encode("ascii")
