"""Opening and closing the doors: the public port and the owner's socket."""

from __future__ import annotations

import asyncio
import errno
import grp
import logging
import os
import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bpci_node.errors import HostError
from bpci_node.gateway.api import Api
from bpci_node.gateway.app import owner_app, public_app
from bpci_node.gateway.gate import Gate
from bpci_node.gateway.limits import ConnectionLimit, RateLimit
from bpci_node.gateway.metrics import Metrics
from bpci_node.gateway.pages import Pages
from bpci_node.gateway.protocol import KEEP_ALIVE_SECONDS, LimitedProtocol, OwnerProtocol, owner_gate
from bpci_node.runtime.node import Node

log = logging.getLogger("bpci.gateway")

BACKLOG = 256
OWNER_CONNECTIONS = 32
MESSAGE_BYTES = 1024
"""Longest message that a subscriber may send; none is waited for."""


class Door:
    """Listening sockets of one application, and the connections that came through them."""

    def __init__(self, app: ASGIApp, protocol: Callable[..., HttpToolsProtocol], *, has_streams: bool) -> None:
        self._config = uvicorn.Config(
            app,
            interface="asgi3",
            http=HttpToolsProtocol,
            ws="websockets-sansio" if has_streams else "none",
            ws_max_size=MESSAGE_BYTES,
            ws_per_message_deflate=False,  # bundles are hashes and signatures: nothing to compress
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # who asks is who holds the connection, whatever a header says
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._protocol = protocol
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    async def open(self, listening: socket.socket) -> None:
        """Accept connections from ``listening``, and from every other socket that it was opened for."""
        loop = asyncio.get_running_loop()

        def connection() -> HttpToolsProtocol:
            return self._protocol(config=self._config, server_state=self._state, app_state={}, _loop=loop)

        if listening.family == socket.AF_UNIX:
            server = await loop.create_unix_server(connection, sock=listening, backlog=BACKLOG)
        else:
            server = await loop.create_server(connection, sock=listening, backlog=BACKLOG)
        self._servers.append(server)

    async def close(self, grace_seconds: float) -> None:
        """Accept nothing new, let requests finish for ``grace_seconds``, then drop what is left."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=grace_seconds)
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()


class NodeFaces:
    """The public API and the owner's socket of one node."""

    def __init__(self, public: Door, owner: Door, addresses: list[str], owner_socket: Path) -> None:
        self._public, self._owner, self._socket = public, owner, owner_socket
        self.addresses = addresses
        """Where the public API listens."""

    async def close(self, grace_seconds: float) -> None:
        """Close both doors."""
        await asyncio.gather(self._public.close(grace_seconds), self._owner.close(grace_seconds))
        self._socket.unlink(missing_ok=True)


async def open_faces(node: Node) -> NodeFaces:
    """Open the public API and the owner's socket of ``node``.

    Raises:
        HostError: the port is taken or not permitted (``api.port``), or the socket can't be made (``api.socket``).
    """
    config = node.config
    limits = config.limits
    connections = ConnectionLimit(limits.connections, limits.connections_per_source)
    owner_connections = ConnectionLimit(OWNER_CONNECTIONS, OWNER_CONNECTIONS)
    metrics = Metrics(node, connections)
    api = Api(node, metrics)
    pages = Pages(api)
    rate = RateLimit(limits.requests_per_second, 2 * limits.requests_per_second, code="limit.requests")
    listening: list[socket.socket] = []
    try:
        host = config.api.listen
        for port in (config.api.port, *filter(None, (config.api.dashboard_port, config.api.faucet_port))):
            listening.append(_listen(host, port))  # noqa: PERF401 - those before one that fails are closed
        shown = f"[{host}]" if isinstance(ip_address(host), IPv6Address) else host
        addresses = [f"http://{shown}:{item.getsockname()[1]}" for item in listening]
        owner_listening = _listen_owner(config.owner.socket, config.owner.group)
    except BaseException:
        for item in listening:
            item.close()
        raise
    may_enter = owner_gate(config.owner.group)
    public = Door(
        Gate(public_app(api, pages), rate=rate, metrics=metrics, refuse=pages.refuse),
        lambda **options: LimitedProtocol(limit=connections, **options),
        has_streams=True,
    )
    owner = Door(
        Gate(owner_app(api, addresses), rate=None, metrics=None),
        lambda **options: OwnerProtocol(limit=owner_connections, may_enter=may_enter, **options),
        has_streams=False,
    )
    await owner.open(owner_listening)
    for item in listening:
        await public.open(item)
    return NodeFaces(public, owner, addresses, config.owner.socket)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if isinstance(ip_address(address), IPv6Address) else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that name their protocol; with it on, each answer on a
    # kept connection waits some 40 ms for the peer's delayed acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise HostError(
                f"port {port} on {address} is taken",
                code="api.port",
                hint=f"See by what with 'ss -ltnp sport = :{port}', or choose another port.",
            ) from error
        raise HostError(
            f"cannot listen on {address} port {port}: {error.strerror}",
            code="api.port",
            hint="Set api.listen to an address of this machine, and a port above 1023.",
        ) from error
    return listening


def _listen_owner(path: Path, group: str) -> socket.socket:
    """Make the owner's socket; the state directory's lock says that no other node of ours uses it."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_dead_socket(path)
        mask = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(mask)
        _open_to_group(path, group)
    except OSError as error:
        listening.close()
        raise HostError(
            f"cannot make the owner's socket {path}: {error.strerror}",
            code="api.socket",
            hint="Set owner.socket to a path in a directory that the node may write to.",
        ) from error
    except HostError:
        listening.close()
        raise
    return listening


def _remove_dead_socket(path: Path) -> None:
    """Remove a socket that nobody listens on any more, as a killed process leaves it."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise HostError(
                f"another process listens on {path}", code="api.socket", hint="Stop it, or set another owner.socket."
            )


def _open_to_group(path: Path, group: str) -> None:
    """Let the owner's group connect; who it really is, is asked of the kernel at every connection."""
    if not group:
        return
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
    except KeyError:
        log.info("there is no group %s: only root and the node's own user may use %s", group, path)
    except PermissionError:
        log.warning("the node is not in group %s: only root and its own user may use %s", group, path)
