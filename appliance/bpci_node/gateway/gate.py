"""The outermost layer of the public API: rates, times, and the net under every fault."""

from __future__ import annotations

import logging
import time
from email.utils import formatdate

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bpci_node.errors import LimitError
from bpci_node.gateway.limits import RateLimit, source_of
from bpci_node.gateway.metrics import Metrics
from bpci_node.gateway.problems import Refuse, fault, refuse_with_problem

log = logging.getLogger("bpci.gateway")

MAX_HELD_BYTES = 128 << 20
"""Bodies of all running requests together."""
TRY_LATER, FAULT = 1013, 1011
"""Codes with which a subscription is closed. Source: RFC 6455, section 7.4, and IANA's registry."""


class Gate:
    """Wraps an application: a token per request and source, bounded memory for bodies, a metric per reply.

    No foreign error gets outside.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        rate: RateLimit | None,
        metrics: Metrics | None,
        refuse: Refuse = refuse_with_problem,
    ) -> None:
        """Wrap ``app``.

        Args:
            rate: requests per source, ``None`` for no limit.
            metrics: where replies are counted, ``None`` for nowhere.
            refuse: makes the replies of those who get no further.
        """
        self._app, self._rate, self._metrics, self._refuse = app, rate, metrics, refuse
        self._second, self._text = 0, b""
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "websocket":
            await self._subscribe(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        started, status = time.perf_counter(), 500
        has_begun = is_complete = False

        async def watched(message: Message) -> None:
            nonlocal status, has_begun, is_complete
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                message["headers"] = [*message.get("headers", []), (b"date", self._date())]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                is_complete = True
            await send(message)

        held_bytes = 0

        async def counted() -> Message:
            nonlocal held_bytes
            message = await receive()
            size = len(message.get("body", b""))
            held_bytes += size
            self._held_bytes += size
            if self._held_bytes > MAX_HELD_BYTES:
                raise LimitError("too many bodies are being read", code="limit.busy", hint="Try again in a second.")
            return message

        try:
            if self._rate is not None:
                self._rate.take(source_of(scope["client"][0] if scope.get("client") else None))
            await self._app(scope, counted, watched)
        except LimitError as error:
            await self._refuse(Request(scope), error, None)(scope, receive, watched)
        except Exception:
            log.exception("a request failed: %s %s", scope["method"], _pattern(scope))
            if not has_begun:
                await self._refuse(Request(scope), fault(), None)(scope, receive, watched)
            elif not is_complete:
                raise  # the connection is closed, so that the reply is not taken for a whole one
        finally:
            self._held_bytes -= held_bytes
            if self._metrics is not None:
                self._metrics.note_request(_pattern(scope), status, time.perf_counter() - started)

    async def _subscribe(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one subscription; to open it costs what a request does."""
        try:
            if self._rate is not None:
                self._rate.take(source_of(scope["client"][0] if scope.get("client") else None))
            await self._app(scope, receive, send)
        except LimitError:
            await receive()
            await send({"type": "websocket.close", "code": TRY_LATER, "reason": "limit.requests"})
        except Exception:
            log.exception("a subscription failed: %s", _pattern(scope))
            await send({"type": "websocket.close", "code": FAULT})

    def _date(self) -> bytes:
        """Return the Date header's value, made anew once a second. Source: RFC 9110, section 6.6.1."""
        now = int(time.time())
        if now != self._second:
            self._second, self._text = now, formatdate(now, usegmt=True).encode("ascii")
        return self._text


def _pattern(scope: Scope) -> str:
    route = scope.get("route")
    return str(getattr(route, "path", "none"))
