"""Pages for people: what every page of the node's web face shares.

Pages are made here, of templates that are part of the package, and work without script. Whatever comes from outside
(names, bodies of commands, notes of submitters) is escaped by the template engine, and shown with its invisible
characters made visible. An error is a page for a browser and a problem for everybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from bpci_node import __version__
from bpci_node.errors import BpciError, LimitError, NotFoundError
from bpci_node.gateway.api import Api
from bpci_node.gateway.page_text import page_environment
from bpci_node.gateway.problems import problem_of, problem_response

HTML = "text/html; charset=utf-8"
MAX_TURNS = 32
"""Pages that are made or wait to be made, at most."""
AT_ONCE = 2
"""Pages that are made at the same time; the rest of the machine is for the node."""
PAGE_ROWS = 50
"""Rows of a table on one page."""

_POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_SCRIPT_POLICY = {"script-src": "'self'", "connect-src": "'self'", "worker-src": "'self'"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_ASSETS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
"""What lies beside the templates and is given out as it is, by the end of its name."""
_FOR_PROGRAMS = ("/v1/", "/owner/", "/metrics", "/healthz", "/readyz", "/openapi.json")
"""Paths whose errors are problems, whoever asks."""

NAVIGATION = (
    ("/", "Overview"),
    ("/blocks", "Blocks"),
    ("/nodes", "Nodes"),
    ("/proposals", "Proposals"),
    ("/auctions", "Auctions"),
    ("/bundles", "Bundles"),
)
"""Path and name of every page that each page links to."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, not yet made."""

    template: str
    """Name of its template, such as ``blocks.html``."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the template shows."""
    status: int = 200
    """HTTP status."""
    has_script: bool = False
    """Whether scripts of the node's own may run on it."""


class Pages:
    """Makes the pages of one node."""

    def __init__(self, api: Api) -> None:
        self.api, self.node = api, api.node
        self.navigation = list(NAVIGATION)
        """What is linked from every page; who adds pages adds theirs before the first request."""
        self._turns, self._taken = asyncio.Semaphore(AT_ONCE), 0
        self._environment = page_environment("bpci_node.gateway")

    async def answer(self, request: Request, prepare: Callable[[], Awaitable[Page]]) -> Response:
        """Return the page that ``prepare`` gives the values of; the markup is made off the event loop.

        Raises:
            LimitError: too many pages for this address (``limit.pages``), or for the node (``limit.busy``).
            BpciError: what ``prepare`` raises.
        """
        async with self._turn(request):
            page = await prepare()
            return await asyncio.to_thread(self.render, request, page)

    async def download(self, request: Request, name: str, prepare: Callable[[], Awaitable[bytes]]) -> Response:
        """Return bytes as a file that a browser stores under ``name``.

        Raises:
            LimitError, BpciError: as :meth:`answer`.
        """
        async with self._turn(request):
            data = await prepare()
        disposition = f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(name)}"
        headers = _HEADERS | {"Content-Disposition": disposition}
        return Response(data, headers=headers, media_type="application/octet-stream")

    def render(self, request: Request, page: Page) -> Response:
        """Return the reply with a page."""
        policy = _POLICY | (_SCRIPT_POLICY if page.has_script else {})
        text = self._environment.get_template(page.template).render(
            version=__version__,
            node_name=self.node.config.node.name,
            ledger_id=self.node.network.ledger_id,
            navigation=self.navigation,
            path=request.url.path,
            **page.values,
        )
        headers = _HEADERS | {"Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items())}
        return Response(text, page.status, headers, HTML)

    def refuse(self, request: Request, error: BpciError, headers: Mapping[str, str] | None = None) -> Response:
        """Return ``error`` as a page if a browser asked for one, else as a problem."""
        path = request.url.path
        is_page = "text/html" in request.headers.get("accept", "") and not path.startswith(_FOR_PROGRAMS)
        reply = problem_response(error, headers)
        if not is_page:
            return reply
        page = self.render(request, Page("error.html", {"problem": problem_of(error)}, reply.status_code))
        if "retry-after" in reply.headers:
            page.headers["Retry-After"] = reply.headers["retry-after"]
        return page

    @asynccontextmanager
    async def _turn(self, request: Request) -> AsyncIterator[None]:
        """Let one page at a time and source be made, and few in all."""
        self.api.allow_page(request)
        if self._taken >= MAX_TURNS:
            raise LimitError("too many pages are being made", code="limit.busy", hint="Try again in a second.")
        self._taken += 1
        try:
            async with self._turns:
                yield
        finally:
            self._taken -= 1


def asset_routes() -> APIRouter:
    """Return the route of style sheets and scripts: the files of the package and nothing else."""
    router = APIRouter(include_in_schema=False)
    found = {
        item.name: (item.read_bytes(), media_type)
        for item in files("bpci_node.gateway").joinpath("templates").iterdir()
        for suffix, media_type in _ASSETS.items()
        if item.name.endswith(suffix)
    }

    @router.get("/static/{name}")
    async def asset(name: str) -> Response:
        if name not in found:
            raise NotFoundError("there is nothing at this path", code="format.path")
        data, media_type = found[name]
        # The address carries the version, so it may be kept.
        return Response(data, headers=_HEADERS | {"Cache-Control": "max-age=86400"}, media_type=media_type)

    return router


def in_thread(work: Callable[[], Page]) -> Callable[[], Awaitable[Page]]:
    """Return what :meth:`Pages.answer` takes, for work that reads and does not wait."""
    return partial(asyncio.to_thread, work)
