"""Who is told, in a machine of the tests: a web server on port 8080 and a mail server on port 2525.

Everything that arrives becomes one line of JSON on standard output. It runs with the machine's own Python, alone.
"""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def note(**item: str) -> None:
    print(json.dumps(item), flush=True)  # noqa: T201


class Web(BaseHTTPRequestHandler):
    """Takes whatever is posted or fetched."""

    def do_POST(self) -> None:
        """Take a request, and write it down."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        note(path=self.path, body=body.decode(), authorization=self.headers.get("Authorization", ""))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the base class names it so

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Mail(socketserver.StreamRequestHandler):
    """Takes letters, without encryption, from whoever knows the password."""

    def say(self, line: str) -> None:
        """Send a line."""
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        """Hold one conversation."""
        self.say("220 sink")
        signed_in = ""
        while line := self.rfile.readline().decode().strip():
            command = line.upper()
            if command.startswith("EHLO"):
                self.say("250-sink\r\n250 AUTH PLAIN")
            elif command.startswith("AUTH PLAIN "):
                signed_in = line.split()[2]
                self.say("235 welcome")
            elif command == "DATA":
                self.say("354 go on")
                letter = "".join(iter(lambda: self.rfile.readline().decode(), ".\r\n"))
                note(letter=letter, signed_in=signed_in)
                self.say("250 taken")
            elif command == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 well")


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    web = ThreadingHTTPServer(("127.0.0.1", 8080), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    socketserver.ThreadingTCPServer(("127.0.0.1", 2525), Mail).serve_forever()
