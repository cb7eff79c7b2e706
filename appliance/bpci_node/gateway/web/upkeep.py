"""The page of the machine: logs, repair, network, keyboard and time zone, support bundle, restart and power off.

Invariant: this process may do none of it. It passes on what a form says to the machine's helper, with the owner's login
password, which is kept nowhere; the helper checks both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from bpci_node.access.actions import Action
from bpci_node.access.roles import Right
from bpci_node.errors import BpciError, NotFoundError, RefusedError, UsageError
from bpci_node.gateway.web.desk import Desk, address_of
from bpci_node.gateway.web.helper import MachineHelper
from bpci_node.gateway.web.pages import HEADERS, Pages
from bpci_node.gateway.web.sources import Part
from bpci_node.setup.acts import request as acts
from bpci_node.setup.acts.record import ENDED, now_ms

FIELDS = ("password", "unit", "lines", "layout", "zone", *acts.NETWORK)
TOLD = {
    "look": "The network was looked at.",
    "plan": "The doctor has looked.",
    "repair": "The repair goes on, whatever becomes of this page. Look again in a while.",
    "support": "The bundle is being made. Look again in a while.",
    "try": "The new network settings come into force within seconds, for two minutes unless they are confirmed.",
    "confirm": "The new network settings are kept.",
    "restore": "The network settings before come into force again within seconds.",
    "keyboard": "The keyboard's layout is set.",
    "timezone": "The time zone is set.",
    "restart": "The machine restarts as soon as the node has finished what it has open, two minutes at most.",
    "poweroff": "The machine goes off as soon as the node has finished what it has open, two minutes at most.",
}
"""What is told when an act was begun, or done where that takes no long."""
_SECTIONS = {"look": "network", "plan": "repair"}
"""Where on the page an act is told of, if not under the name of its lane."""
_EXACT = {"ssid", "passphrase"}
_FINDINGS = {"look", "plan"}
"""Acts whose exit status says what they found."""


class Upkeep:
    """Its routes."""

    def __init__(self, desk: Desk, pages: Pages, helper: MachineHelper) -> None:
        self.desk, self.pages, self.helper = desk, pages, helper

    def routes(self) -> list[Route]:
        """Return them all."""
        return [
            Route("/machine", self.machine, methods=["GET"]),
            Route("/machine/bundle", self.bundle, methods=["GET"]),
            Route("/machine/logs", self.logs, methods=["POST"]),
            Route("/machine/{act}", self.act, methods=["POST"]),
        ]

    async def machine(self, request: Request) -> Response:
        """Show what may be done, and how far it is."""
        session = self.desk.seen(request, Right.UPKEEP)
        try:
            found = Part(await self.helper.ask(acts.Request("state")), "")
        except BpciError as error:
            found = Part(None, error.message)
        values = {"found": found, "units": acts.UNITS, "now_ms": now_ms()}
        return self.pages.page("machine.html", session, "/machine", values)

    async def logs(self, request: Request) -> Response:
        """Show the newest lines of the logs."""
        session, form = await self.desk.form(request, FIELDS)
        shown: list[str] = []
        unit = form["unit"].strip()

        async def do() -> str:
            asked = self._request("logs", form | {"unit": unit})
            shown.append(str((await self.helper.ask(asked)).get("text", "")))
            return "The logs were read."

        await self.desk.act(request, Right.UPKEEP, "machine.logs", unit or "all", do)
        if not shown:
            return RedirectResponse("/machine#logs", 303)
        session.notices = session.notices[:-1]
        values = {"text": shown[0], "unit": unit, "lines": form["lines"], "units": acts.UNITS}
        return self.pages.page("machine_logs.html", session, "/machine", values)

    async def bundle(self, request: Request) -> Response:
        """Return the support bundle as a file."""
        session = self.desk.seen(request, Right.UPKEEP)
        size, parts = await self.helper.bundle()
        who = (session.name, session.role.value, address_of(request))
        await self.desk.record(Action(*who, "machine.bundle", "", "done"))
        more = {"Content-Disposition": 'attachment; filename="bpci-support.tar.gz"', "Content-Length": str(size)}
        return StreamingResponse(parts, headers=HEADERS | more, media_type="application/gzip")

    async def act(self, request: Request) -> Response:
        """Have an act begun, or done where it is short."""
        _, form = await self.desk.form(request, FIELDS)
        name = request.path_params["act"]
        if name not in TOLD:
            raise NotFoundError("there is no such action", code="access.action")

        async def do() -> str:
            answer = await self.helper.ask(self._request(name, form))
            return _outcome(name, answer.get("run"))

        await self.desk.act(request, Right.UPKEEP, f"machine.{name}", _about(name, form), do)
        return RedirectResponse(f"/machine#{_SECTIONS.get(name, acts.ACTS[name].lane)}", 303)

    @staticmethod
    def _request(name: str, form: Mapping[str, str]) -> acts.Request:
        """Return the request that a form means, checked as the helper will check it.

        Raises:
            BpciError: it means none (``usage.lines``, ``format.act``).
        """
        known = acts.ACTS[name]
        # Spaces at the ends are part of a network's name and of its passphrase, and of nothing else.
        values = {key: form[key] if key in _EXACT else form[key].strip() for key in known.values if key != "lines"}
        lines = _count(form["lines"]) if "lines" in known.values else 0
        password = form["password"] if known.needs_password else ""
        return acts.parse(acts.Request(name, values, lines, password).encode())


def _outcome(name: str, run: Any) -> str:
    """Return what is told of an act that was begun.

    Raises:
        RefusedError: it has failed already (``host.act``).
    """
    ended = run if isinstance(run, dict) and run.get("state") == ENDED else None
    if ended is None:
        waits = acts.ACTS[name].wait_seconds > 0
        return "It is under way. Look again in a while." if waits else TOLD[name]
    if ended.get("status") and name not in _FINDINGS:
        said = [line for line in str(ended.get("output", "")).splitlines() if line.strip()] or ["no reason was given"]
        reason = next((line for line in said if line.startswith("error: ")), said[-1]).removeprefix("error: ")
        raise RefusedError(f"this did not work: {reason[:250]}", code="host.act")
    return TOLD[name]


def _about(name: str, form: Mapping[str, str]) -> str:
    """Return what the log of actions says of an act: never a password or a passphrase."""
    if name == "try":
        shown = {"static": form["address"], "wifi": form["ssid"]}.get(form["mode"], "")
        text = f"{form['mode']} {shown}"
    else:
        text = {"keyboard": form["layout"], "timezone": form["zone"]}.get(name, "")
    return "".join(char if char.isprintable() else "?" for char in text.strip())[:100]


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= acts.MAX_LINES):
        raise UsageError(f"lines are 1 to {acts.MAX_LINES}", code="usage.lines")
    return int(text)
