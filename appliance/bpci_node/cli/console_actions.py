"""What the console offers the owner: questions in plain lines, then the commands that anyone could type.

The console itself has no rights. Whoever started it runs these through ``sudo``, which asks for the owner's password.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bpci_node.cli.output import say
from bpci_node.cli.root import need_root
from bpci_node.setup.acts.request import UNITS

FOR_OWNER = "this is for the owner"


def _logs() -> int:
    need_root(FOR_OWNER)
    for number, unit in enumerate(UNITS, start=1):
        say(f"{number}  {unit}")
    typed = click.prompt("Unit, by number or name; Enter for all", default="", show_default=False, err=True).strip()
    if typed.isdecimal() and 1 <= int(typed) <= len(UNITS):
        typed = UNITS[int(typed) - 1]
    chosen = [] if not typed else [f"--unit={typed}"]
    # The pager scrolls, searches, and may start nothing and write nothing.
    environment = {**os.environ, "SYSTEMD_PAGERSECURE": "1", "LESSSECURE": "1", "SYSTEMD_LESS": "FRXMK"}
    done = subprocess.run(
        ["journalctl", "--boot", "--lines=5000", "--pager-end", "--no-hostname", *chosen], check=False, env=environment
    )
    return 0 if done.returncode == 0 else 3


def _repair() -> int:
    return _call("doctor", "--fix")


def _network() -> int:
    _call("machine", "network", "show")
    say("1  automatic (DHCP)")
    say("2  a fixed address")
    say("3  Wi-Fi")
    way = click.prompt("What shall it be? Enter leaves it", default="", show_default=False, err=True).strip()
    if way == "1":
        return _call("machine", "network", "try", "--dhcp")
    if way == "2":
        options = ["--address", _asked("Address with prefix length, such as 192.0.2.5/24")]
        for name, question in (("--gateway", "Gateway"), ("--dns", "Name server")):
            answer = _asked(question)
            options += [name, answer] if answer else []
        return _call("machine", "network", "try", *options)
    if way == "3":
        _call("machine", "network", "show", "--wifi")
        ssid, country = _asked("Network's name"), _asked("Country, two letters").upper()
        return _call("machine", "network", "try", "--wifi", ssid, "--country", country)
    return 0


def _places() -> int:
    for name, question in (("keyboard", "Keyboard layout, such as us or de"), ("timezone", "Time zone")):
        answer = _asked(f"{question}; Enter leaves it")
        if answer and (status := _call("machine", name, answer)):
            return status
    return _call("machine", "clock")


def _support() -> int:
    need_root(FOR_OWNER)
    home = Path.home()
    owner = os.environ.get("SUDO_USER", "")
    if owner:
        import pwd

        home = Path(pwd.getpwnam(owner).pw_dir)
    target = home / "bpci-support.tar.gz"
    status = _call("support", "bundle", "--out", str(target))
    if not status and owner:
        shutil.chown(target, owner)
    return status


def _restart() -> int:
    return _call("machine", "restart")


def _poweroff() -> int:
    return _call("machine", "poweroff")


def _reset() -> int:
    say("1  keep the node's data, and set the machine up anew")
    say("2  wipe everything, keys and data")
    way = _asked("Which? Enter does nothing")
    if way in ("1", "2"):
        return _call("machine", "reset", "--keep-data" if way == "1" else "--wipe")
    return 0


ACTS: dict[str, Callable[[], int]] = {
    "logs": _logs,
    "repair": _repair,
    "network": _network,
    "places": _places,
    "support": _support,
    "restart": _restart,
    "poweroff": _poweroff,
    "reset": _reset,
}


def _call(*arguments: str) -> int:
    """Run a command of ours as if it had been typed, and return its exit status."""
    from bpci_node.cli.main import main

    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _asked(question: str) -> str:
    answer: Any = click.prompt(question, default="", show_default=False, err=True)
    return str(answer).strip()
