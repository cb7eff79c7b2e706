"""The console's pages in a browser: the same lines, behind the machine's web front and its sign-in.

Started by a socket when somebody looks, and ended when nobody does any more. It listens on this machine alone, tells
nothing that the public API and any user of the machine do not tell, and acts on nothing. A page renews itself without
any script; nothing is fetched from anybody else.
"""

from __future__ import annotations

import html
import os
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bpci_node.errors import UsageError
from bpci_node.setup.system import System
from bpci_tui.console import Looker
from bpci_tui.pages import doctor_lines, lines_of, network_lines

FIRST_DESCRIPTOR = 3
"""Source: sd_listen_fds(3)."""
IDLE_SECONDS = 300.0
KEEP_SECONDS = 2.0
"""How long one look serves everybody who asks."""
RENEW_SECONDS = 5
ROLES = ("owner", "operator")
PAGES = {"": ("State", lines_of), "doctor": ("Doctor", doctor_lines), "network": ("Network", network_lines)}
FRAME = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{seconds}"><title>{title} - BPCI console</title><style>
body {{ background: #101418; color: #e6e6e6; margin: 1rem; font: 1rem/1.4 monospace }}
a {{ color: #6cb6ff; margin-right: 2ch }} a[aria-current] {{ color: inherit; font-weight: bold; text-decoration: none }}
pre {{ font: inherit; white-space: pre-wrap; overflow-wrap: anywhere }}
</style></head><body><nav>{links} <a href="/">Dashboard</a></nav><main><pre>{text}</pre></main></body></html>
"""
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Pages:
    """The pages as they were at the last look, which many may ask for at once."""

    def __init__(self, system: System, port: int) -> None:
        self._looker = Looker(system, port)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, str]] = {}

    def page(self, name: str) -> str:
        """Return the page ``name`` of :data:`PAGES`, at most :data:`KEEP_SECONDS` old."""
        title, lines = PAGES[name]
        with self._lock:
            made, text = self._kept.get(name, (0.0, ""))
            if not text or time.monotonic() - made > KEEP_SECONDS:
                # The last line names keys, and there are links instead.
                text = _framed(name, title, lines(self._looker.look(lines))[:-1])
                self._kept[name] = (time.monotonic(), text)
            return text


class Handler(BaseHTTPRequestHandler):
    """Answers what the web front has let through."""

    pages: Pages
    timeout = 10
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Return a page to an owner or an operator."""
        name = self.path.partition("?")[0].removeprefix("/console/")
        if self.headers.get("X-Bpci-Role", "") not in ROLES:
            self._answer(HTTPStatus.FORBIDDEN, "The console is for the owner and for operators.")
        elif name not in PAGES:
            self._answer(HTTPStatus.NOT_FOUND, "There is no such page.")
        else:
            self._answer(HTTPStatus.OK, self.pages.page(name))

    def _answer(self, status: HTTPStatus, text: str) -> None:
        data = text.encode()
        self.send_response_only(status)
        for key, value in HEADERS.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the web front keeps the log."""


class Server(ThreadingHTTPServer):
    """Serves until nobody has asked for a while."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, pages: Pages, *, idle_seconds: float = IDLE_SECONDS) -> None:
        handler = type("ConsoleHandler", (Handler,), {"pages": pages})
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self._idle_seconds = idle_seconds
        self._asked = time.monotonic()

    def process_request(self, request: object, client_address: object) -> None:
        """Note that somebody asks."""
        self._asked = time.monotonic()
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def serve_while_asked(self) -> None:
        """Serve, and return when nobody has asked for a while."""
        self.timeout = min(5.0, self._idle_seconds)
        while time.monotonic() - self._asked < self._idle_seconds:
            self.handle_request()


def serve(system: System, *, port: int) -> None:
    """Serve on the socket that the service manager has handed over.

    Raises:
        UsageError: it has handed none over (``usage.call``).
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        raise UsageError("this is what bpci-web-console.socket starts", code="usage.call")
    with socket.socket(fileno=FIRST_DESCRIPTOR) as listening, Server(listening, Pages(system, port)) as server:
        server.serve_while_asked()


def _framed(name: str, title: str, lines: list[str]) -> str:
    links = " ".join(
        f'<a href="/console/{item}"{" aria-current=page" if item == name else ""}>{label}</a>'
        for item, (label, _) in PAGES.items()
    )
    text = html.escape("\n".join(line.rstrip() for line in lines))
    return FRAME.format(seconds=RENEW_SECONDS, title=html.escape(title), links=links, text=text)
