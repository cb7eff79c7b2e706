"""Strict reading of decoded maps: exact names, exact types, ranges.

Everything that is signed or hashed is decoded through here, so that a field which one version would overlook is
refused by all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bpci_node.errors import FormatError

MAX_INT = 2**63 - 1
"""Largest integer of any field, unless it says otherwise: what a signed 64-bit column holds."""


class Fields:
    """A map whose names were checked, and whose values are checked as they are read."""

    __slots__ = ("_code", "_values", "_what")

    def __init__(self, value: Any, names: Sequence[str], *, what: str, code: str) -> None:
        """Check that ``value`` is a map with exactly these names.

        Args:
            what: the noun for messages, such as "a command".
            code: the error code of everything that is wrong with it.
        Raises:
            FormatError: not a map, a missing name, or an unknown one.
        """
        self._what, self._code = what, code
        if type(value) is not dict:
            raise self.wrong("is not a map")
        missing = [name for name in names if name not in value]
        if missing:
            raise self.wrong(f"lacks the field {missing[0]!r}")
        if len(value) != len(names):
            # An unknown name comes from outside: it is counted, not echoed.
            raise self.wrong(f"has {len(value) - len(names)} unknown field(s); it has {', '.join(names)}")
        self._values: dict[str, Any] = value

    def wrong(self, problem: str) -> FormatError:
        """Return the error that says what is wrong with this map."""
        return FormatError(f"{self._what} {problem}", code=self._code)

    def version(self, expected: int = 1) -> int:
        """Return field ``v``, which must be ``expected``."""
        found = self.integer("v")
        if found != expected:
            raise self.wrong(f"has version {found}; this program reads version {expected}")
        return found

    def integer(self, name: str, low: int = 0, high: int = MAX_INT) -> int:
        """Return an integer field, low <= value <= high."""
        value = self._values[name]
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(f"needs an integer from {low} to {high} in {name!r}")
        return value

    def text(self, name: str, form: re.Pattern[str], described: str) -> str:
        """Return a text field that matches ``form`` as a whole; ``described`` says what that is."""
        return self._text(name, self._values[name], form, described)

    def texts(self, name: str, form: re.Pattern[str], described: str, most: int) -> tuple[str, ...]:
        """Return a list of at most ``most`` different texts, each of which matches ``form``."""
        values = tuple(self._text(name, item, form, described) for item in self.items(name, most))
        if len(set(values)) != len(values):
            raise self.wrong(f"names something twice in {name!r}")
        return values

    def blob(self, name: str, size: int) -> bytes:
        """Return a field of exactly ``size`` bytes."""
        value = self._values[name]
        if type(value) is not bytes or len(value) != size:
            raise self.wrong(f"needs {size} bytes in {name!r}")
        return value

    def blob_up_to(self, name: str, most: int) -> bytes:
        """Return a field of 1 to ``most`` bytes."""
        value = self._values[name]
        if type(value) is not bytes or not 1 <= len(value) <= most:
            raise self.wrong(f"needs 1 to {most} bytes in {name!r}")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean field."""
        value = self._values[name]
        if type(value) is not bool:
            raise self.wrong(f"needs true or false in {name!r}")
        return value

    def items(self, name: str, most: int) -> list[Any]:
        """Return a list field of at most ``most`` items, which are not checked."""
        value = self._values[name]
        if type(value) is not list or len(value) > most:
            raise self.wrong(f"needs a list of at most {most} items in {name!r}")
        return value

    def raw(self, name: str) -> Any:
        """Return a field that the caller checks."""
        return self._values[name]

    def is_null(self, name: str) -> bool:
        """Say whether an optional field is there and empty."""
        return self._values[name] is None

    def _text(self, name: str, value: Any, form: re.Pattern[str], described: str) -> str:
        if type(value) is not str or form.fullmatch(value) is None:
            raise self.wrong(f"needs {described} in {name!r}")
        return value
