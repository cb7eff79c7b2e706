"""``authority.grant``, ``authority.upgrade``, ``authority.revoke``: terms begin, change and end.

Whatever was promised earlier is looked at again here: vouchers must have standing now, a sponsor must be a bank now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from bpci_node.chain.authority import (
    BANK,
    COMMUNITY,
    HYBRID,
    MAX_TERMS,
    Authority,
    Term,
    end_terms,
    find_authority,
    load_authority,
    require_term,
    store_authority,
)
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, DIGEST, Spec, integer, optional
from bpci_node.chain.guardians import require_quorum
from bpci_node.chain.reputation import change_reputation
from bpci_node.chain.state import Overlay
from bpci_node.chain.voucher import Candidate, close_request, release_vouchers, require_pending, require_vouchers
from bpci_node.errors import AccessError, RefusedError


@dataclass(frozen=True, slots=True)
class AuthorityEnd:
    """Body of ``authority.revoke``."""

    account: Annotated[str, Spec(ACCOUNT, "The authority.")]
    effective_height: Annotated[int, Spec(integer(1), "First height at which it is none; not before this block.")]
    void_height: Annotated[
        int | None,
        Spec(optional(integer(1)), "For cause: what it issued at this height or later is void. Else null."),
    ]
    cause: Annotated[bytes, Spec(DIGEST, "Digest of the reasons, with a salt.")]


def grant_authority(state: Overlay, context: Context, body: Candidate) -> list[Event]:
    """Make a candidate a community authority, by its vouchers, or a bank authority, by the guardians' quorum.

    Raises:
        RefusedError: ``authority.not_requested``, ``authority.upgrade``, ``authority.vouchers``, ``authority.terms``,
            ``authority.name_taken``.
        AccessError: a bank without the quorum (``access.quorum``).
    """
    pending = require_pending(state, body.account)
    if pending.body.type == HYBRID:
        raise RefusedError("a hybrid comes about by its sponsor's authority.upgrade", code="authority.upgrade")
    if pending.body.type == BANK:
        require_quorum(state, context)
    else:
        require_vouchers(state, context, pending.vouchers)
    earlier = load_authority(state, body.account)
    terms = () if earlier is None else earlier.terms
    term = Term(pending.body.type, context.height, None, None)
    if len(terms) >= MAX_TERMS:
        raise RefusedError(f"an account has at most {MAX_TERMS} terms", code="authority.terms")
    authority = Authority(
        account=body.account,
        name=pending.body.name,
        approvals=pending.body.approvals,
        vouchers=pending.vouchers,
        sponsor=None,
        terms=(*terms, term),
    )
    store_authority(state, authority)
    close_request(state, body.account, pending.body.name)
    events = [Event("authority.granted", {"account": body.account, "type": term.type, "name": authority.name})]
    if earlier is None:
        events.append(
            change_reputation(state, body.account, "authority.granted", about=body.account, height=context.height)
        )
    return events


def upgrade_authority(state: Overlay, context: Context, body: Candidate) -> list[Event]:
    """Make a community authority a hybrid, by its sponsor's word, the guardians' quorum and its vouchers.

    Raises:
        RefusedError: ``authority.not_requested``, ``authority.not_community``, ``authority.vouchers``,
            ``authority.terms``, ``authority.name_taken``.
        AccessError: not the sponsor (``authority.sponsor``), the sponsor is no bank (``authority.not_active``), or
            without the quorum (``access.quorum``).
    """
    pending = require_pending(state, body.account)
    if pending.body.sponsor != context.sender:
        raise AccessError("only the sponsor that the request names upgrades it", code="authority.sponsor")
    require_term(state, context.sender, context.height, (BANK,))
    require_quorum(state, context)
    authority = find_authority(state, body.account)
    term = authority.term_at(context.height)
    if term is None or term.type != COMMUNITY or term.until_height is not None:
        raise RefusedError("it is no community authority any more", code="authority.not_community")
    vouchers = tuple(dict.fromkeys((*authority.vouchers, *pending.vouchers)))
    require_vouchers(state, context, vouchers)
    if len(authority.terms) >= MAX_TERMS:
        raise RefusedError(f"an account has at most {MAX_TERMS} terms", code="authority.terms")
    ended = end_terms(authority, context.height, None)
    terms = (*ended.terms, Term(HYBRID, context.height, None, None))
    upgraded = replace(
        ended,
        name=pending.body.name,
        approvals=pending.body.approvals,
        vouchers=vouchers,
        sponsor=context.sender,
        terms=terms,
    )
    store_authority(state, upgraded)
    close_request(state, body.account, pending.body.name)
    return [Event("authority.upgraded", {"account": body.account, "sponsor": context.sender})]


def revoke_authority(state: Overlay, context: Context, body: AuthorityEnd) -> list[Event]:
    """End an authority's last term: it may resign, and the guardians' quorum may revoke it, for cause or not.

    Raises:
        NotFoundError: ``authority.unknown``.
        AccessError: neither itself nor the quorum (``access.quorum``).
        RefusedError: ``authority.height``, ``authority.ended``.
    """
    authority = find_authority(state, body.account)
    if context.sender != body.account or body.void_height is not None:
        require_quorum(state, context)
    if body.effective_height < context.height or (body.void_height or 0) > context.height:
        raise RefusedError(
            "a revocation takes effect at this block or later, and voids what was issued up to now at most",
            code="authority.height",
            height=context.height,
        )
    last_until = authority.terms[-1].until_height
    is_over = last_until is not None and last_until <= context.height
    is_later = last_until is not None and body.effective_height >= last_until
    if body.void_height is None and (is_over or is_later):
        raise RefusedError("the authority ends at that height or earlier already", code="authority.ended")
    until = None if is_over or is_later else body.effective_height
    store_authority(state, end_terms(authority, until, body.void_height))
    fields: dict[str, str | int | bytes] = {
        "account": body.account,
        "by": context.sender,
        "cause": body.cause,
        "effective_height": body.effective_height,
    }
    events = [Event("authority.revoked", fields)]
    if body.void_height is not None:
        events[0].fields["void_height"] = body.void_height
    if body.void_height is not None and not authority.is_void:
        events += _blame(state, context, authority)
    release_vouchers(state, authority.vouchers, body.account)
    return events


def _blame(state: Overlay, context: Context, authority: Authority) -> list[Event]:
    """Let the authority suffer, and those who vouched for it."""
    about, height = authority.account, context.height
    answering = (*authority.vouchers, *([authority.sponsor] if authority.sponsor else []))
    return [
        change_reputation(state, about, "authority.revoked_for_cause", about=about, height=height),
        *(
            change_reputation(state, voucher, "voucher.revoked_for_cause", about=about, height=height)
            for voucher in answering
        ),
    ]
