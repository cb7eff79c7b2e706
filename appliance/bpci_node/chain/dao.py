"""DAOs: what one is, who is in it, and what each member may do in it, which is the member's D-PAN.

A DAO's id is an account id that no key can have: it is made from ledger and name under a context of its own. What that
account holds is the DAO's treasury. Nothing here decides who becomes a member: :mod:`bpci_node.chain.dao_members`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT_FORM, AMOUNT, ASSET, DIGEST, Form, Spec, choice, flags, integer
from bpci_node.chain.label import LABEL, check_label, skeleton
from bpci_node.chain.past import newest, note, value_at
from bpci_node.chain.roll import Roll
from bpci_node.chain.state import Overlay, State, View
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.codec import encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.record import load_record, save_record

DAO_CONTEXT = "bpci 2026 dao v1"

TYPES = ("community", "cooperative", "development", "enterprise", "investment")
EQUAL, WEIGHTED = "equal", "weighted"
INVITATION, VOTE = "invitation", "vote"
ACTIVE, DISSOLVED, LEFT, EXPELLED = "active", "dissolved", "left", "expelled"
RIGHTS = ("invite", "propose")

MAX_MEMBERS = 100
MAX_POWER = 10_000
"""Greatest power of one member."""


@dataclass(frozen=True, slots=True)
class Rules:
    """By what a DAO decides; a vote changes them."""

    admission: str
    """``invitation``: who has the right invites; ``vote``: members are admitted by proposals alone."""
    quorum_bps: int
    """Least share of all power that votes, basis points."""
    threshold_bps: int
    """Share of yes among yes and no that a proposal exceeds, basis points."""
    voting_blocks: int
    """How long a proposal is voted on, blocks."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored."""
        return {
            "admission": self.admission,
            "quorum_bps": self.quorum_bps,
            "threshold_bps": self.threshold_bps,
            "voting_blocks": self.voting_blocks,
        }


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a member may spend of the treasury without a vote."""

    asset: str
    """Of which asset."""
    amount: int
    """How much in one window, smallest unit."""
    blocks: int
    """Length of a window; windows begin at heights that are multiples of it."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored."""
        return {"asset": self.asset, "amount": self.amount, "blocks": self.blocks}


_ADMISSION, _QUORUM, _THRESHOLD = choice(INVITATION, VOTE), integer(1, 10_000), integer(5000, 9999)
_BLOCKS, _WINDOW = integer(2, 10**7), integer(1, 10**7)


def _read_rules(fields: Fields, name: str) -> Rules:
    names = ("admission", "quorum_bps", "threshold_bps", "voting_blocks")
    inner = Fields(fields.raw(name), names, what="the rules of a DAO", code="format.body")
    return Rules(
        _ADMISSION.read(inner, "admission"),
        _QUORUM.read(inner, "quorum_bps"),
        _THRESHOLD.read(inner, "threshold_bps"),
        _BLOCKS.read(inner, "voting_blocks"),
    )


def _read_allowance(fields: Fields, name: str) -> Allowance:
    inner = Fields(fields.raw(name), ("asset", "amount", "blocks"), what="an allowance", code="format.body")
    return Allowance(ASSET.read(inner, "asset"), AMOUNT.read(inner, "amount"), _WINDOW.read(inner, "blocks"))


RULES = Form(
    f"{{admission: {_ADMISSION.described}, quorum_bps: {_QUORUM.described}, threshold_bps: {_THRESHOLD.described}, "
    f"voting_blocks: {_BLOCKS.described}}}",
    _read_rules,
    Rules.as_map,
)
ALLOWANCE = Form(
    f"{{asset: {ASSET.described}, amount: {AMOUNT.described}, blocks: {_WINDOW.described}}}",
    _read_allowance,
    Allowance.as_map,
)
POWER = integer(1, MAX_POWER)
MEMBER_RIGHTS = flags(RIGHTS)


@dataclass(frozen=True, slots=True)
class Creation:
    """Body of ``dao.create``."""

    type: Annotated[str, Spec(choice(*TYPES), "What kind of community it is.")]
    name: Annotated[str, Spec(LABEL, "Its name (`identity.md`).")]
    charter: Annotated[bytes, Spec(DIGEST, "Digest of the text that says what it is for.")]
    power: Annotated[str, Spec(choice(EQUAL, WEIGHTED), "Whether every member's power is 1; never changes.")]
    rules: Annotated[Rules, Spec(RULES, "By what it decides.")]


@dataclass(frozen=True, slots=True)
class DaoRecord:
    """A DAO as the state holds it."""

    id: str
    """Its id, which is its treasury's account id."""
    type: str
    """One of :data:`TYPES`."""
    name: str
    """Its name."""
    charter: bytes
    """Digest of its charter, 32 bytes."""
    power: str
    """``equal`` or ``weighted``."""
    founder: str
    """The account that created it."""
    rules: Rules
    """By what it decides."""
    status: str
    """``active`` or ``dissolved``."""
    created_height: int
    """Height of the block that created it."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "id": self.id,
            "type": self.type,
            "name": self.name,
            "charter": self.charter,
            "power": self.power,
            "founder": self.founder,
            "rules": self.rules.as_map(),
            "status": self.status,
            "created_height": self.created_height,
        }


@dataclass(frozen=True, slots=True)
class Dpan:
    """One account's membership of one DAO. Its history is in the events of both."""

    dao: str
    """The DAO's id."""
    account: str
    """The member."""
    power: int
    """What its vote weighs, 0 once it is no member."""
    rights: dict[str, bool]
    """Whether it may invite and propose."""
    allowance: Allowance | None
    """What it may spend without a vote."""
    spent: tuple[int, int]
    """Number of the window it last spent in, and how much in it."""
    status: str
    """``active``, ``left`` or ``expelled``."""
    joined_height: int
    """Height of the block in which it became a member last."""
    updated_height: int
    """Height of the block that changed it last."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "dao": self.dao,
            "account": self.account,
            "power": self.power,
            "rights": self.rights,
            "allowance": None if self.allowance is None else self.allowance.as_map(),
            "spent": {"window": self.spent[0], "amount": self.spent[1]},
            "status": self.status,
            "joined_height": self.joined_height,
            "updated_height": self.updated_height,
        }


def check_creation(body: Creation) -> None:
    """Check what the forms of the fields do not say.

    Raises:
        FormatError: no name (``format.name``).
    """
    check_label(body.name)


def create(state: Overlay, context: Context, body: Creation) -> list[Event]:
    """Create a DAO with the sender as its only member, who has every right and power 1.

    Raises:
        RefusedError: the name, or one that looks like it, is taken (``dao.name``).
    """
    name = skeleton(body.name)
    dao_id = dao_id_of(context.ledger_id, name)
    if state.get(dao_entry(dao_id)) is not None:
        raise RefusedError(
            "a DAO has this name, or one that looks like it", code="dao.name", hint="Choose another name."
        )
    record = DaoRecord(
        dao_id, body.type, body.name, body.charter, body.power, context.sender, body.rules, ACTIVE, context.height
    )
    store_dao(state, record)
    rights = dict.fromkeys(RIGHTS, True)
    founder = Dpan(dao_id, context.sender, 1, rights, None, (0, 0), ACTIVE, context.height, context.height)
    store_member(state, context.height, founder)
    return [Event("dao.created", {"dao": dao_id, "founder": context.sender, "name": body.name, "type": body.type})]


def dao_id_of(ledger_id: str, name_skeleton: str) -> str:
    """Return the id of the DAO with a name of this skeleton."""
    digest = derive(DAO_CONTEXT, encode([ledger_id, name_skeleton]))[:20]
    return "bpa1" + base64.b32encode(digest).decode("ascii").lower()


def find_dao(state: View, dao_id: str) -> DaoRecord:
    """Return a DAO.

    Raises:
        RefusedError: there is none of this id (``dao.unknown``).
    """
    data = state.get(dao_entry(dao_id)) if ACCOUNT_FORM.fullmatch(dao_id) else None
    if data is None:
        raise RefusedError("there is no such DAO", code="dao.unknown")
    stored = load_record(data)
    del stored["v"]
    return DaoRecord(**(stored | {"rules": Rules(**stored["rules"])}))


def require_active(state: View, dao_id: str) -> DaoRecord:
    """Return a DAO that was not dissolved.

    Raises:
        RefusedError: ``dao.unknown``, ``dao.dissolved``.
    """
    record = find_dao(state, dao_id)
    if record.status != ACTIVE:
        raise RefusedError("this DAO was dissolved", code="dao.dissolved")
    return record


def require_member(state: View, dao_id: str, account: str, right: str | None = None) -> Dpan:
    """Return the D-PAN of an active member, who has a right if one is named.

    Raises:
        AccessError: no member (``dao.member``), or without the right (``dao.right``).
    """
    found = load_dpan(state, dao_id, account)
    if found is None or found.status != ACTIVE:
        raise AccessError("this account is no member of the DAO", code="dao.member")
    if right is not None and not found.rights[right]:
        raise AccessError(f"this member has not the right to {right}", code="dao.right")
    return found


def load_dpan(state: View, dao_id: str, account: str) -> Dpan | None:
    """Return the D-PAN of an account in a DAO, ``None`` if it never was a member."""
    data = state.get(dpan_entry(account, dao_id))
    if data is None:
        return None
    stored = load_record(data)
    allowance, spent = stored["allowance"], stored["spent"]
    return Dpan(
        dao=stored["dao"],
        account=stored["account"],
        power=stored["power"],
        rights=stored["rights"],
        allowance=None if allowance is None else Allowance(**allowance),
        spent=(spent["window"], spent["amount"]),
        status=stored["status"],
        joined_height=stored["joined_height"],
        updated_height=stored["updated_height"],
    )


def members_of(state: View, dao_id: str) -> tuple[str, ...]:
    """Return the active members of a DAO, ascending."""
    data = state.get(_members_entry(dao_id))
    return () if data is None else tuple(load_record(data)["accounts"])


def store_dao(state: Overlay, record: DaoRecord) -> None:
    """Write a DAO."""
    state.put(dao_entry(record.id), save_record(record.as_map()))


def store_member(state: Overlay, height: int, dpan: Dpan) -> None:
    """Write a D-PAN, whether it is on the list of members, and what its power adds to the DAO's."""
    state.put(dpan_entry(dpan.account, dpan.dao), save_record(dpan.as_map()))
    before = members_of(state, dpan.dao)
    after = set(before) | {dpan.account} if dpan.status == ACTIVE else set(before) - {dpan.account}
    if after != set(before):
        state.put(_members_entry(dpan.dao), save_record({"v": 1, "accounts": sorted(after)}))
    earlier = note(state, _power_entry(dpan.dao, dpan.account), height, dpan.power)
    if earlier != dpan.power:
        note(state, _total_entry(dpan.dao), height, newest(state, _total_entry(dpan.dao)) + dpan.power - earlier)


def roll_of(dao_id: str) -> Roll:
    """Return the roll of a DAO's votes: who is a member, with its power at a proposal's start."""

    def weight_at(state: View, account: str, height: int) -> int:
        found = load_dpan(state, dao_id, account)
        if found is None or found.status != ACTIVE:
            return 0
        return value_at(state, _power_entry(dao_id, account), height)

    return Roll(weight_at, dao_id)


def total_power(state: View, dao_id: str, height: int) -> int:
    """Return the power of all members after the block at ``height``."""
    return value_at(state, _total_entry(dao_id), height)


def list_daos(state: State, *, after: str = "", limit: int = 100) -> list[DaoRecord]:
    """Return DAOs in order of their ids, those greater than ``after``."""
    prefix, found = dao_entry(""), list[DaoRecord]()
    for entry, _ in state.entries(prefix, after=dao_entry(after) if after else b""):
        found.append(find_dao(state, entry.removeprefix(prefix).decode("ascii")))
        if len(found) >= limit:
            break
    return found


def list_dpans(state: State, account: str, *, after: str = "", limit: int = 100) -> list[Dpan]:
    """Return the D-PANs of an account in order of their DAOs, those greater than ``after``."""
    prefix, found = dpan_entry(account, ""), list[Dpan]()
    for entry, _ in state.entries(prefix, after=dpan_entry(account, after) if after else b""):
        dpan = load_dpan(state, entry.removeprefix(prefix).decode("ascii"), account)
        if dpan is not None:
            found.append(dpan)
        if len(found) >= limit:
            break
    return found


def dao_entry(dao_id: str) -> bytes:
    """Return the state key of a DAO."""
    return f"dao/{dao_id}".encode("ascii")


def dpan_entry(account: str, dao_id: str) -> bytes:
    """Return the state key of a D-PAN."""
    return f"dpan/{account}/{dao_id}".encode("ascii")


def _members_entry(dao_id: str) -> bytes:
    return f"dao-members/{dao_id}".encode("ascii")


def _power_entry(dao_id: str, account: str) -> bytes:
    return f"dao-power/{dao_id}/{account}".encode("ascii")


def _total_entry(dao_id: str) -> bytes:
    return f"dao-total/{dao_id}".encode("ascii")
