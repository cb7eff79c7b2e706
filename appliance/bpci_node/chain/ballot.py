"""Ballots: a proposal's periods, the votes on it, and whether it passed. The same for the network and for a DAO.

A vote weighs what its sender weighed after the block before the proposal, and what those weighed who delegated to it
before that; who delegated may vote all the same, and takes its weight back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.action import Actions
from bpci_node.chain.context import Context
from bpci_node.chain.delegation import delegators_of
from bpci_node.chain.roll import Roll
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.record import load_record, save_record

EXECUTION_BLOCKS = 10_000
"""How long a passed proposal may be executed."""

OPEN, EXECUTED, VETOED = "open", "executed", "vetoed"
YES, NO, ABSTAIN = "yes", "no", "abstain"


@dataclass(frozen=True, slots=True)
class Terms:
    """The periods and rates of a ballot, fixed when it begins."""

    voting_blocks: int
    """How long it is voted on, blocks."""
    veto_blocks: int
    """How long it may be stopped after the vote, blocks."""
    quorum_bps: int
    """Least share of all weight that votes, basis points."""
    threshold_bps: int
    """Share of yes among yes and no that it exceeds, basis points."""


def begin(
    state: Overlay, context: Context, roll: Roll, terms: Terms, *, reasons: bytes, actions: Actions, total: int
) -> tuple[int, dict[str, Any]]:
    """Write a proposal of the sender's and return its number and record.

    Args:
        total: weight of all who may vote, after the block before.
    Raises:
        RefusedError: the sender's last proposal can still be voted on or executed (``governance.open``).
    """
    former = state.get(roll.entry("proposer", context.sender))
    if former is not None:
        earlier = find_proposal(state, roll, load_record(former)["proposal"])
        if earlier["status"] == OPEN and context.height <= earlier["last_height"]:
            raise RefusedError("this account has an open proposal", code="governance.open")
    counted = state.get(roll.entry("proposal-count"))
    number = 1 if counted is None else load_record(counted)["count"] + 1
    vote_until = context.height + terms.voting_blocks
    veto_until = vote_until + terms.veto_blocks
    record = {
        "v": 1,
        "proposer": context.sender,
        "reasons": reasons,
        "actions": [{"kind": kind, "body": action} for kind, action in actions],
        "start_height": context.height - 1,
        "vote_until": vote_until,
        "veto_until": veto_until,
        "last_height": veto_until + EXECUTION_BLOCKS,
        "quorum_bps": terms.quorum_bps,
        "threshold_bps": terms.threshold_bps,
        "total": total,
        "votes": {YES: 0, NO: 0, ABSTAIN: 0},
        "status": OPEN,
    }
    _store(state, roll, number, record)
    state.put(roll.entry("proposal-count"), save_record({"v": 1, "count": number}))
    state.put(roll.entry("proposer", context.sender), save_record({"v": 1, "proposal": number}))
    return number, record


def cast(state: Overlay, context: Context, roll: Roll, number: int, choice: str) -> int:
    """Write the sender's vote, with the weight of those who delegated to it, and return what it weighs.

    Raises:
        RefusedError: ``governance.unknown``, ``governance.closed``, ``governance.voted``.
        AccessError: nothing to vote with (``governance.weight``).
    """
    record = find_proposal(state, roll, number)
    if record["status"] != OPEN or context.height > record["vote_until"]:
        raise RefusedError("the vote on this proposal is over", code="governance.closed")
    votes, start = dict(record["votes"]), record["start_height"]
    own = _load_vote(state, roll, number, context.sender)
    if own is not None:
        if own["by"] == context.sender:
            raise RefusedError("this account has voted on it", code="governance.voted")
        votes[own["choice"]] -= own["weight"]
    weight_cast = 0
    for account in (context.sender, *delegators_of(state, roll, context.sender, start)):
        if account != context.sender and _load_vote(state, roll, number, account) is not None:
            continue
        weight = roll.weight_at(state, account, start)
        if weight:
            entry = {"v": 1, "choice": choice, "weight": weight, "by": context.sender}
            state.put(_vote_entry(roll, number, account), save_record(entry))
            weight_cast += weight
    if weight_cast == 0:
        raise AccessError("this account had no vote when the proposal began", code="governance.weight")
    votes[choice] += weight_cast
    _store(state, roll, number, record | {"votes": votes})
    return weight_cast


def require_passed(state: View, context: Context, roll: Roll, number: int) -> dict[str, Any]:
    """Return a proposal that passed and may be executed now.

    Raises:
        RefusedError: ``governance.unknown``, ``governance.closed``, ``governance.early``, ``governance.not_passed``.
    """
    record = find_proposal(state, roll, number)
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
    return record


def close(state: Overlay, roll: Roll, number: int, status: str) -> None:
    """Write that a proposal was executed or vetoed."""
    _store(state, roll, number, find_proposal(state, roll, number) | {"status": status})


def has_passed(record: Mapping[str, Any]) -> bool:
    """Say whether a proposal has its quorum and its majority, as its votes stand."""
    votes = record["votes"]
    turnout, decided = sum(votes.values()), votes[YES] + votes[NO]
    is_quorate: bool = turnout > 0 and turnout * 10_000 >= record["quorum_bps"] * record["total"]
    is_won: bool = votes[YES] * 10_000 > record["threshold_bps"] * decided
    return is_quorate and is_won


def find_proposal(state: View, roll: Roll, number: int) -> dict[str, Any]:
    """Return a proposal as it is stored.

    Raises:
        RefusedError: there is none of this number (``governance.unknown``).
    """
    data = state.get(_entry(roll, number))
    if data is None:
        raise RefusedError("there is no such proposal", code="governance.unknown")
    found: dict[str, Any] = load_record(data)
    return found


def _load_vote(state: View, roll: Roll, number: int, account: str) -> dict[str, Any] | None:
    data = state.get(_vote_entry(roll, number, account))
    return None if data is None else load_record(data)


def _store(state: Overlay, roll: Roll, number: int, record: dict[str, Any]) -> None:
    state.put(_entry(roll, number), save_record(record))


def _entry(roll: Roll, number: int) -> bytes:
    return roll.entry("proposal", f"{number:010d}")


def _vote_entry(roll: Roll, number: int, account: str) -> bytes:
    return roll.entry("vote", f"{number:010d}/{account}")
