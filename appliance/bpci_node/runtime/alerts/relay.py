"""The relay: one HTTP request of Alertmanager's on a connection that the service manager accepted, one delivery.

It lives as long as its one delivery, so that it costs no memory between alerts. Alertmanager groups, repeats and tries
again: 503 says that trying again may help, any other refusal that it does not.
"""

from __future__ import annotations

import socket
import socketserver
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import cast

from bpci_node.errors import BpciError, UnreachableError
from bpci_node.runtime.alerts import records
from bpci_node.runtime.alerts.config import Receiver
from bpci_node.runtime.alerts.delivery import deliver
from bpci_node.runtime.alerts.message import MAX_BYTES, compose, read_notification
from bpci_node.runtime.alerts.rendering import TEST_ALERT

REQUEST_SECONDS = 10.0
"""Time that Alertmanager may take to send its request."""


def serve(connection: socket.socket, receivers: Mapping[str, Receiver], directory: Path) -> None:
    """Answer the one request on ``connection``.

    Args:
        directory: of the records.
    """
    connection.settimeout(REQUEST_SECONDS)
    with connection:
        _Handler(connection, receivers, directory)


class _Handler(BaseHTTPRequestHandler):
    """Reads the request and answers it; the base class does both when it is made."""

    server_version = "bpci"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, receivers: Mapping[str, Receiver], directory: Path) -> None:
        self._receivers, self._directory = receivers, directory
        super().__init__(connection, ("", 0), cast("socketserver.BaseServer", None))  # it asks nothing of a server

    def do_POST(self) -> None:
        """Deliver the notification to the receiver that the path names."""
        self.close_connection = True
        receiver = self._receivers.get(self.path[1:])
        length = self.headers.get("Content-Length", "")
        if receiver is None:
            self._answer(404, "no receiver of this name; run 'bpci alerts apply'")
        elif not (length.isascii() and length.isdigit() and len(length) < 10):
            self._answer(411, "a length is needed")
        elif int(length) > MAX_BYTES:
            self._answer(413, f"at most {MAX_BYTES} bytes are read")
        else:
            self._deliver(self.path[1:], receiver, self.rfile.read(int(length)))

    def _deliver(self, name: str, receiver: Receiver, body: bytes) -> None:
        try:
            alerts = read_notification(body)
        except BpciError as error:
            self._answer(400, error.message)
            return
        test_id = None
        if alerts[0].labels.get("alertname") == TEST_ALERT:
            test_id = alerts[0].labels.get("test_id")
        reason = rest = None
        try:
            rest = deliver(receiver, compose(alerts, socket.gethostname()), body)
        except UnreachableError as error:
            reason = error.message
        now_ms = time.time_ns() // 1_000_000
        try:
            records.note(self._directory, name, now_ms=now_ms, reason=reason or rest, test_id=test_id)
        except OSError as error:
            # On a full disk people must be told all the same, and once.
            self.log_error("what became of %s is not recorded: %s", name, error.strerror)
        if reason or rest:
            self.log_error("%s: %s", name, reason or rest)
        # What somebody took is not tried again for the others: it would come to him each time.
        self._answer(200 if reason is None else 503, reason or "delivered")

    def _answer(self, status: int, text: str) -> None:
        data = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of what went well: the records do."""
