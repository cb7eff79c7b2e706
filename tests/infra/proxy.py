"""A forward proxy on loopback that tunnels and fetches for whoever asks, and remembers for which hosts."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 65_536
PATIENCE_SECONDS = 120.0


@dataclass
class Proxy:
    """A running proxy."""

    url: str
    """What ``http_proxy`` is set to."""
    hosts: set[str] = field(default_factory=set)
    """Where it connected."""


@contextmanager
def proxy() -> Iterator[Proxy]:
    """Run a proxy; connections that are open at the end are cut."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Proxy(f"http://127.0.0.1:{server.getsockname()[1]}")
        accepting = threading.Thread(target=_accept, args=(server, found), daemon=True)
        accepting.start()
        yield found
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    accepting.join(10)


def _accept(server: socket.socket, found: Proxy) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, found), daemon=True).start()


def _serve(client: socket.socket, found: Proxy) -> None:
    with client, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(4096)
            if not part or len(head) > MAX_HEAD_BYTES:
                return
            head += part
        line, rest = head.split(b"\r\n", 1)
        method, target, version = line.decode("ascii").split(" ")
        is_tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if is_tunnel else target)
        assert parts.hostname is not None
        found.hosts.add(parts.hostname)
        with socket.create_connection((parts.hostname, parts.port or 80), PATIENCE_SECONDS) as upstream:
            if is_tunnel:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                path = parts.path + (f"?{parts.query}" if parts.query else "")
                # One request for each connection, so that the next one names its host again.
                fields, body = rest.split(b"\r\n\r\n", 1)
                kept = [item for item in fields.split(b"\r\n") if not item.lower().startswith(b"connection:")]
                upstream.sendall(
                    f"{method} {path or '/'} {version}\r\n".encode()
                    + b"\r\n".join([*kept, b"Connection: close"])
                    + b"\r\n\r\n"
                    + body
                )
            _join(client, upstream)


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes in both directions until either side ends."""
    across = {one: other, other: one}
    while True:
        readable, _, _ = select.select([one, other], [], [], PATIENCE_SECONDS)
        if not readable:
            return
        for side in readable:
            data = side.recv(65_536)
            if not data:
                return
            across[side].sendall(data)
