"""What the console shows: the state, what the doctor found, the network, and what the owner may do. Plain lines.

Every page has at most 22 lines of at most 79 characters, whatever the node says, so that it stands still at 80×24.
"""

from __future__ import annotations

import textwrap

from bpci_tui.state import MAX_TIME, State

WIDTH = 79
"""One column less than a terminal has: a line that fills the last one wraps on some."""
PAGE_LINES = 19
"""Lines of the doctor's page before its last three."""
KEYS = " S  sign in as the owner  D  doctor  N  network  A  what the owner may do"
ACTIONS = (
    ("logs", "Read the logs, of one unit or all"),
    ("repair", "Let the doctor repair what it can"),
    ("network", "Change addresses or Wi-Fi, with a trial"),
    ("places", "Change keyboard layout and time zone"),
    ("support", "Write a support bundle without secrets"),
    ("restart", "Restart, after the node has finished what is open"),
    ("poweroff", "Power off, after the node has finished what is open"),
    ("reset", "Factory reset, keeping or wiping the data"),
)
"""Each asks for the owner's password before anything is done."""


def lines_of(state: State) -> list[str]:
    """Return the page with the state."""
    lines = [f" BPCI Community OS    {state.hostname}", ""]
    lines += _address_rows(state)
    if state.status is None:
        lines += [_row("Node", "does not answer; signed in, see 'journalctl -u bpci-node'")]
    else:
        node, ledger, targets = state.status["node"], state.status["ledger"], state.status["targets"]
        lines += [
            _row("Node", f"{node['name']} ({node['type']}), version {state.status['version']}"),
            _row("Health", "ready" if not state.obstacles else "NOT READY: " + "; ".join(state.obstacles)),
            _row(
                "Registered", "yes" if node["registered"] else "NO: signed in, run 'sudo bpci registry register-node'"
            ),
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
    if state.upkeep:
        lines.append(_row("Upkeep", "; ".join(state.upkeep)))
    count = len(state.issues)
    found = "nothing wrong" if not count else f"{count} {'thing' if count == 1 else 'things'} to look at: press D"
    lines.append(_row("Doctor", found))
    return [_plain(line) for line in [*lines, "", KEYS]]


def doctor_lines(state: State) -> list[str]:
    """Return the page with what the doctor found."""
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


def network_lines(state: State) -> list[str]:
    """Return the page with the network, and what it lacks."""
    lines = [f" BPCI Community OS    {state.hostname}    network", "", *_address_rows(state), ""]
    for line in state.network:
        part = _wrapped(line, " ")
        if len(lines) + len(part) > PAGE_LINES:
            break
        lines += part
    return [_plain(line) for line in [*lines, "", " N  back    A  what the owner may do, such as changing it"]]


def action_lines(state: State) -> list[str]:
    """Return the page with what the owner may do here."""
    lines = [f" BPCI Community OS    {state.hostname}    what the owner may do", "", *_address_rows(state), ""]
    lines += [f" {number}  {title}" for number, (_, title) in enumerate(ACTIONS, start=1)]
    lines += ["", " Each asks for the owner's password first."]
    return [_plain(line) for line in [*lines, "", " A  back"]]


def _address_rows(state: State) -> list[str]:
    hosts = [f"[{address}]" if ":" in address else address for address in state.addresses]
    shown = [f"http://{host}:{state.port}" for host in hosts[:2]] or ["no network address: is the cable in?"]
    return [_row("Address" if index == 0 else "", text) for index, text in enumerate(shown)]


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
