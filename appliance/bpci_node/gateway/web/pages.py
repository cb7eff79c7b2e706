"""Pages of the signed-in web face: templates that escape, no script, nothing kept by browsers or proxies."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from starlette.responses import Response

from bpci_node import __version__
from bpci_node.access.roles import RIGHTS, Right
from bpci_node.access.sessions import Session
from bpci_node.gateway.page_text import page_environment

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that a browser sends "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PLACES = (
    ("/", "Dashboard", Right.LOOK),
    ("/console/", "Console", Right.CONSOLE),
    ("/machine", "Machine", Right.UPKEEP),
    ("/prometheus/", "Metrics", Right.LOOK),
    ("/log", "Log", Right.LOG),
    ("/accounts", "Accounts", Right.MANAGE),
    ("/password", "Password", Right.LOOK),
)


class Pages:
    """Makes the pages of one machine."""

    def __init__(self, hostname: str) -> None:
        """Take the machine's name, which every page shows."""
        self._hostname = hostname
        self._environment = page_environment("bpci_node.gateway.web")
        self._style = files("bpci_node.gateway").joinpath("templates", "style.css").read_bytes()

    def page(
        self, name: str, session: Session | None, path: str, values: Mapping[str, Any], *, status: int = 200
    ) -> Response:
        """Return the page of a template.

        Args:
            session: of whoever asks; ``None`` while nobody is signed in.
            path: of the request.
        """
        rights = frozenset[Right]() if session is None else RIGHTS[session.role]
        notices: list[tuple[bool, str]] = []
        if session is not None:
            notices, session.notices = session.notices, []
        text = self._environment.get_template(name).render(
            version=__version__,
            hostname=self._hostname,
            session=session,
            notices=notices,
            places=[(place, label) for place, label, right in _PLACES if right in rights],
            may={right.value: right in rights for right in Right},
            path=path,
            **values,
        )
        return Response(text, status, HEADERS, "text/html; charset=utf-8")

    def style(self) -> Response:
        """Return the style sheet, the same as that of the node's own pages."""
        return Response(self._style, headers=HEADERS | {"Cache-Control": "max-age=86400"}, media_type="text/css")
