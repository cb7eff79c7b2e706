"""What the faucet must remember over restarts: who was given something lately, and which codes are unused.

Rows of the table ``meta``; their number is bounded. A place that is taken up is given back if nothing came of it. When
there is no room, nobody is given anything until rows run out: who floods the faucet can't make it forget anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from bpci_node.errors import LimitError, RefusedError
from bpci_node.primitives.codec import decode, encode

MAX_PLACES, MAX_CODES = 50_000, 1_000

_PLACE, _CODE = "faucet/place/", "faucet/code/"
_ROWS = "SELECT count(*) FROM meta WHERE key >= ? AND key < ?"
_BETWEEN = "SELECT key, value FROM meta WHERE key >= ? AND key < ?"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How often one name may come."""

    name: str
    """A wallet's name, or a digest of a source; no personal data."""
    most: int
    """How often within the window."""
    window_ms: int
    """Length of the window, which begins with the first time."""
    code: str
    """Of the error when it comes more often."""
    what: str
    """Who comes too often, for the message."""


def take(connection: Connection, allowances: Sequence[Allowance], code: bytes | None, *, now_ms: int) -> None:
    """Count one more grant against each of the allowances, and use up a code; all or nothing, inside a writer's job.

    Args:
        code: digest of the code that is used up, if one is.
        now_ms: Unix milliseconds.
    Raises:
        RefusedError: there is no such unused code (``faucet.code``).
        LimitError: one came too often (the allowance's code), or there is no room (``faucet.busy``).
    """
    found = [(item, *_place(connection, item, now_ms)) for item in allowances]
    for item, count, until_ms in found:
        if count >= item.most:
            wait = max(1, -(-(until_ms - now_ms) // 1000))
            raise LimitError(
                f"the faucet gave to this {item.what} lately",
                code=item.code,
                hint=f"Come back in {_spoken(wait)}.",
                retry_after_seconds=wait,
            )
    if code is not None and connection.execute("SELECT 1 FROM meta WHERE key = ?", (_code(code),)).fetchone() is None:
        raise RefusedError(
            "there is no such code, or it was used", code="faucet.code", hint="Ask the operator for one."
        )
    if _count(connection, _PLACE) + len(allowances) > MAX_PLACES:
        _forget(connection, now_ms)
        if _count(connection, _PLACE) + len(allowances) > MAX_PLACES:
            raise LimitError("the faucet has too many guests", code="faucet.busy", hint="Try again tomorrow.")
    for item, count, until_ms in found:
        _store(connection, item.name, count + 1, until_ms)
    if code is not None:
        connection.execute("DELETE FROM meta WHERE key = ?", (_code(code),))


def give_back(connection: Connection, allowances: Sequence[Allowance], code: bytes | None, *, now_ms: int) -> None:
    """Undo :func:`take` for a grant that came to nothing."""
    for item in allowances:
        count, until_ms = _place(connection, item, now_ms)
        if count:
            _store(connection, item.name, count - 1, until_ms)
    if code is not None:
        add_codes(connection, [code])


def add_codes(connection: Connection, digests: Sequence[bytes]) -> None:
    """Remember unused codes by their digests; inside a writer's job.

    Raises:
        LimitError: too many are unused (``faucet.codes``).
    """
    if _count(connection, _CODE) + len(digests) > MAX_CODES:
        raise LimitError(
            f"at most {MAX_CODES} codes are unused at one time", code="faucet.codes", hint="Use those first."
        )
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(_code(item), b"") for item in digests])


def count_codes(connection: Connection) -> int:
    """Return how many codes are unused."""
    return _count(connection, _CODE)


def _place(connection: Connection, item: Allowance, now_ms: int) -> tuple[int, int]:
    """Return how often a name came in its window, and when that ends; a window that is over begins anew."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_PLACE + item.name,)).fetchone()
    count, until_ms = decode(row[0]) if row is not None else (0, 0)
    if until_ms <= now_ms:
        return 0, now_ms + item.window_ms
    # A clock that was set back must not lock anybody out for longer than a window.
    return count, min(until_ms, now_ms + item.window_ms)


def _store(connection: Connection, name: str, count: int, until_ms: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_PLACE + name, encode([count, until_ms])))


def _forget(connection: Connection, now_ms: int) -> None:
    """Delete the places whose windows are over."""
    rows = connection.execute(_BETWEEN, _range(_PLACE)).fetchall()
    gone = [(key,) for key, value in rows if decode(value)[1] <= now_ms]
    connection.executemany("DELETE FROM meta WHERE key = ?", gone)


def _count(connection: Connection, prefix: str) -> int:
    return int(connection.execute(_ROWS, _range(prefix)).fetchone()[0])


def _range(prefix: str) -> tuple[str, str]:
    return prefix, prefix + "\x7f"


def _code(digest: bytes) -> str:
    return _CODE + digest.hex()


def _spoken(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{-(-seconds // 60)} min" if seconds < 7200 else f"{-(-seconds // 3600)} h"
