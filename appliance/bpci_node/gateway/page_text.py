"""How values are shown on pages: bytes, amounts, times, names from outside, and decoded CBOR.

Text from outside may hold characters that hide or reorder what stands beside them, or letters of another script that
look alike. The first are written out, the second are named beside the text; the template engine escapes the rest.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bpci_node.chain.forms import ACCOUNT_FORM

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are not seen, or change how their neighbours are seen."""
_LONGEST_BYTES = 64
"""Bytes that are written out; longer ones are cut, and their length is said."""
_LONGEST_TEXT = 2_000


def page_environment(package: str) -> Environment:
    """Return the templates of a package: everything is escaped, and the filters of this module are theirs."""
    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        hex=hex_text,
        short=short,
        when=when,
        name=outside_text,
        lines=outside_lines,
        value=value,
        amount=amount,
        path=path_part,
        note=note,
    )
    return environment


def hex_text(data: bytes) -> str:
    """Return bytes as ``0x`` and hexadecimal digits, the whole of them."""
    return "0x" + data.hex()


def short(text: str | bytes) -> str:
    """Return the beginning and the end of a long name."""
    text = hex_text(text) if isinstance(text, bytes) else text
    return text if len(text) <= 22 else f"{text[:12]}…{text[-8:]}"


def when(time_ms: int) -> Markup:
    """Return a moment, Unix milliseconds, as UTC with its machine-readable form."""
    try:
        moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return Markup("{} ms").format(time_ms)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"), moment.strftime("%Y-%m-%d %H:%M:%S")
    )


def amount(units: int, decimals: int = 0) -> str:
    """Return an amount in whole assets, exactly."""
    whole, rest = divmod(units, 10**decimals)
    tail = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole:,}" + (f".{tail}" if tail else "")


def path_part(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")


def outside_text(text: str) -> Markup:
    """Return a text from outside: isolated from its neighbours, hidden characters written out, mixed scripts named."""
    cut = text[:_LONGEST_TEXT]
    parts = [
        Markup("<span class=hidden>U+{:04X}</span>").format(ord(char))
        if unicodedata.category(char) in _HIDDEN
        else escape(char)
        for char in cut
    ]
    shown = Markup("<bdi>{}</bdi>").format(Markup("").join(parts))
    scripts = scripts_of(cut)
    if len(scripts) > 1:
        shown += Markup(" <span class=note>(mixes {} letters)</span>").format(" and ".join(scripts))
    if len(cut) < len(text):
        shown += Markup(" <span class=note>({} characters in all)</span>").format(len(text))
    return shown


def outside_lines(text: str) -> Markup:
    """Return lines from outside as they are, with the characters written out that hide or reorder others."""

    def is_hidden(char: str) -> bool:
        return char not in "\n\t" and unicodedata.category(char) in _HIDDEN

    return Markup("").join(
        Markup("").join(Markup("<span class=hidden>U+{:04X}</span>").format(ord(char)) for char in run)
        if hidden
        else escape("".join(run))
        for hidden, run in groupby(text, is_hidden)
    )


def note(data: bytes) -> Markup:
    """Return a submitter's note: its text if it is UTF-8, else its bytes."""
    try:
        return outside_text(data.decode("utf-8"))
    except UnicodeDecodeError:
        return value(data)


def scripts_of(text: str) -> list[str]:
    """Return the scripts whose letters a text holds, by the first words of their Unicode names, in order."""
    names = (unicodedata.name(char, "") for char in text if char.isalpha())
    return sorted({name.split(" ", 1)[0].split("-", 1)[0].capitalize() for name in names if name})


def value(item: Any) -> Markup:
    """Return a decoded value: maps and lists as lists, accounts and keys as links, long bytes cut."""
    if isinstance(item, dict):
        rows = (
            Markup("<dt>{}</dt><dd>{}</dd>").format(outside_text(str(key)), value(entry)) for key, entry in item.items()
        )
        return Markup("<dl>{}</dl>").format(Markup("").join(rows)) if item else Markup("<span class=note>empty</span>")
    if isinstance(item, list | tuple):
        entries = (Markup("<li>{}</li>").format(value(entry)) for entry in item)
        return (
            Markup("<ol>{}</ol>").format(Markup("").join(entries)) if item else Markup("<span class=note>none</span>")
        )
    if isinstance(item, bytes):
        if len(item) <= _LONGEST_BYTES:
            return Markup("<code>{}</code>").format(hex_text(item))
        return Markup("<code>{}…</code> <span class=note>({} bytes)</span>").format(
            hex_text(item[:_LONGEST_BYTES]), len(item)
        )
    if isinstance(item, bool) or item is None:
        return escape({True: "yes", False: "no", None: "none"}[item])
    if isinstance(item, str):
        return account_link(item) if ACCOUNT_FORM.fullmatch(item) else outside_text(item)
    return escape(item)


def account_link(account: str) -> Markup:
    """Return an account id as a link to its page."""
    return Markup('<a href="/accounts/{}"><code>{}</code></a>').format(account, account)
