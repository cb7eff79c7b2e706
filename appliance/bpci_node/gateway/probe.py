"""Can others reach this node? The registry tries, once, at the address from which it was asked.

The address is the connection's own and the path is fixed, so nobody can aim the registry at a third party; ports of
system services are not tried; redirects are not followed; what was read is never shown, the answer is yes or no.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json

PROBE_SECONDS = 3.0
PROBE_BYTES = 64 * 1024
_REQUEST = b"GET /v1/status HTTP/1.1\r\nHost: node\r\nAccept: application/json\r\nConnection: close\r\n\r\n"


async def answers_as(address: str, port: int, did: str) -> bool:
    """Tell whether a node whose key is named ``did`` answers at ``address`` on ``port``.

    Args:
        address: IP address, without brackets.
    """
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            status, body = await _fetch(address, port)
    except (OSError, TimeoutError, httptools.HttpParserError):
        return False
    if status != 200:
        return False
    try:
        value: Any = read_json(body, max_bytes=PROBE_BYTES, allow_fractions=True)
    except FormatError:
        return False
    node = value.get("node") if isinstance(value, dict) else None
    return isinstance(node, dict) and node.get("did") == did


async def _fetch(address: str, port: int) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(address, port, limit=PROBE_BYTES)
    try:
        writer.write(_REQUEST)
        await writer.drain()
        reply = _Reply()
        read = 0
        while not reply.is_complete and read < PROBE_BYTES:
            part = await reader.read(PROBE_BYTES - read)
            if not part:
                break
            read += len(part)
            reply.feed(part)
        return (reply.status if reply.is_complete else 0), b"".join(reply.body)
    finally:
        writer.close()


class _Reply:
    """Collects one HTTP reply."""

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.is_complete = False
        self.status = 0
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """Keep the status."""
        self.status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self.body.append(part)

    def on_message_complete(self) -> None:
        """The reply is whole."""
        self.is_complete = True
