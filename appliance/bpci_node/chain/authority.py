"""Authorities: who may attest what, and when. A record is a row of terms, so that the past can still be judged.

What an authority issued within a term stays valid when the term ends, unless it was revoked for cause: then what it
issued from a stated height on is void.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bpci_node.chain.state import Overlay, View
from bpci_node.errors import AccessError, NotFoundError
from bpci_node.primitives.record import load_record, save_record

COMMUNITY, BANK, HYBRID = "community", "bank", "hybrid"
MAX_TERMS = 16


@dataclass(frozen=True, slots=True)
class Term:
    """A stretch of heights in which an account was an authority of one type."""

    type: str
    """``community``, ``bank`` or ``hybrid``."""
    from_height: int
    """First height."""
    until_height: int | None
    """First height at which it is over; ``None`` while no end is known."""
    void_height: int | None
    """What was issued at this height or later is void; ``None`` if nothing is."""

    def is_active(self, height: int) -> bool:
        """Say whether the authority may act at ``height``."""
        return self._covers(height) and (self.void_height is None or height < self.void_height)

    def _covers(self, height: int) -> bool:
        return self.from_height <= height and (self.until_height is None or height < self.until_height)

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored."""
        return {
            "type": self.type,
            "from_height": self.from_height,
            "until_height": self.until_height,
            "void_height": self.void_height,
        }


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority as the state holds it."""

    account: str
    """Whose authority it is."""
    name: str
    """As it was requested."""
    approvals: tuple[str, ...]
    """Named approvals of regulators."""
    vouchers: tuple[str, ...]
    """Accounts that vouched for it."""
    sponsor: str | None
    """The bank that sponsors a hybrid."""
    terms: tuple[Term, ...]
    """Oldest first, at least one, not overlapping."""

    def term_at(self, height: int) -> Term | None:
        """Return the term in which it may act at ``height``, ``None`` if it may not."""
        return next((term for term in reversed(self.terms) if term.is_active(height)), None)

    @property
    def is_void(self) -> bool:
        """Whether it was ever revoked for cause."""
        return any(term.void_height is not None for term in self.terms)

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "account": self.account,
            "name": self.name,
            "approvals": list(self.approvals),
            "vouchers": list(self.vouchers),
            "sponsor": self.sponsor,
            "terms": [term.as_map() for term in self.terms],
        }


def load_authority(state: View, account: str) -> Authority | None:
    """Return the authority of that account, ``None`` if it never was one."""
    data = state.get(_entry(account))
    if data is None:
        return None
    stored = load_record(data)
    terms = [
        Term(item["type"], item["from_height"], item["until_height"], item["void_height"]) for item in stored["terms"]
    ]
    return Authority(
        account=stored["account"],
        name=stored["name"],
        approvals=tuple(stored["approvals"]),
        vouchers=tuple(stored["vouchers"]),
        sponsor=stored["sponsor"],
        terms=tuple(terms),
    )


def store_authority(state: Overlay, authority: Authority) -> None:
    """Write ``authority``."""
    state.put(_entry(authority.account), save_record(authority.as_map()))


def find_authority(state: View, account: str) -> Authority:
    """Return the authority of that account.

    Raises:
        NotFoundError: it never was one (``authority.unknown``).
    """
    found = load_authority(state, account)
    if found is None:
        raise NotFoundError("this account is no authority", code="authority.unknown")
    return found


def require_term(state: View, account: str, height: int, types: tuple[str, ...]) -> Term:
    """Return the term in which ``account`` may act at ``height`` as an authority of one of these types.

    Raises:
        AccessError: it may not (``authority.not_active``).
    """
    found = load_authority(state, account)
    term = None if found is None else found.term_at(height)
    if term is None or term.type not in types:
        raise AccessError(
            f"only an active authority may do this: {', '.join(types)}",
            code="authority.not_active",
            hint="Look at its terms with 'bpci authority show'.",
        )
    return term


def end_terms(authority: Authority, until_height: int | None, void_height: int | None) -> Authority:
    """Return ``authority`` with its last term ended, and with what it issued from ``void_height`` on void."""
    *earlier, last = authority.terms
    terms = [*earlier, last if until_height is None else replace(last, until_height=until_height)]
    if void_height is not None:
        terms = [
            replace(term, void_height=void_height if term.void_height is None else min(void_height, term.void_height))
            for term in terms
        ]
    return replace(authority, terms=tuple(terms))


def _entry(account: str) -> bytes:
    return f"authority/{account}".encode("ascii")
