"""The machine's console after set-up: the node's state, and a way to sign in. Plain lines, no screen library.

It runs for months on every terminal of the machine, as a user who may do nothing: so it is small, knows only what the
node tells anyone over its public API, and acts on nothing. "S" ends it with :data:`SIGN_IN`; whoever started it (root)
then offers a login.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from bpci_node.errors import FormatError
from bpci_node.primitives.json_text import read_json
from bpci_node.setup.interfaces import own_addresses
from bpci_node.setup.system import System

SIGN_IN = 10
"""Exit status that asks for a login."""
REFRESH_SECONDS = 2.0
REPLY_BYTES = 1 << 20
WIDTH = 79
"""One column less than a terminal has: a line that fills the last one wraps on some."""

_CLEAR, _HIDE, _SHOW = "\x1b[H\x1b[J", "\x1b[?25l", "\x1b[?25h"


@dataclass(frozen=True, slots=True)
class State:
    """What is known of the node at one moment."""

    hostname: str
    addresses: list[str]
    """The machine's own, without prefix."""
    port: int
    """Of the node's API."""
    status: dict[str, Any] | None
    """The node's answer to ``/v1/status``; ``None`` when it gave none."""
    sealed: int | None
    """Bundles that it has sealed since it started; ``None`` when it does not say."""
    obstacles: list[str]
    """Why the node is not ready, for people; empty when it is."""


def read_state(system: System, port: int) -> State:
    """Ask the node on this machine how it is."""
    status = _get(port, "/v1/status")
    ready = _get(port, "/readyz") if status is not None else None
    obstacles = [str(item.get("title", item)) for item in (ready or {}).get("obstacles", [])]
    sealed = _sealed(port) if status is not None else None
    return State(socket.gethostname(), own_addresses(system), port, status, sealed, obstacles)


def lines_of(state: State) -> list[str]:
    """Return the screen, at most 22 lines of at most 79 characters."""
    lines = [f" BPCI Community OS    {state.hostname}", ""]
    hosts = [f"[{address}]" if ":" in address else address for address in state.addresses]
    shown = [f"http://{host}:{state.port}" for host in hosts[:2]] or ["no network address: is the cable in?"]
    lines += [_row("Address" if index == 0 else "", text) for index, text in enumerate(shown)]
    if state.status is None:
        lines += [_row("Node", "does not answer; signed in, see 'journalctl -u bpci-node'")]
    else:
        node, ledger, targets = state.status["node"], state.status["ledger"], state.status["targets"]
        lines += [
            _row("Node", f"{node['name']} ({node['type']}), version {state.status['version']}"),
            _row("Health", "ready" if not state.obstacles else "NOT READY: " + "; ".join(state.obstacles)),
            _row("Registered", "yes" if node["registered"] else "NO: signed in, run 'sudo bpci registry register'"),
            _row("Identity", node["did"]),
            _row("Account", node["account"]),
            _row("Ledger", str(ledger["id"]).partition(":")[0] + f" ({ledger['mode']})"),
            _row("Height", "unknown" if ledger.get("height") is None else str(ledger["height"])),
        ]
        for name, target in sorted(targets.items())[:4]:
            lines.append(_row("Pool", f"{name}: {target['count']} entries"))
        lines.append(
            _row("Bundles", "unknown" if state.sealed is None else f"{state.sealed} sealed since the node started")
        )
    return [_plain(line) for line in [*lines, "", " S  sign in as the owner"]]


def run(system: System, *, port: int, read_key: Callable[[float], str | None] | None = None) -> int:
    """Show the state until somebody wants to sign in; return :data:`SIGN_IN`, or 0 when the terminal is gone.

    Args:
        read_key: waits for a key for so many seconds; returns it, ``None`` for none, or empty at the end.
    """
    with _keys() as from_terminal:
        wait = read_key or from_terminal
        while True:
            sys.stdout.write(_CLEAR + "\r\n".join(lines_of(read_state(system, port))) + "\r\n")
            sys.stdout.flush()
            key = wait(REFRESH_SECONDS)
            if key in ("s", "S"):
                return SIGN_IN
            if key == "":
                return 0


def _row(label: str, value: str) -> str:
    return f" {label:<12}{value}"


def _plain(line: str) -> str:
    """Return a line that can't move the cursor, and fits."""
    text = "".join(char if char.isprintable() else "?" for char in line)
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _get(port: int, path: str) -> dict[str, Any] | None:
    try:
        value = read_json(_fetch(port, path), max_bytes=REPLY_BYTES, allow_fractions=True)
    except FormatError:
        return None
    return value if isinstance(value, dict) else None


def _sealed(port: int) -> int | None:
    for line in _fetch(port, "/metrics").decode(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        if name == "bpci_bundles_sealed_total":
            return int(float(value))
    return None


def _fetch(port: int, path: str) -> bytes:
    """Return what the node on this machine answers, empty if it does not."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1.5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read(REPLY_BYTES)
    except (OSError, HTTPException):
        return b""
    finally:
        connection.close()


@contextmanager
def _keys() -> Iterator[Callable[[float], str | None]]:
    """Read single keys without echo for the time of the context; where there is no terminal, there are none."""
    descriptor = sys.stdin.fileno() if sys.stdin.isatty() else -1

    def wait(seconds: float) -> str | None:
        if descriptor < 0:
            return ""
        readable, _, _ = select.select([descriptor], [], [], seconds)
        return os.read(descriptor, 1).decode(errors="replace") if readable else None

    if descriptor < 0:
        yield wait
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        sys.stdout.write(_HIDE)
        yield wait
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        sys.stdout.write(_SHOW + _CLEAR)
        sys.stdout.flush()
