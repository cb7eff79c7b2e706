"""The process: takes the socket that systemd listens on, serves, and ends when nobody has any use for it."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import uvicorn
from systemd import daemon

from bpci_node.errors import UsageError
from bpci_node.gateway.web.app import WebFace, web_app
from bpci_node.gateway.web.desk import Desk
from bpci_node.gateway.web.pages import Pages
from bpci_node.gateway.web.sources import Sources
from bpci_node.runtime.service import notify

log = logging.getLogger("bpci.web")

IDLE_SECONDS = 300.0
LOOK_SECONDS = 15.0
CONNECTIONS = 128


def inherited_socket() -> socket.socket:
    """Return the socket that the service manager has opened.

    Raises:
        UsageError: there is none (``usage.socket``). Source: sd_listen_fds(3).
    """
    found = daemon.listen_fds()
    if len(found) != 1:
        raise UsageError(
            "no socket was handed over",
            code="usage.socket",
            hint="bpci-web.socket starts this; for a trial name a socket with --listen.",
        )
    return socket.socket(fileno=found[0])


def bound_socket(path: Path) -> socket.socket:
    """Return a new socket at ``path``, for its owner alone.

    Raises:
        OSError: it can't be made.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen(CONNECTIONS)
    return listening


def serve(
    listening: socket.socket, *, accounts: Path, tls: Path, owner_socket: Path, idle_seconds: float = IDLE_SECONDS
) -> None:
    """Serve until told to stop, or until nobody was signed in or asked for anything for ``idle_seconds``."""
    asyncio.run(_serve(listening, Desk(accounts), Sources(owner_socket, tls=tls), idle_seconds))


async def _serve(listening: socket.socket, desk: Desk, sources: Sources, idle_seconds: float) -> None:
    face = WebFace(desk, Pages(socket.gethostname()), sources)
    server = uvicorn.Server(
        uvicorn.Config(
            web_app(face),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
        )
    )

    async def end_when_idle() -> None:
        while not desk.is_idle(seconds=idle_seconds):  # noqa: ASYNC110 - idleness is time that passes, no event
            await asyncio.sleep(min(LOOK_SECONDS, idle_seconds))
        log.info("nobody is signed in: stopping until somebody comes")
        server.should_exit = True

    notify(READY=1)
    watcher = asyncio.create_task(end_when_idle())
    try:
        await server.serve([listening])
    finally:
        watcher.cancel()
        await sources.close()
