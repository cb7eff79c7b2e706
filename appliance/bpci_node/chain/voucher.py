"""``authority.request``, ``authority.vouch``, ``authority.withdraw_vouch``: who wants to be an authority, who answers.

Standing begins outside the circle of those who seek it: a guardian has it, and an account that a bank or hybrid
authority attests, whose reputation is at least 200. New accounts that vouch for one another have none to lend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.authority import BANK, COMMUNITY, HYBRID, load_authority
from bpci_node.chain.context import Context, Event
from bpci_node.chain.credential import NONE, kyc_level, load_identity
from bpci_node.chain.forms import ACCOUNT, Spec, choice, optional, texts
from bpci_node.chain.guardians import is_guardian
from bpci_node.chain.label import LABEL, check_label, skeleton
from bpci_node.chain.reputation import STANDING, load_reputation
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import AccessError, FormatError, RefusedError
from bpci_node.primitives.record import load_record, save_record

VOUCHERS_NEEDED = 5
"""Vouchers of standing that a community authority needs."""
MAX_VOUCHERS = 32
"""Most vouchers of one candidate."""
MAX_VOUCHES = 8
"""Most candidates and authorities that one account vouches for at a time."""
MAX_APPROVALS = 16

_APPROVAL_FORM = re.compile(r"[a-z0-9.-]{1,40}")


@dataclass(frozen=True, slots=True)
class AuthorityRequest:
    """Body of ``authority.request``."""

    type: Annotated[str, Spec(choice(COMMUNITY, BANK, HYBRID), "What the sender wants to be.")]
    name: Annotated[str, Spec(LABEL, "Its public name, by the rules in `identity.md`.")]
    approvals: Annotated[
        tuple[str, ...],
        Spec(
            texts(_APPROVAL_FORM, "names of 1 to 40 characters `a-z 0-9 . -`", MAX_APPROVALS),
            "Approvals of regulators, such as `sec`; at least one for a bank or hybrid.",
        ),
    ]
    sponsor: Annotated[str | None, Spec(optional(ACCOUNT), "The bank that sponsors it; there exactly for a hybrid.")]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Body of ``authority.vouch``, ``authority.withdraw_vouch``, ``authority.grant`` and ``authority.upgrade``."""

    account: Annotated[str, Spec(ACCOUNT, "Who asked to be an authority.")]


@dataclass(frozen=True, slots=True)
class Pending:
    """A request as the state holds it."""

    body: AuthorityRequest
    """What was asked for."""
    height: int
    """Height of the block that recorded it."""
    vouchers: tuple[str, ...]
    """Who vouches, in order of their commands."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "type": self.body.type,
            "name": self.body.name,
            "approvals": list(self.body.approvals),
            "sponsor": self.body.sponsor,
            "height": self.height,
            "vouchers": list(self.vouchers),
        }


def check_request(body: AuthorityRequest) -> None:
    """Check what the forms of single fields do not say.

    Raises:
        FormatError: the name is none (``format.name``), or approvals or sponsor do not fit the type (``format.body``).
    """
    check_label(body.name)
    if (body.sponsor is None) != (body.type != HYBRID):
        raise FormatError("a hybrid names its sponsor, and no other does", code="format.body")
    if (not body.approvals) != (body.type == COMMUNITY):
        raise FormatError("a bank or hybrid names its approvals, and a community has none", code="format.body")


def load_pending(state: View, account: str) -> Pending | None:
    """Return the request of an account, ``None`` if none is pending."""
    data = state.get(_entry(account))
    if data is None:
        return None
    stored = load_record(data)
    body = AuthorityRequest(stored["type"], stored["name"], tuple(stored["approvals"]), stored["sponsor"])
    return Pending(body, stored["height"], tuple(stored["vouchers"]))


def request_authority(state: Overlay, context: Context, body: AuthorityRequest) -> list[Event]:
    """Ask to be an authority; a later request takes the place of an earlier one, whose vouchers are free again.

    Raises:
        RefusedError: ``identity.unknown``, ``authority.barred``, ``authority.active``, ``authority.not_community``,
            ``authority.name_taken``.
    """
    if load_identity(state, context.sender) is None:
        raise RefusedError("this account has no D-Adhaar", code="identity.unknown")
    present = load_authority(state, context.sender)
    if present is not None and present.is_void:
        raise RefusedError("this account was an authority, and revoked for cause", code="authority.barred")
    term = None if present is None else present.term_at(context.height)
    if body.type == HYBRID:
        if term is None or term.type != COMMUNITY:
            raise RefusedError("a community authority is what becomes a hybrid", code="authority.not_community")
    elif present is not None and (term is not None or present.terms[-1].until_height is None):
        raise RefusedError("this account is an authority already", code="authority.active")
    require_name(state, body.name, context.sender)
    earlier = load_pending(state, context.sender)
    if earlier is not None:
        release_vouchers(state, earlier.vouchers, context.sender)
    state.put(_entry(context.sender), save_record(Pending(body, context.height, ()).as_map()))
    fields: dict[str, str | int | bytes] = {"account": context.sender, "type": body.type, "name": body.name}
    return [Event("authority.requested", fields)]


def vouch(state: Overlay, context: Context, body: Candidate) -> list[Event]:
    """Vouch for a candidate.

    Raises:
        RefusedError: ``authority.not_requested``, ``authority.self``, ``authority.vouched``, ``authority.vouches``.
        AccessError: the sender has no standing (``authority.standing``).
    """
    pending = require_pending(state, body.account)
    if body.account == context.sender:
        raise RefusedError("nobody vouches for itself", code="authority.self")
    if context.sender in pending.vouchers:
        raise RefusedError("this account vouches for it already", code="authority.vouched")
    if not has_standing(state, context, context.sender):
        raise AccessError(
            f"a voucher is a guardian, or attested by a bank and of a reputation of at least {STANDING}",
            code="authority.standing",
            hint="Ask a bank or hybrid authority for a credential first.",
        )
    vouched = _vouched_for(state, context.sender)
    if len(vouched) >= MAX_VOUCHES or len(pending.vouchers) >= MAX_VOUCHERS:
        raise RefusedError(
            f"an account vouches for at most {MAX_VOUCHES}, and at most {MAX_VOUCHERS} vouch for one",
            code="authority.vouches",
        )
    _store_vouched(state, context.sender, (*vouched, body.account))
    state.put(
        _entry(body.account), save_record(replace(pending, vouchers=(*pending.vouchers, context.sender)).as_map())
    )
    return [Event("authority.vouched", {"account": body.account, "voucher": context.sender})]


def withdraw_vouch(state: Overlay, context: Context, body: Candidate) -> list[Event]:
    """Vouch no longer for a candidate that is not yet an authority by it.

    Raises:
        RefusedError: ``authority.not_requested``, ``authority.not_vouched``.
    """
    pending = require_pending(state, body.account)
    if context.sender not in pending.vouchers:
        raise RefusedError("this account does not vouch for it", code="authority.not_vouched")
    release_vouchers(state, (context.sender,), body.account)
    kept = tuple(account for account in pending.vouchers if account != context.sender)
    state.put(_entry(body.account), save_record(replace(pending, vouchers=kept).as_map()))
    return [Event("authority.vouch_withdrawn", {"account": body.account, "voucher": context.sender})]


def has_standing(state: View, context: Context, account: str) -> bool:
    """Say whether an account may vouch: a guardian, or attested now and of enough reputation."""
    if is_guardian(state, context, account):
        return True
    if load_reputation(state, account).score < STANDING:
        return False
    return kyc_level(state, account, context.time_ms) != NONE


def require_vouchers(state: View, context: Context, vouchers: tuple[str, ...]) -> None:
    """Check that enough of these have standing now, whatever they had when they vouched.

    Raises:
        RefusedError: too few (``authority.vouchers``).
    """
    found = sum(has_standing(state, context, account) for account in vouchers)
    if found < VOUCHERS_NEEDED:
        raise RefusedError(
            f"{VOUCHERS_NEEDED} vouchers of standing are needed; there are {found}",
            code="authority.vouchers",
            needed=VOUCHERS_NEEDED,
            found=found,
        )


def require_pending(state: View, account: str) -> Pending:
    """Return the request of an account.

    Raises:
        RefusedError: none is pending (``authority.not_requested``).
    """
    pending = load_pending(state, account)
    if pending is None:
        raise RefusedError("this account asked for nothing", code="authority.not_requested")
    return pending


def require_name(state: View, name: str, account: str) -> None:
    """Check that no other authority has this name, or one that looks like it.

    Raises:
        RefusedError: one has (``authority.name_taken``).
    """
    holder = state.get(_name_entry(name))
    if holder is not None and load_record(holder)["account"] != account:
        raise RefusedError(
            "this name, or one that looks like it, is another's", code="authority.name_taken", hint="Choose another."
        )


def close_request(state: Overlay, account: str, name: str) -> None:
    """Remove a request that was granted: its name is taken from now on, and its vouchers stay bound.

    Raises:
        RefusedError: another took the name meanwhile (``authority.name_taken``).
    """
    require_name(state, name, account)
    state.put(_name_entry(name), save_record({"v": 1, "account": account}))
    state.delete(_entry(account))


def release_vouchers(state: Overlay, vouchers: tuple[str, ...], account: str) -> None:
    """Let each voucher's place for ``account`` be free again."""
    for voucher in vouchers:
        kept = tuple(item for item in _vouched_for(state, voucher) if item != account)
        _store_vouched(state, voucher, kept)


def _vouched_for(state: View, voucher: str) -> tuple[str, ...]:
    data = state.get(_vouching_entry(voucher))
    return () if data is None else tuple(load_record(data)["accounts"])


def _store_vouched(state: Overlay, voucher: str, accounts: tuple[str, ...]) -> None:
    if accounts:
        state.put(_vouching_entry(voucher), save_record({"v": 1, "accounts": list(accounts)}))
    else:
        state.delete(_vouching_entry(voucher))


def _entry(account: str) -> bytes:
    return f"authority-request/{account}".encode("ascii")


def _vouching_entry(voucher: str) -> bytes:
    return f"vouching/{voucher}".encode("ascii")


def _name_entry(name: str) -> bytes:
    return b"authority-name/" + skeleton(name).encode("utf-8")
