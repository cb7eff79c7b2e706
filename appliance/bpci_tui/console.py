"""The machine's console after set-up: the node's state, and a way to sign in. Plain lines, no screen library.

It runs for months on every terminal of the machine, as a user who may do nothing: so it is small, knows only what the
node tells anyone over its public API and what the machine shows any user, and acts on nothing. "D" shows what the
doctor finds with that, and goes back. "S" ends it with :data:`SIGN_IN`; whoever started it (root) then offers a login.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import textwrap
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from typing import Any

from bpci_node.chain.earnings import earnings_entry
from bpci_node.errors import BpciError, FormatError
from bpci_node.host.kernel_clock import read_kernel_clock
from bpci_node.host.result import Verdict
from bpci_node.network.wire import bytes_of
from bpci_node.primitives.json_text import read_json
from bpci_node.primitives.record import load_record
from bpci_node.runtime.doctor.clock import CLOCK
from bpci_node.runtime.doctor.disk import DISK
from bpci_node.runtime.doctor.follower import FOLLOWER
from bpci_node.runtime.doctor.guard import GUARD
from bpci_node.runtime.doctor.issue import Issue
from bpci_node.runtime.doctor.memory import MEMORY
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.runtime.doctor.token import TOKEN
from bpci_node.runtime.doctor.unit import NODE_UNIT
from bpci_node.runtime.doctor.visit import examine
from bpci_node.setup.interfaces import own_addresses
from bpci_node.setup.system import System

SIGN_IN = 10
"""Exit status that asks for a login."""
REFRESH_SECONDS = 2.0
EXAMINE_SECONDS = 30.0
"""How often the doctor looks."""
REPLY_BYTES = 1 << 20
MAX_TIME = 2**63
"""Later than any moment of ledger time, microseconds."""
WIDTH = 79
"""One column less than a terminal has: a line that fills the last one wraps on some."""

PAGE_LINES = 19
"""Lines of the doctor's page before its last three."""
EXAMINATIONS = (DISK, MEMORY, NODE_UNIT, CLOCK, GUARD, TOKEN, FOLLOWER)
"""Those that need no right, no configuration and no HTTP client."""

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
    auction: dict[str, Any] | None = None
    """The node's answer to ``/v1/auction``; ``None`` when it takes no part in auctions."""
    earned: int | None = None
    """What its seats were paid so far, smallest units of BPI; ``None`` when the node does not say."""
    issues: tuple[Issue, ...] = ()
    """What the doctor has found with the rights of this console."""


def read_state(system: System, port: int) -> State:
    """Ask the node on this machine how it is."""
    status = _get(port, "/v1/status")
    ready = _get(port, "/readyz") if status is not None else None
    obstacles = [str(item.get("title", item)) for item in (ready or {}).get("obstacles", [])]
    sealed = _sealed(port) if status is not None else None
    auction = _get(port, "/v1/auction") if status is not None else None
    if auction is None or "epoch" not in auction:
        return State(socket.gethostname(), own_addresses(system), port, status, sealed, obstacles)
    earned = _earned(port, str((status or {})["node"]["account"]))
    return State(
        socket.gethostname(), own_addresses(system), port, status, sealed, obstacles, auction=auction, earned=earned
    )


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
        for name, target in sorted(targets.items())[: 4 if state.auction is None else 3]:
            lines.append(_row("Pool", f"{name}: {target['count']} entries"))
        lines.append(
            _row("Bundles", "unknown" if state.sealed is None else f"{state.sealed} sealed since the node started")
        )
        lines += _auction_rows(state)
    count = len(state.issues)
    found = "nothing wrong" if not count else f"{count} {'thing' if count == 1 else 'things'} to look at: press D"
    lines.append(_row("Doctor", found))
    return [_plain(line) for line in [*lines, "", " S  sign in as the owner    D  what the doctor found"]]


def doctor_lines(state: State) -> list[str]:
    """Return the page with what the doctor found, at most 22 lines of at most 79 characters."""
    lines = [f" BPCI Community OS    {state.hostname}    what the doctor found", ""]
    for issue in state.issues:
        part = _wrapped(f"{issue.verdict.value.upper()} {issue.what}.", " ") + _wrapped(issue.advice, "   ")
        if len(lines) + len(part) > PAGE_LINES:
            lines.append(" and more: signed in, run 'sudo bpci doctor'")
            break
        lines += [*part, ""]
    if not state.issues:
        lines += [" Nothing wrong can be seen from here; signed in, 'sudo bpci doctor' sees more.", ""]
    return [_plain(line) for line in [*lines, " S  sign in as the owner    D  back"]]


def examine_machine(system: System, status: dict[str, Any] | None) -> tuple[Issue, ...]:
    """Let the doctor look at what any user may see; the worst comes first."""
    patient = Patient(system, None, status, None, read_kernel_clock)
    found = [issue for result in examine(patient, EXAMINATIONS) for issue in result.issues]
    return tuple(sorted(found, key=lambda issue: issue.verdict is not Verdict.FAIL))


def run(system: System, *, port: int, read_key: Callable[[float], str | None] | None = None) -> int:
    """Show the state until somebody wants to sign in; return :data:`SIGN_IN`, or 0 when the terminal is gone.

    Args:
        read_key: waits for a key for so many seconds; returns it, ``None`` for none, or empty at the end.
    """
    examined, issues, page = 0.0, tuple[Issue, ...](), lines_of
    with _keys() as from_terminal:
        wait = read_key or from_terminal
        while True:
            state = read_state(system, port)
            if not examined or time.monotonic() - examined > EXAMINE_SECONDS:
                examined, issues = time.monotonic(), examine_machine(system, state.status)
            sys.stdout.write(_CLEAR + "\r\n".join(page(replace(state, issues=issues))) + "\r\n")
            sys.stdout.flush()
            key = wait(REFRESH_SECONDS)
            if key in ("d", "D"):
                page = lines_of if page is doctor_lines else doctor_lines
            if key in ("s", "S"):
                return SIGN_IN
            if key == "":
                return 0


def _auction_rows(state: State) -> list[str]:
    """Return what is to say of the auctions of a validator, three lines."""
    found = state.auction
    if found is None:
        return []
    seat, seats, halt = found["seat"], len(found["committee"]), found.get("halt")
    part = "no seat" if seat is None else f"seat {seat} of {seats}" + (", coordinating" if seat == 0 else "")
    left = max(0, found["ends_us"] - found["time_us"]) // 1_000_000
    shown = f"epoch {found['epoch']}, {left} s more, {part}"
    if halt is not None and halt["from_us"] <= found["time_us"] < (halt["until_us"] or MAX_TIME):
        shown = "HALTED by the guardians: what was open is settled"
    last = {name: int(chain["sequence"]) for name, chain in sorted(found["chains"].items())}
    ended = ", ".join(f"{name}: {number} is final" for name, number in last.items() if number)
    rows = [_row("Auctions", shown), _row("Windows", ended or "none yet")]
    whole, rest = divmod(state.earned or 0, 10**8)
    rows.append(_row("Earned", "unknown" if state.earned is None else f"{whole:,}.{rest:08d} BPI with its seats"))
    return rows


def _row(label: str, value: str) -> str:
    return f" {label:<12}{value}"


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent="   ")


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


def _earned(port: int, account: str) -> int | None:
    """Return what an account was paid for its seats, as the node says."""
    found = _get(port, f"/v1/ledger/state/0x{earnings_entry(account, 'BPI').hex()}")
    if found is None or "value" not in found:
        return None
    try:
        return 0 if found["value"] is None else int(load_record(bytes_of(found["value"], what="value"))["total"])
    except (BpciError, KeyError, ValueError):
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
