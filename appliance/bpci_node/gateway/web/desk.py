"""What the pages share: who is signed in, how fast one may try, what is recorded.

Invariants: nothing that changes anything is done unrecorded; who may not, learns no more than that; a wrong name takes
as long as a wrong password.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request

from bpci_node.access import accounts as account_file
from bpci_node.access.accounts import Accounts
from bpci_node.access.actions import Action, ActionLog
from bpci_node.access.roles import Right, require
from bpci_node.access.sessions import Session, Sessions
from bpci_node.access.throttle import ACCOUNT_SECONDS, ADDRESS_SECONDS, Throttle
from bpci_node.errors import AccessError, BpciError, FormatError, LimitError, StorageError
from bpci_node.gateway.limits import RateLimit, source_of
from bpci_node.setup.password import verify_password

log = logging.getLogger("bpci.web")

COOKIE = "__Host-bpci"
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES, MAX_FIELD = 4096, 300
FORM_SECONDS = 15.0
WAITING = 16
"""Passwords that are checked or wait for it, at most."""
ACTIONS_PER_SECOND, ACTIONS_BURST = 0.1, 60
"""Of one account, refused ones included: nobody may write what was done before out of the log, which is bounded."""
MAX_NOTICES = 20
NOBODY = "?"
"""Stands in the log for a name that no account has: it may be a password in the wrong field."""
_SAFE = frozenset({"GET", "HEAD"})


class Desk:
    """State of the process."""

    def __init__(self, directory: Path) -> None:
        """Take the directory of accounts and log."""
        self.directory = directory
        self.sessions = Sessions()
        self.log = ActionLog(directory)
        self.last_request = time.monotonic()
        self._addresses, self._names = Throttle(ADDRESS_SECONDS), Throttle(ACCOUNT_SECONDS)
        self._actions = RateLimit(ACTIONS_PER_SECOND, ACTIONS_BURST, code="limit.requests", what="actions")
        self._turn, self._waiting = asyncio.Lock(), 0

    def accounts(self) -> Accounts:
        """Return the accounts as they are now."""
        return account_file.load(self.directory)

    def session(self, request: Request) -> Session:
        """Return the session of a request.

        Raises:
            AccessError: nobody is signed in (``access.session``).
        """
        token = request.cookies.get(COOKIE, "")
        return self.sessions.find(token[:100], self.accounts(), now=time.monotonic())

    def seen(self, request: Request, right: Right) -> Session:
        """Return the session of a request, of somebody who may.

        Raises:
            AccessError: nobody is signed in (``access.session``), or the role may not (``access.role``).
        """
        session = self.session(request)
        require(session.role, right)
        return session

    async def form(self, request: Request, names: tuple[str, ...]) -> tuple[Session, dict[str, str]]:
        """Return who sends a form, and its fields, after everything that shows that the person meant it.

        Raises:
            BpciError: as :meth:`session`, :func:`check_origin` and :func:`read_form` say, or a form of another session.
        """
        session = self.session(request)
        check_origin(request)
        form = await read_form(request, ("form_token", *names))
        session.check_form(form["form_token"])
        return session, form

    def is_idle(self, *, seconds: float) -> bool:
        """Tell whether nobody is signed in, waits, or has asked for anything for so long."""
        now = time.monotonic()
        is_quiet = self._addresses.is_quiet(now=now) and self._names.is_quiet(now=now)
        return now - self.last_request > seconds and is_quiet and self.sessions.count(now=now) == 0

    async def sign_in(self, request: Request) -> str:
        """Check the name and the password of a form, and return the token of a new session.

        Raises:
            AccessError: they are wrong (``access.sign_in``), or another site asks (``access.origin``).
            LimitError: too many tries (``limit.sign_in``), or too many at once (``limit.busy``).
        """
        check_origin(request)
        form = await read_form(request, ("name", "password"))
        name, source, accounts = form["name"].strip().lower(), address_of(request), self.accounts()
        try:
            now = time.monotonic()
            self._addresses.take(source_of(source), now=now)
            self._names.take(name, now=now)
            account = await self._verify(accounts, name, form["password"])
        except (AccessError, LimitError) as error:
            shown = name if name in accounts.by_name else NOBODY
            # fail2ban reads this line.
            log.warning("sign-in refused from %s: %s %s", source, error.code, json.dumps(shown))
            await self.note(Action(shown, "none", source, "sign_in", "", error.code))
            raise
        self._addresses.forgive(source_of(source))
        self._names.forgive(name)
        await self.note(Action(name, account.role.value, source, "sign_in", "", "done"))
        # Whoever signs in anew has done with the session before, which nobody could end any more.
        self.sessions.end(request.cookies.get(COOKIE, ""))
        return self.sessions.begin(account, now=time.monotonic())

    def throttle(self, name: str) -> None:
        """Count a try of who is signed in already and gives the password again.

        Raises:
            LimitError: too many (``limit.sign_in``).
        """
        self._names.take(name, now=time.monotonic())

    async def _verify(self, accounts: Accounts, name: str, password: str) -> account_file.Account:
        if not accounts.by_name:
            raise AccessError("nobody can sign in yet", code="access.sign_in", hint="Add an account: bpci access add.")
        found = accounts.by_name.get(name)
        # Somebody's hash is computed for a name that nobody has, so that time does not tell which names there are.
        checked = found or next(iter(accounts.by_name.values()))
        if self._waiting >= WAITING:
            raise LimitError("too many sign-ins at once", code="limit.busy", hint="Try again in a few seconds.")
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.to_thread(verify_password, password, checked.password_hash)
        finally:
            self._waiting -= 1
        if found is None:
            raise AccessError("name or password is wrong", code="access.sign_in", hint="Try again, or ask the owner.")
        return found

    async def act(
        self, request: Request, right: Right, what: str, about: str, do: Callable[[], Awaitable[str]]
    ) -> None:
        """Carry out a named action: recorded before and after, its outcome told at the next page.

        The caller has checked the form.

        Raises:
            AccessError: the role may not (``access.role``); that is recorded too.
            LimitError: too many actions of this account (``limit.requests``).
            StorageError: it can't be recorded, and is not done (``storage.write``).
        """
        session = self.session(request)
        self._count(session)
        who = (session.name, session.role.value, address_of(request), what, about)
        try:
            require(session.role, right)
        except AccessError as error:
            await self.record(Action(*who, error.code))
            raise
        await self.record(Action(*who, "begun"))
        try:
            told = await do()
        except BpciError as error:
            self._tell(session, f"{error.message}. {error.hint or ''}".strip(), is_good=False)
            await self.record(Action(*who, error.code))
            return
        # Told even where the log takes nothing any more: it was done.
        self._tell(session, told, is_good=True)
        await self.record(Action(*who, "done"))

    def _count(self, session: Session) -> None:
        try:
            self._actions.take(session.name)
        except LimitError as error:
            raise LimitError(
                "too many actions of this account", code=error.code, hint=error.hint, **error.details
            ) from error

    @staticmethod
    def _tell(session: Session, text: str, *, is_good: bool) -> None:
        session.notices = [*session.notices, (is_good, text)][-MAX_NOTICES:]

    async def record(self, action: Action) -> None:
        """Add to the log of actions, and to the journal with the record's digest.

        Raises:
            StorageError: ``storage.write``.
            ProofError: the log was changed (``access.log``).
        """
        record = await asyncio.to_thread(self.log.append, action, now_ms=time.time_ns() // 1_000_000)
        row = json.dumps([action.who, action.role, action.source, action.what, action.about, action.result])
        log.info("action %d %s %s", record.n, row, record.digest.hex())

    async def note(self, action: Action) -> None:
        """Record what must be possible even when the disk is full: to sign in, as who comes to mend that, and out."""
        try:
            await self.record(action)
        except (StorageError, BpciError) as error:
            log.error("the log of actions can't be written: %s", error.message)  # noqa: TRY400 - the message says it


def address_of(request: Request) -> str:
    """Return the address that the front server has seen; nobody else reaches this process's socket."""
    return request.headers.get("x-real-ip", "unknown")[:45]


def check_origin(request: Request) -> None:
    """Check that a request which may change something comes from a page of this machine.

    Browsers say where a request comes from whenever it is not a plain look. Source: Fetch, section 3.1; OWASP's
    cheat sheet on cross-site request forgery, "verifying origin".

    Raises:
        AccessError: it does not, or does not say (``access.origin``).
    """
    origin = urlsplit(request.headers.get("origin", ""))
    if origin.scheme != "https" or not origin.netloc or origin.netloc != request.headers.get("host", ""):
        raise AccessError("this request does not come from a page of this machine", code="access.origin")


def check_passed_on(request: Request, session: Session, right: Right) -> None:
    """Check a request that the front server is about to pass on to another program on this machine.

    Args:
        right: what the program asked takes at least; whatever is no plain look takes :attr:`Right.OPERATE` as well.
    Raises:
        AccessError: ``access.role``, ``access.origin``.
    """
    require(session.role, right)
    is_look = request.headers.get("x-original-method", "") in _SAFE
    if not is_look:
        require(session.role, Right.OPERATE)
    if not is_look or request.headers.get("x-original-upgrade", ""):
        check_origin(request)


async def read_form(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    """Return the fields of a form, bounded in size and time; a field that is not there is empty.

    Raises:
        FormatError: it is no form (``format.media_type``, ``format.request``).
        LimitError: too long (``limit.body``), or too slow (``limit.slow``).
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise FormatError("a form is expected", code="format.media_type", hint="Use the page.")
    body = b""
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_FORM_BYTES:
                    raise LimitError("the form is too long", code="limit.body")
        found: dict[str, Any] = dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=16, errors="strict")
        )
    except TimeoutError as error:
        raise LimitError("the form did not arrive in time", code="limit.slow") from error
    except (ValueError, ClientDisconnect) as error:
        raise FormatError("the form can't be read", code="format.request") from error
    values = {name: str(found.get(name, "")) for name in names}
    if any(len(value) > MAX_FIELD for value in values.values()):
        raise FormatError("a field of the form is too long", code="format.request")
    return values
