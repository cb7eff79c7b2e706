"""Connections: how many, how slow, how large their headers, and on the owner's socket whose.

These are uvicorn's connections with the limits that it leaves out. A connection beyond a limit gets one problem and
is closed; a client that sends its headers, or takes its reply, too slowly is dropped.
"""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import pwd
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bpci_node.errors import AccessError, BpciError, FormatError, LimitError
from bpci_node.gateway.limits import ConnectionLimit, source_of
from bpci_node.gateway.problems import raw_problem

log = logging.getLogger("bpci.gateway")

HEADER_BYTES = 16 * 1024
"""Longest head of a request: request line and all headers."""
HEADER_SECONDS = 10.0
"""Time that a client has for sending a head."""
STALL_SECONDS = 30.0
"""Time that a client may leave its reply lying."""
DRAIN_BYTES = 16 << 20
"""How much of a body is still read after its request was refused."""
LINGER_SECONDS = 1.0
"""Time that a client has for reading why it was turned away."""
KEEP_ALIVE_SECONDS = 20
"""Time that a connection may stay open between requests."""

_PEER = struct.Struct("3i")  # pid, uid, gid. Source: unix(7), SO_PEERCRED


class _GentleTransport:
    """A transport whose closing leaves the client time to read an answer that came before its request had ended.

    Closing a socket with unread bytes resets the connection, and a reset takes the answer along.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self.close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class LimitedProtocol(HttpToolsProtocol):
    """One connection, with bounds on heads, stalls and their numbers."""

    def __init__(self, *args: Any, limit: ConnectionLimit, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limit = limit
        self._source: str | None = None
        self._is_turned_away = False
        self._in_message = False
        self._head_bytes: int | None = None
        self._drained_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Let the connection in, unless there are too many."""
        super().connection_made(transport)
        self._close_now = transport.close
        self._own_transport = transport
        self.transport = _GentleTransport(transport, self._close)  # type: ignore[assignment]  # delegates all else
        source = source_of(self.client[0] if self.client else None)
        if not self._limit.enter(source):
            self._turn_away(LimitError("too many connections", code="limit.connections", hint="Close some first."))
            self._close_now()
            return
        self._source = source
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        if self._source is not None:
            self._limit.leave(self._source)
            self._source = None
        self._stop_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes: count those of a head, and let those of a body that nobody wants any more run out."""
        if self._is_turned_away or self.transport.is_closing():
            return
        if self._in_message and self.cycle is not None and self.cycle.response_complete:
            self._drain(len(data))
        elif not self._in_message and self._head_bytes is None:
            self._await_head()
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEADER_BYTES:
                self._turn_away(LimitError("the request's headers are too long", code="limit.headers"))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop the clock of the head."""
        self._head_bytes = None
        self._stop_timer()
        # A head that came in one piece was not counted while it came.
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEADER_BYTES:
            self._turn_away(LimitError("the request's headers are too long", code="limit.headers"))
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if not self._is_turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has been read to its end."""
        self._in_message, self._drained_bytes = False, 0
        if not self._is_turned_away:
            self._stop_timer()
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a subscription, which keeps its place among the connections."""
        if self._is_turned_away:
            return
        self._stop_timer()
        source, self._source = self._source, None
        self.transport = self._own_transport
        self.ws_protocol_class = partial(  # type: ignore[assignment]  # it is called, and makes one
            _Subscription, leave=lambda: None if source is None else self._limit.leave(source)
        )
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """The client takes its reply too slowly: give it a while."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It goes on."""
        self._stop_stall_timer()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in our own words."""
        del msg
        self._turn_away(FormatError("this is not an HTTP request", code="format.http"))

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._stop_timer()
        self._timer = self.loop.call_later(HEADER_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        if not self.transport.is_closing():
            self._turn_away(LimitError("the request did not arrive in time", code="limit.slow"))

    def _drain(self, size: int) -> None:
        """Read on after an early answer, so that the client sees it instead of a reset; but not for ever."""
        if not self._drained_bytes:
            self._stop_timer()
            self._timer = self.loop.call_later(HEADER_SECONDS, self.transport.abort)
        self._drained_bytes += size
        if self._drained_bytes > DRAIN_BYTES:
            self.transport.abort()

    def _turn_away(self, error: BpciError) -> None:
        """Send the reason and half-close; what the client still sends is dropped, until it has had time to read."""
        if self._is_turned_away:
            return
        self.transport.write(raw_problem(error))
        self._linger()

    def _close(self) -> None:
        """Close, at once if the request was read to its end."""
        if self._in_message and not self._is_turned_away:
            self._linger()
        else:
            self._close_now()

    def _linger(self) -> None:
        self._is_turned_away = True
        self._head_bytes = None
        self._stop_timer()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self._close_now)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class _Subscription(WebSocketsSansIOProtocol):
    """A connection that became a WebSocket: bounded in what it may send, and in how long it may not read."""

    def __init__(self, *args: Any, leave: Callable[[], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._leave = leave
        self._stall: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The subscriber takes its messages too slowly: give it a while."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        self._stop_stall()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._stop_stall()
        self._leave()
        super().connection_lost(exc)

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class OwnerProtocol(LimitedProtocol):
    """A connection to the owner's socket: only root, the node's own user and the owner's group get in."""

    def __init__(self, *args: Any, may_enter: Callable[[int, int], bool], **options: Any) -> None:
        super().__init__(*args, **options)
        self._may_enter = may_enter

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Ask the kernel who is at the other end, once per connection."""
        super().connection_made(transport)
        peer: socket.socket = transport.get_extra_info("socket")
        pid, uid, gid = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if not self._may_enter(uid, gid):
            log.warning("uid %d (pid %d) was refused at the owner's socket", uid, pid)
            self._turn_away(
                AccessError(
                    "only the owner may use this socket",
                    code="access.owner",
                    hint="Use sudo, or become a member of the owner's group.",
                )
            )


def owner_gate(group: str) -> Callable[[int, int], bool]:
    """Return the rule of who may use the owner's socket.

    Args:
        group: name of the owner's group, empty for none.
    """
    own = os.getuid()

    def may_enter(uid: int, gid: int) -> bool:
        return uid in (0, own) or (bool(group) and _is_member(uid, gid, group))

    return may_enter


def _is_member(uid: int, gid: int, group: str) -> bool:
    """Tell whether a user is in ``group``, by the system's data of this moment (a membership can be taken away)."""
    try:
        wanted = grp.getgrnam(group)
        user = pwd.getpwuid(uid)
    except KeyError:
        return False
    return wanted.gr_gid in (gid, user.pw_gid) or user.pw_name in wanted.gr_mem
