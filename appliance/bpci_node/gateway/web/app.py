"""The application: sign-in, dashboard, named actions, accounts, the log; and the question of the front server.

The front server (nginx) asks below ``/_auth`` before it passes anything on to another program of this machine.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bpci_node.access import accounts as account_file
from bpci_node.access import actions
from bpci_node.access.accounts import Accounts
from bpci_node.access.actions import Action
from bpci_node.access.roles import Right, Role
from bpci_node.access.sessions import LONGEST_SECONDS, Session
from bpci_node.errors import BpciError, FormatError, LimitError, NotFoundError, UsageError
from bpci_node.gateway.web.desk import COOKIE, Desk, address_of, check_passed_on
from bpci_node.gateway.web.helper import MachineHelper
from bpci_node.gateway.web.pages import Pages
from bpci_node.gateway.web.sources import Sources
from bpci_node.gateway.web.upkeep import Upkeep
from bpci_node.setup.password import check_password, hash_password, verify_password

LOG_ROWS = 200
SILENCE_HOURS = 4
DRAIN_SECONDS = 3600
"""Within which a node that was drained is expected to be stopped."""
_TARGET = re.compile(r"[a-z0-9-]{3,8}:[A-Za-z0-9_-]{1,64}")
_ALERT = re.compile(r"[A-Za-z0-9_ -]{1,100}")
_STATUS = {
    "access.session": 401,
    "access.sign_in": 401,
    "format.media_type": 415,
    "format.path": 404,
    "limit.body": 413,
}
"""Codes whose HTTP status says more than that of their family."""


class WebFace:
    """The routes over one desk."""

    def __init__(self, desk: Desk, pages: Pages, sources: Sources, helper: MachineHelper | None = None) -> None:
        self.desk, self.pages, self.sources = desk, pages, sources
        self.upkeep = Upkeep(desk, pages, helper or MachineHelper())

    def routes(self) -> list[Route]:
        """Return them all."""
        return [
            Route("/_auth/look", self.ask_to_look),
            Route("/_auth/console", self.ask_for_console),
            Route("/static/style.css", self.style),
            Route("/sign-in", self.sign_in_page, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/", self.dashboard, methods=["GET"]),
            Route("/actions/{name}", self.act, methods=["POST"]),
            Route("/log", self.log, methods=["GET"]),
            Route("/accounts", self.accounts, methods=["GET"]),
            Route("/accounts/{name}", self.change_accounts, methods=["POST"]),
            Route("/password", self.password_page, methods=["GET"]),
            Route("/password", self.password, methods=["POST"]),
            *self.upkeep.routes(),
        ]

    async def ask_to_look(self, request: Request) -> Response:
        """Tell the front server whether a request may be passed on to metrics, alerts or the API, and whose it is."""
        return self._ask(request, Right.LOOK)

    async def ask_for_console(self, request: Request) -> Response:
        """Tell the front server whether a request may be passed on to the console, and whose it is."""
        return self._ask(request, Right.CONSOLE)

    def _ask(self, request: Request, right: Right) -> Response:
        session = self.desk.session(request)
        check_passed_on(request, session, right)
        return Response(status_code=204, headers={"X-Bpci-User": session.name, "X-Bpci-Role": session.role.value})

    async def style(self, _request: Request) -> Response:
        """Return the style sheet."""
        return self.pages.style()

    async def sign_in_page(self, request: Request) -> Response:
        """Return the form."""
        return self.pages.page("sign_in.html", None, request.url.path, {"name": "", "problem": None})

    async def sign_in(self, request: Request) -> Response:
        """Begin a session, or show the form with the reason why not."""
        try:
            token = await self.desk.sign_in(request)
        except BpciError as error:
            shown = {"name": "", "problem": error.as_problem()}
            reply = self.pages.page("sign_in.html", None, request.url.path, shown, status=status_of(error))
            return _with_wait(reply, error)
        reply = RedirectResponse("/", 303)
        return _with_cookie(reply, token)

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        session, _ = await self.desk.form(request, ())
        self.desk.sessions.end(request.cookies.get(COOKIE, ""))
        source = address_of(request)
        await self.desk.note(Action(session.name, session.role.value, source, "sign_out", "", "done"))
        reply = RedirectResponse("/sign-in", 303)
        reply.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
        return reply

    async def dashboard(self, request: Request) -> Response:
        """Show what there is."""
        session = self.desk.seen(request, Right.LOOK)
        parts = await self.sources.dashboard()
        return self.pages.page("dashboard.html", session, "/", {"parts": parts, "hours": SILENCE_HOURS})

    async def act(self, request: Request) -> Response:
        """Carry out a named action."""
        session, form = await self.desk.form(request, ("about",))
        name, about = request.path_params["name"], form["about"]
        known = {"seal": self._seal, "token": self._renew_token, "silence": self._silence}
        found = (known | {"drain": self._drain, "resume": self._resume}).get(name)
        if found is None:
            raise NotFoundError("there is no such action", code="access.action")
        await self.desk.act(request, Right.OPERATE, name, about, lambda: found(about, session))
        return RedirectResponse("/", 303)

    async def _seal(self, about: str, _session: Session) -> str:
        if _TARGET.fullmatch(about) is None:
            raise UsageError("this is no target chain", code="usage.target")
        await self.sources.ask("POST", "/owner/seal", {"target": about})
        return f"A bundle of {about} was sealed."

    async def _renew_token(self, _about: str, _session: Session) -> str:
        await self.sources.ask("POST", "/owner/token")
        return "The activation token was asked for anew."

    async def _drain(self, _about: str, _session: Session) -> str:
        await self.sources.ask("POST", "/owner/drain", {"seconds": DRAIN_SECONDS})
        return "The node takes no new part in auctions."

    async def _resume(self, _about: str, _session: Session) -> str:
        await self.sources.ask("DELETE", "/owner/drain")
        return "The node takes part in auctions again."

    async def _silence(self, about: str, session: Session) -> str:
        if _ALERT.fullmatch(about) is None:
            raise UsageError("this is no alert's name", code="usage.alert")
        start = datetime.now(UTC)
        end = start + timedelta(hours=SILENCE_HOURS)
        await self.sources.silence(about, start=start.isoformat(), end=end.isoformat(), by=session.name)
        return f"{about} is silent for {SILENCE_HOURS} hours."

    async def log(self, request: Request) -> Response:
        """Show the newest actions, and whether the log holds."""
        session = self.desk.seen(request, Right.LOG)

        def read() -> dict[str, Any]:
            records = self.desk.log.newest(LOG_ROWS)
            try:
                checked = actions.verify(self.desk.directory)
            except BpciError as error:
                return {"records": records, "verified": None, "problem": error.message}
            return {"records": records, "verified": checked, "problem": ""}

        return self.pages.page("log.html", session, "/log", await asyncio.to_thread(read))

    async def accounts(self, request: Request) -> Response:
        """List the accounts."""
        session = self.desk.seen(request, Right.MANAGE)
        rows = [item for _, item in sorted(self.desk.accounts().by_name.items())]
        return self.pages.page("accounts.html", session, "/accounts", {"accounts": rows, "roles": list(Role)})

    async def change_accounts(self, request: Request) -> Response:
        """Add or remove an account, or give it another role."""
        _, form = await self.desk.form(request, ("name", "role", "password"))
        what, name = request.path_params["name"], form["name"].strip()
        makers: dict[str, Callable[[], Callable[[Accounts], Accounts]]] = {
            "add": lambda: _adder(name, form["role"], form["password"]),
            "role": lambda: _role_setter(name, form["role"]),
            "remove": lambda: lambda found: found.without(name),
        }
        if what not in makers:
            raise NotFoundError("there is no such action", code="access.action")

        async def do() -> str:
            await asyncio.to_thread(lambda: account_file.change(self.desk.directory, makers[what]()))
            return f"Account {name}: done."

        await self.desk.act(request, Right.MANAGE, f"account.{what}", name, do)
        # Who has changed the own role is signed out by that.
        return RedirectResponse("/accounts", 303)

    async def password_page(self, request: Request) -> Response:
        """Return the form."""
        return self.pages.page("password.html", self.desk.seen(request, Right.LOOK), "/password", {})

    async def password(self, request: Request) -> Response:
        """Change the password of who asks."""
        session, form = await self.desk.form(request, ("old", "new", "again"))
        hashed = self.desk.accounts().find(session.name).password_hash
        replies: list[Response] = []

        async def do() -> str:
            if form["new"] != form["again"]:
                raise UsageError("the two new passwords differ", code="usage.password")
            check_password(form["new"])
            self.desk.throttle(session.name)
            await asyncio.to_thread(verify_password, form["old"], hashed)
            made = await asyncio.to_thread(hash_password, form["new"])
            now_ms = time.time_ns() // 1_000_000

            def make(found: Accounts) -> Accounts:
                return found.with_password(session.name, made, now_ms=now_ms)

            changed = await asyncio.to_thread(account_file.change, self.desk.directory, make)
            # All sessions of the account end with the old password; whoever changed it goes on in a new one.
            now, told = time.monotonic(), "Your password was changed; other sessions of yours have ended."
            token = self.desk.sessions.begin(changed.find(session.name), now=now)
            self.desk.sessions.find(token, changed, now=now).notices.append((True, told))
            replies.append(_with_cookie(RedirectResponse("/", 303), token))
            return told

        await self.desk.act(request, Right.LOOK, "password", session.name, do)
        return replies[0] if replies else RedirectResponse("/password", 303)


def web_app(face: WebFace) -> Starlette:
    """Return the application."""
    desk, pages = face.desk, face.pages

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = FormatError("there is nothing at this path", code="format.path")
        if not isinstance(error, BpciError):
            error = BpciError("the page could not be made", hint="The journal of bpci-web has the reason.")
        if request.url.path.startswith("/_auth/"):
            return Response(status_code=401 if error.code == "access.session" else 403)
        if error.code == "access.session" and request.method == "GET":
            return RedirectResponse("/sign-in", 303)
        values = {"problem": error.as_problem()}
        return _with_wait(pages.page("error.html", None, request.url.path, values, status=status_of(error)), error)

    handlers = dict.fromkeys((BpciError, HTTPException, Exception), refuse)
    app = Starlette(routes=face.routes(), exception_handlers=handlers, middleware=[Middleware(_Noted, desk=desk)])
    # A path with a slash too many would be led to where nobody listens: this process knows nothing of TLS.
    app.router.redirect_slashes = False
    return app


class _Noted:
    """Notes when something was asked last."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app, self._desk = app, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._desk.last_request = time.monotonic()
        await self._app(scope, receive, send)


def status_of(error: BpciError) -> int:
    """Return the HTTP status that an error is shown with."""
    return _STATUS.get(error.code, error.http_status)


def _adder(name: str, role: str, password: str) -> Callable[[Accounts], Accounts]:
    chosen, made, now_ms = role_of(role), hash_password(password), time.time_ns() // 1_000_000
    return lambda found: found.with_new(name, chosen, made, now_ms=now_ms)


def _role_setter(name: str, role: str) -> Callable[[Accounts], Accounts]:
    chosen, now_ms = role_of(role), time.time_ns() // 1_000_000
    return lambda found: found.with_role(name, chosen, now_ms=now_ms)


def role_of(text: str) -> Role:
    """Return the role of a name.

    Raises:
        UsageError: there is none (``usage.role``).
    """
    if text not in list(Role):
        raise UsageError("there is no such role", code="usage.role", hint=f"There are: {', '.join(Role)}.")
    return Role(text)


def _with_cookie(reply: Response, token: str) -> Response:
    reply.set_cookie(
        COOKIE, token, max_age=int(LONGEST_SECONDS), path="/", secure=True, httponly=True, samesite="strict"
    )
    return reply


def _with_wait(reply: Response, error: BpciError) -> Response:
    if isinstance(error, LimitError) and "retry_after_seconds" in error.details:
        reply.headers["Retry-After"] = str(error.details["retry_after_seconds"])
    return reply
