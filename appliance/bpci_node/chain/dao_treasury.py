"""What a DAO holds: spent by members within their allowances, and divided among them once it is dissolved.

Everything else that leaves a treasury leaves by a vote: the action ``asset.transfer`` with the DAO as its sender.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from bpci_node.chain.assets import balance, credit, debit, find_asset
from bpci_node.chain.context import Context, Event
from bpci_node.chain.dao import (
    DISSOLVED,
    RULES,
    DaoRecord,
    Rules,
    find_dao,
    load_dpan,
    members_of,
    require_active,
    require_member,
    store_dao,
    store_member,
)
from bpci_node.chain.dao_members import DaoName
from bpci_node.chain.forms import ACCOUNT, AMOUNT, ASSET, DIGEST, Empty, Spec
from bpci_node.chain.state import Overlay
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.amounts import apportion


@dataclass(frozen=True, slots=True)
class Spending:
    """Body of ``dao.spend``."""

    dao: Annotated[str, Spec(ACCOUNT, "The DAO whose treasury pays.")]
    asset: Annotated[str, Spec(ASSET, "What it pays in.")]
    to: Annotated[str, Spec(ACCOUNT, "Who receives it.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit.")]
    reason: Annotated[bytes, Spec(DIGEST, "Digest of what it is for.")]


@dataclass(frozen=True, slots=True)
class RulesChange:
    """Body of the action ``dao.set_rules``."""

    rules: Annotated[Rules, Spec(RULES, "By what it decides from now on, in proposals that begin later.")]


def spend(state: Overlay, context: Context, body: Spending) -> list[Event]:
    """Pay out of a treasury within the sender's allowance.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``, ``asset.unknown``, ``asset.balance``, or to the treasury
            itself (``asset.self``).
        AccessError: no member (``dao.member``), or not within its allowance (``dao.allowance``).
    """
    require_active(state, body.dao)
    member = require_member(state, body.dao, context.sender)
    find_asset(state, body.asset)
    if body.to == body.dao:
        raise RefusedError("an account can't pay itself", code="asset.self")
    allowed = member.allowance
    if allowed is None or allowed.asset != body.asset:
        raise AccessError(
            "this member may spend nothing of that without a vote",
            code="dao.allowance",
            hint="Propose the action 'asset.transfer'.",
        )
    window = context.height // allowed.blocks
    spent = member.spent[1] if member.spent[0] == window else 0
    if spent + body.amount > allowed.amount:
        raise AccessError(
            f"this member may spend {allowed.amount - spent} more up to height {(window + 1) * allowed.blocks - 1}",
            code="dao.allowance",
            hint="Wait, or propose the action 'asset.transfer'.",
            left=str(max(allowed.amount - spent, 0)),
        )
    debit(state, body.dao, body.asset, body.amount)
    credit(state, body.to, body.asset, body.amount)
    changed = replace(member, spent=(window, spent + body.amount), updated_height=context.height)
    store_member(state, context.height, changed)
    fields: dict[str, str | int | bytes] = {"dao": body.dao, "by": context.sender, "asset": body.asset, "to": body.to}
    return [Event("dao.spent", fields | {"amount": body.amount, "reason": body.reason})]


def divide(state: Overlay, context: Context, body: DaoName) -> list[Event]:
    """Divide what came to a treasury after its DAO was dissolved. Anyone may ask for it.

    Raises:
        RefusedError: ``dao.unknown``; not dissolved (``dao.active``); or there is nothing (``dao.nothing``).
    """
    record = find_dao(state, body.dao)
    if record.status != DISSOLVED:
        raise RefusedError("this DAO was not dissolved", code="dao.active")
    events = _divide(state, context, record)
    if not events:
        raise RefusedError("the treasury is empty", code="dao.nothing")
    return events


def dissolve(state: Overlay, context: Context, _body: Empty) -> list[Event]:
    """Dissolve the DAO that is the sender, and divide its treasury among its members by their power.

    Raises:
        RefusedError: ``dao.dissolved``.
    """
    record = require_active(state, context.sender)
    store_dao(state, replace(record, status=DISSOLVED))
    return [Event("dao.dissolved", {"dao": record.id}), *_divide(state, context, record)]


def set_rules(state: Overlay, context: Context, body: RulesChange) -> list[Event]:
    """Change the rules of the DAO that is the sender.

    Raises:
        RefusedError: ``dao.dissolved``.
    """
    record = require_active(state, context.sender)
    store_dao(state, replace(record, rules=body.rules))
    return [Event("dao.rules_set", {"dao": record.id, **body.rules.as_map()})]


def _divide(state: Overlay, context: Context, record: DaoRecord) -> list[Event]:
    """Pay everything that a treasury holds to the members, in proportion to their power."""
    members = [load_dpan(state, record.id, account) for account in members_of(state, record.id)]
    powers = {member.account: member.power for member in members if member is not None}
    parameters, events = context.genesis.parameters, list[Event]()
    for asset in () if parameters is None else parameters.assets:
        held = balance(state, record.id, asset.id)
        if held:
            debit(state, record.id, asset.id, held)
            for account, part in apportion(held, powers).items():
                credit(state, account, asset.id, part)
            events.append(Event("dao.divided", {"dao": record.id, "asset": asset.id, "amount": held}))
    return events
