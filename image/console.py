"""A line to a machine as a terminal: what it shows, what it said, and typing on it."""

from __future__ import annotations

import re
import threading
import time
from typing import IO, Protocol

import pyte

from image.terminal import Terminal

COLUMNS, ROWS = 80, 24
KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "down": "\x1b[B",
}
"""What a VT220 sends for a key."""


class Line(Protocol):
    """What bytes go over, such as a socket."""

    def recv(self, limit: int, /) -> bytes:
        """Wait for bytes; none at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send bytes."""

    def close(self) -> None:
        """Let go of it."""


class Console(Terminal):
    """A line, the serial one mostly, as an 80×24 terminal."""

    def __init__(self, connection: Line, log: IO[bytes]) -> None:
        self._connection = connection
        self._log = log
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._said = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = self._connection.recv(65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self._log.write(data)
                self._log.flush()
                self._said += data
                self._stream.feed(data)

    def text(self) -> str:
        """Return the 24 lines that the screen shows."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def said(self) -> str:
        """Return everything that came over the line since the machine was switched on."""
        with self._lock:
            return self._said.decode(errors="replace")

    def wait_for(self, pattern: str, timeout: float = 240, *, said: bool = False) -> re.Match[str]:
        """Wait until the screen shows ``pattern`` (or, with ``said``, until it ever came over the line).

        Raises:
            MachineError: it did not within ``timeout`` seconds; with what the screen shows instead.
        """
        if not said:
            return super().wait_for(pattern, timeout)
        return self.wait_until(lambda: re.search(pattern, self.said(), re.MULTILINE), f"/{pattern}/", timeout)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._connection.sendall(text.encode())

    def press(self, *keys: str) -> None:
        """Press named keys (:data:`KEYS`), with the pause that tells a lone escape from the start of a sequence."""
        for key in keys:
            self._connection.sendall(KEYS[key].encode())
            time.sleep(0.3)

    def close(self) -> None:
        """Let go of the line."""
        self._connection.close()
        self._thread.join(5)
        self._log.close()
