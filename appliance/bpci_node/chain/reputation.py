"""Reputation: a number from recorded events alone, by the table below. Every change is an entry that names its cause.

An account begins at 0. A cause adds its points; the score is the sum, shown within 0 and 1,000. The sum itself is never
cut, so nobody loses a debt by falling to 0 and rising again. Nobody sets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bpci_node.chain.context import Event
from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.record import load_record, save_record

HIGHEST = 1000
"""No account has more."""
STANDING = 200
"""An account with less vouches for nobody."""

POINTS: Mapping[str, int] = MappingProxyType(
    {
        "authority.granted": 100,
        "authority.revoked_for_cause": -500,
        "credential.community_basic": 50,
        "credential.bank_basic": 200,
        "credential.bank_full": 300,
        "voucher.revoked_for_cause": -150,
    }
)
"""What each cause adds. A credential that is revoked or replaced takes back what it added."""


@dataclass(frozen=True, slots=True)
class Reputation:
    """What an account is worth."""

    points: int
    """Sum of the points of all changes, of either sign."""
    changes: int
    """How many changes led here; they are numbered from 0."""

    @property
    def score(self) -> int:
        """0 to 1,000."""
        return min(max(self.points, 0), HIGHEST)


def load_reputation(state: View, account: str) -> Reputation:
    """Return the reputation of an account; that of one without any change is 0."""
    data = state.get(_entry(account))
    if data is None:
        return Reputation(0, 0)
    stored = load_record(data)
    return Reputation(stored["points"], stored["changes"])


def load_change(state: View, account: str, number: int) -> dict[str, Any] | None:
    """Return one change: ``{v, cause, about, points, score, height}``; ``None`` if there is none of this number."""
    data = state.get(_change_entry(account, number))
    return None if data is None else load_record(data)


def change_reputation(
    state: Overlay, account: str, cause: str, *, about: str, height: int, is_taken_back: bool = False
) -> Event:
    """Add the points of ``cause`` to an account's reputation, and record why.

    Args:
        about: the account whose deed it was: an issuer, or one that was vouched for.
        is_taken_back: takes the cause's points away again.
    """
    points = -POINTS[cause] if is_taken_back else POINTS[cause]
    earlier = load_reputation(state, account)
    later = Reputation(earlier.points + points, earlier.changes + 1)
    change = {"v": 1, "cause": cause, "about": about, "points": points, "score": later.score, "height": height}
    state.put(_change_entry(account, earlier.changes), save_record(change))
    state.put(_entry(account), save_record({"v": 1, "points": later.points, "changes": later.changes}))
    fields: dict[str, str | int | bytes] = {"account": account, "about": about, "cause": cause, "points": points}
    return Event("reputation.changed", fields | {"score": later.score})


def _entry(account: str) -> bytes:
    return f"reputation/{account}".encode("ascii")


def _change_entry(account: str, number: int) -> bytes:
    return f"reputation-change/{account}/{number:010d}".encode("ascii")
