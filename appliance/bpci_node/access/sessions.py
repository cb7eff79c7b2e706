"""Sessions of people who signed in: random tokens of which only digests are kept, in memory alone.

A session ends after a while without use, at a fixed time after it began, when its account's role or password change,
and with the process.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from bpci_node.access.accounts import Account, Accounts
from bpci_node.access.roles import Role
from bpci_node.errors import AccessError
from bpci_node.primitives.hashing import derive

IDLE_SECONDS = 30 * 60.0
LONGEST_SECONDS = 12 * 3600.0
MAX_SESSIONS, MAX_PER_ACCOUNT = 256, 16
TOKEN_BYTES = 32
_TOKEN_CONTEXT = "bpci 2026 access session v1"  # noqa: S105 - a context of a hash
_FORM_CONTEXT = "bpci 2026 access form v1"


@dataclass(slots=True)
class Session:
    """One sign-in."""

    name: str
    role: Role
    mark: bytes
    """Of the account when it signed in."""
    began: float
    used: float
    """Seconds of a monotonic clock."""
    form_token: str = field(repr=False)
    """What each form of the pages carries, so that another site's form is told from ours."""
    notices: list[tuple[bool, str]] = field(default_factory=list)
    """What to tell at the next page: whether it went well, and what."""

    def check_form(self, given: str) -> None:
        """Check what a form carried.

        Raises:
            AccessError: another one (``access.form``).
        """
        if not hmac.compare_digest(given.encode(), self.form_token.encode()):
            raise AccessError("this form is not of this session", code="access.form", hint="Load the page again.")


class Sessions:
    """All sessions of one process."""

    def __init__(self) -> None:
        self._open: dict[bytes, Session] = {}

    def begin(self, account: Account, *, now: float) -> str:
        """Begin a session and return its token; the oldest of the account, or of all, goes if there are too many."""
        self._expire(now)
        own = [key for key, item in self._open.items() if item.name == account.name]
        if len(own) >= MAX_PER_ACCOUNT:
            del self._open[own[0]]
        elif len(self._open) >= MAX_SESSIONS:
            del self._open[next(iter(self._open))]
        token = secrets.token_urlsafe(TOKEN_BYTES)
        form = derive(_FORM_CONTEXT, token.encode()).hex()
        self._open[_digest(token)] = Session(account.name, account.role, account.mark, now, now, form)
        return token

    def find(self, token: str, accounts: Accounts, *, now: float) -> Session:
        """Return the session of a token, and note that it was used.

        Raises:
            AccessError: there is none, or it has ended (``access.session``).
        """
        key = _digest(token)
        session = self._open.get(key)
        account = None if session is None else accounts.by_name.get(session.name)
        if session is None or _is_over(session, now) or account is None or account.mark != session.mark:
            self._open.pop(key, None)
            raise AccessError("nobody is signed in here, or no longer", code="access.session", hint="Sign in.")
        session.used = now
        return session

    def end(self, token: str) -> None:
        """End the session of a token."""
        self._open.pop(_digest(token), None)

    def count(self, *, now: float) -> int:
        """Return how many there are."""
        self._expire(now)
        return len(self._open)

    def _expire(self, now: float) -> None:
        for key in [key for key, item in self._open.items() if _is_over(item, now)]:
            del self._open[key]


def _is_over(session: Session, now: float) -> bool:
    return now - session.used > IDLE_SECONDS or now - session.began > LONGEST_SECONDS


def _digest(token: str) -> bytes:
    return derive(_TOKEN_CONTEXT, token.encode())
