"""What the web face may ask of the machine: a closed list of acts, each with exact values, on one line of JSON.

Invariant: nothing that was sent becomes a command by itself. An act is one of :data:`ACTS`; what it runs stands in
:mod:`bpci_node.setup.acts.commands`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from bpci_node.errors import FormatError
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.json_text import read_json

DIRECTORY = "/run/bpci-act"
SOCKET = "/run/bpci-act.sock"
CODE = "format.act"
MAX_REQUEST = 8192
MAX_ANSWER = 4 << 20
"""Bytes of an answer without the bundle: the records of all lanes, or the logs, however little of them is printable."""
MAX_LINES = 500
MAX_PASSWORD = 256
TRIAL_SECONDS = 120
"""How long new network settings are tried."""
UNITS = ("bpci-node", "bpci-*", "systemd-networkd", "chrony", "ssh")
"""Whose logs are offered; any other is typed."""
NETWORK = (
    "mode", "interface", "address", "gateway", "dns", "address6", "gateway6", "ssid", "country", "passphrase",
)  # fmt: skip
_UNIT = re.compile(r"(?:[A-Za-z0-9:_.@*][A-Za-z0-9:_.@*-]{0,99})?")
_TEXT = re.compile(r".{0,300}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MODE = re.compile(r"dhcp|static|wifi")


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that may be asked for."""

    lane: str
    """Acts of one lane are carried out one at a time; empty for what the helper answers by itself."""
    values: tuple[str, ...] = ()
    """Names of what it needs to know, texts all of them but ``lines``."""
    needs_password: bool = True
    wait_seconds: int = 0
    """How long an answer waits for the end of it."""
    pause_seconds: int = 0
    """How long it waits before it begins, so that the answer gets out before the network goes."""


ACTS: dict[str, Act] = {
    "state": Act("", needs_password=False),
    "logs": Act("", ("unit", "lines"), needs_password=False),
    "bundle": Act("", needs_password=False),
    "look": Act("look", needs_password=False, wait_seconds=20),
    "plan": Act("plan", needs_password=False, wait_seconds=20),
    "repair": Act("repair"),
    "support": Act("support"),
    "try": Act("network", NETWORK, pause_seconds=3),
    "confirm": Act("network", wait_seconds=20),
    "restore": Act("network", pause_seconds=3),
    "keyboard": Act("places", ("layout",), wait_seconds=20),
    "timezone": Act("places", ("zone",), wait_seconds=20),
    "restart": Act("power", pause_seconds=3),
    "poweroff": Act("power", pause_seconds=3),
}
LANES = tuple(sorted({act.lane for act in ACTS.values()} - {""}))


@dataclass(frozen=True, slots=True)
class Request:
    """An act, and what it needs to know."""

    act: str
    values: dict[str, str] = field(default_factory=dict, repr=False)
    lines: int = 0
    """How many lines of the logs."""
    password: str = field(default="", repr=False)

    @property
    def kind(self) -> Act:
        """Return the row of the table."""
        return ACTS[self.act]

    def encode(self, *, with_password: bool = True) -> bytes:
        """Return the line that is sent, its end included."""
        values: dict[str, Any] = dict(self.values) | ({"lines": self.lines} if "lines" in self.kind.values else {})
        password = self.password if with_password else ""
        whole = {"v": 1, "act": self.act, "password": password, "values": values}
        return json.dumps(whole).encode() + b"\n"


def parse(data: bytes) -> Request:
    """Return the request that a line means.

    Raises:
        FormatError: it is of another form (``format.act``, ``format.json``, ``format.size``); nothing of it is echoed.
    """
    fields = Fields(
        read_json(data, max_bytes=MAX_REQUEST), ("v", "act", "password", "values"), what="a request", code=CODE
    )
    fields.version()
    name = fields.raw("act")
    if type(name) is not str or name not in ACTS:
        raise fields.wrong("names no act")
    password = fields.text("password", _TEXT, "a line of text")
    if len(password.encode(errors="surrogatepass")) > MAX_PASSWORD or _SURROGATE.search(password):
        raise fields.wrong(f"needs a text of at most {MAX_PASSWORD} bytes in 'password'")
    values = Fields(fields.raw("values"), ACTS[name].values, what=f"the act {name}", code=CODE)
    texts = {item: values.text(item, *_form_of(item)) for item in ACTS[name].values if item != "lines"}
    for item, text in texts.items():
        if not text.isprintable():
            raise FormatError(f"the act {name} takes no unprintable characters in {item!r}", code=CODE)
    lines = values.integer("lines", 1, MAX_LINES) if name == "logs" else 0
    return Request(name, texts, lines, password)


def _form_of(name: str) -> tuple[re.Pattern[str], str]:
    known = {"unit": (_UNIT, "the name of a unit"), "mode": (_MODE, "dhcp, static or wifi")}
    return known.get(name, (_TEXT, "a line of text"))
