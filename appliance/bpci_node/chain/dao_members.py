"""``dao.invite``, ``dao.accept``, ``dao.leave``, and what admits, expels and empowers: nobody joins unasked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from bpci_node.chain.context import Context, Event
from bpci_node.chain.dao import (
    ACTIVE,
    ALLOWANCE,
    EQUAL,
    EXPELLED,
    INVITATION,
    LEFT,
    MAX_MEMBERS,
    MEMBER_RIGHTS,
    POWER,
    Allowance,
    DaoRecord,
    Dpan,
    load_dpan,
    members_of,
    require_active,
    require_member,
    store_member,
)
from bpci_node.chain.forms import ACCOUNT, Spec, optional
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.record import load_record, save_record

MAX_INVITATIONS = 32
"""Most invitations of one DAO that can be accepted at one time."""
INVITATION_BLOCKS = 10_000
"""How long an invitation can be accepted."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Body of ``dao.invite``."""

    dao: Annotated[str, Spec(ACCOUNT, "The DAO.")]
    account: Annotated[str, Spec(ACCOUNT, "Who may join.")]
    power: Annotated[int, Spec(POWER, "What its vote will weigh; 1 where all are equal.")]


@dataclass(frozen=True, slots=True)
class DaoName:
    """Body of ``dao.accept``, ``dao.leave`` and ``dao.divide``."""

    dao: Annotated[str, Spec(ACCOUNT, "The DAO.")]


@dataclass(frozen=True, slots=True)
class Admittance:
    """Body of the action ``dao.admit``."""

    account: Annotated[str, Spec(ACCOUNT, "Who may join.")]
    power: Annotated[int, Spec(POWER, "What its vote will weigh.")]


@dataclass(frozen=True, slots=True)
class Expulsion:
    """Body of the action ``dao.expel``."""

    account: Annotated[str, Spec(ACCOUNT, "A member.")]


@dataclass(frozen=True, slots=True)
class Empowerment:
    """Body of the action ``dao.set_rights``."""

    account: Annotated[str, Spec(ACCOUNT, "A member.")]
    power: Annotated[int, Spec(POWER, "What its vote weighs.")]
    rights: Annotated[dict[str, bool], Spec(MEMBER_RIGHTS, "What it may do.")]
    allowance: Annotated[Allowance | None, Spec(optional(ALLOWANCE), "What it may spend without a vote.")]


@dataclass(frozen=True, slots=True)
class _Open:
    """An invitation that was not accepted yet."""

    account: str
    by: str
    power: int
    last_height: int


def invite(state: Overlay, context: Context, body: Invitation) -> list[Event]:
    """Invite an account, with at most as much power as the sender has.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``; members are admitted by vote (``dao.admission``); or as
            :func:`admit`.
        AccessError: no member (``dao.member``), or without the right (``dao.right``).
    """
    record = require_active(state, body.dao)
    sender = require_member(state, body.dao, context.sender, "invite")
    if record.rules.admission != INVITATION:
        raise RefusedError(
            "this DAO admits members by vote", code="dao.admission", hint="Propose the action 'dao.admit'."
        )
    if body.power > sender.power:
        raise RefusedError("nobody invites with more power than its own", code="dao.power")
    return _open(state, context, record, _Open(body.account, context.sender, body.power, _last(context)))


def admit(state: Overlay, context: Context, body: Admittance) -> list[Event]:
    """Invite an account in the DAO's own name, which is the sender.

    Raises:
        RefusedError: a power other than 1 where all are equal (``dao.power``), a member already (``dao.is_member``), or
            too many invitations are open (``dao.invitations``).
    """
    record = require_active(state, context.sender)
    return _open(state, context, record, _Open(body.account, record.id, body.power, _last(context)))


def accept(state: Overlay, context: Context, body: DaoName) -> list[Event]:
    """Become a member by an invitation that still counts.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``; not invited, too late, or by a member who may not any more
            (``dao.not_invited``); or the DAO is full (``dao.members``).
    """
    record = require_active(state, body.dao)
    others = _invitations(state, body.dao, context.height)
    found = next((item for item in others if item.account == context.sender), None)
    if found is None or not _counts(state, record, found):
        raise RefusedError("there is no invitation that counts for this account", code="dao.not_invited")
    if len(members_of(state, body.dao)) >= MAX_MEMBERS:
        raise RefusedError(f"a DAO has at most {MAX_MEMBERS} members", code="dao.members")
    _store_invitations(state, body.dao, [item for item in others if item != found])
    rights = {"invite": False, "propose": True}
    height = context.height
    dpan = Dpan(body.dao, context.sender, found.power, rights, None, (0, 0), ACTIVE, height, height)
    store_member(state, height, dpan)
    fields: dict[str, str | int | bytes] = {"dao": body.dao, "account": context.sender, "by": found.by}
    return [Event("dao.joined", fields | {"power": found.power})]


def leave(state: Overlay, context: Context, body: DaoName) -> list[Event]:
    """Leave a DAO.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``, or nobody would be left (``dao.last_member``).
        AccessError: no member (``dao.member``).
    """
    record = require_active(state, body.dao)
    _end(state, context, require_member(state, record.id, context.sender), LEFT)
    return [Event("dao.left", {"dao": body.dao, "account": context.sender})]


def expel(state: Overlay, context: Context, body: Expulsion) -> list[Event]:
    """Expel a member of the DAO that is the sender.

    Raises:
        AccessError: no member (``dao.member``).
        RefusedError: ``dao.dissolved``, ``dao.last_member``.
    """
    record = require_active(state, context.sender)
    _end(state, context, require_member(state, record.id, body.account), EXPELLED)
    return [Event("dao.expelled", {"dao": record.id, "account": body.account})]


def set_rights(state: Overlay, context: Context, body: Empowerment) -> list[Event]:
    """State anew what a member of the DAO that is the sender may do.

    Raises:
        AccessError: no member (``dao.member``).
        RefusedError: ``dao.dissolved``, or a power other than 1 where all are equal (``dao.power``).
    """
    record = require_active(state, context.sender)
    member = require_member(state, record.id, body.account)
    _require_power(record, body.power)
    changed = replace(
        member, power=body.power, rights=body.rights, allowance=body.allowance, updated_height=context.height
    )
    store_member(state, context.height, changed)
    return [Event("dao.rights_set", {"dao": record.id, "account": body.account, "power": body.power})]


def invitation_of(state: View, dao_id: str, account: str, height: int) -> dict[str, str | int] | None:
    """Return by whom, with what power and until when an account is invited; ``None`` if it is not."""
    for item in _invitations(state, dao_id, height):
        if item.account == account:
            return {"by": item.by, "power": item.power, "last_height": item.last_height}
    return None


def _open(state: Overlay, context: Context, record: DaoRecord, new: _Open) -> list[Event]:
    _require_power(record, new.power)
    member = load_dpan(state, record.id, new.account)
    if member is not None and member.status == ACTIVE:
        raise RefusedError("this account is a member already", code="dao.is_member")
    others = [item for item in _invitations(state, record.id, context.height) if item.account != new.account]
    if len(others) >= MAX_INVITATIONS:
        raise RefusedError(f"a DAO has at most {MAX_INVITATIONS} open invitations", code="dao.invitations")
    _store_invitations(state, record.id, [*others, new])
    fields: dict[str, str | int | bytes] = {"dao": record.id, "account": new.account, "by": new.by}
    return [Event("dao.invited", fields | {"power": new.power, "last_height": new.last_height})]


def _counts(state: View, record: DaoRecord, item: _Open) -> bool:
    """Say whether who invited may still invite: the DAO itself always, a member with the right where members do."""
    if item.by == record.id:
        return True
    try:
        sender = require_member(state, record.id, item.by, "invite")
    except AccessError:
        return False
    return record.rules.admission == INVITATION and item.power <= sender.power


def _end(state: Overlay, context: Context, member: Dpan, status: str) -> None:
    if len(members_of(state, member.dao)) == 1:
        raise RefusedError(
            "somebody has to be left in a DAO", code="dao.last_member", hint="Dissolve it by the action 'dao.dissolve'."
        )
    rights = dict.fromkeys(member.rights, False)
    ended = replace(member, power=0, rights=rights, allowance=None, status=status, updated_height=context.height)
    store_member(state, context.height, ended)


def _require_power(record: DaoRecord, power: int) -> None:
    if record.power == EQUAL and power != 1:
        raise RefusedError("in this DAO every member's power is 1", code="dao.power")


def _last(context: Context) -> int:
    return context.height + INVITATION_BLOCKS


def _invitations(state: View, dao_id: str, height: int) -> list[_Open]:
    data = state.get(_entry(dao_id))
    found = [] if data is None else [_Open(*item) for item in load_record(data)["invitations"]]
    return [item for item in found if item.last_height >= height]


def _store_invitations(state: Overlay, dao_id: str, items: list[_Open]) -> None:
    stored = [[item.account, item.by, item.power, item.last_height] for item in items]
    state.put(_entry(dao_id), save_record({"v": 1, "invitations": stored}))


def _entry(dao_id: str) -> bytes:
    return f"dao-invitations/{dao_id}".encode("ascii")
