"""One table of a TOML file, read strictly: a wrong value is named with its file, its key and what was expected."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NoReturn

from bpci_node.errors import BpciError, UsageError
from bpci_node.network.file import check_url

_REQUIRED: Final = object()


class TableReader:
    """One table of the file; remembers which keys were asked for, so that the others can be named as unknown."""

    def __init__(self, source: str, prefix: str, value: dict[str, Any]) -> None:
        self._source, self._prefix, self._value = source, prefix, value
        self._known: list[str] = []

    def wrong(self, key: str, expected: str) -> NoReturn:
        """Refuse the value of ``key``."""
        name = self._prefix + key
        got = f", not {self._value[key]!r}" if key in self._value and not isinstance(self._value[key], dict) else ""
        raise UsageError(
            f"{self._source}: {name} must be {expected}{got}", code="config.value", file=self._source, key=name
        )

    def done(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._value:
            if key not in self._known:
                raise UsageError(
                    f"{self._source}: unknown key {self._prefix}{key}",
                    code="config.key",
                    hint="Known here: " + ", ".join(self._known),
                    file=self._source,
                    key=self._prefix + key,
                )

    def _get(self, key: str, default: Any) -> Any:
        self._known.append(key)
        if key in self._value:
            return self._value[key]
        if default is _REQUIRED:
            name = self._prefix + key
            raise UsageError(f"{self._source}: {name} is missing", code="config.key", file=self._source, key=name)
        return default

    def table(self, key: str, *, required: bool = False) -> TableReader:
        """Return the reader of the table ``key``; an absent one reads as empty."""
        value = self._get(key, _REQUIRED if required else {})
        if not isinstance(value, dict):
            self.wrong(key, f"a table [{key}]")
        return TableReader(self._source, f"{self._prefix}{key}.", value)

    def tables(self, key: str) -> list[TableReader]:
        """Return the readers of the array of tables ``key``."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.wrong(key, f"tables [[{key}]]")
        return [TableReader(self._source, f"{self._prefix}{key}[{number}].", item) for number, item in enumerate(value)]

    def text(self, key: str, default: str | None, form: str = ".*", expected: str = "text") -> str:
        """Return the text at ``key``; ``form`` is the pattern that it matches as a whole."""
        value = self._get(key, _REQUIRED if default is None else default)
        if not isinstance(value, str) or not re.fullmatch(form, value):
            self.wrong(key, expected)
        return str(value)

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        """Return the text at ``key``, one of ``choices``."""
        return self.text(key, default, "|".join(choices), "one of " + ", ".join(choices))

    def texts(self, key: str, most: int, form: str) -> tuple[str, ...]:
        """Return the list at ``key``: at most ``most`` different texts."""
        value = self._get(key, [])
        fits = isinstance(value, list) and len(value) <= most and len(set(map(str, value))) == len(value)
        if not fits or not all(isinstance(item, str) and re.fullmatch(form, item) for item in value):
            self.wrong(key, f"a list of at most {most} different texts of the form {form}")
        return tuple(value)

    def urls(self, key: str, most: int) -> tuple[str, ...]:
        """Return the list of base URLs at ``key``."""
        value = self._get(key, [])
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) for item in value):
            self.wrong(key, f"a list of at most {most} URLs")
        for item in value:
            try:
                check_url(item)
            except BpciError:
                self.wrong(key, "a list of base URLs such as http://192.0.2.5:8545")
        return tuple(value)

    def integer(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """Return the integer at ``key``."""
        value = self._get(key, _REQUIRED if default is None else default)
        if type(value) is not int or not least <= value <= most:
            self.wrong(key, f"an integer from {least} to {most}" if least < most else str(least))
        return int(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the true or false at ``key``."""
        value = self._get(key, default)
        if type(value) is not bool:
            self.wrong(key, "true or false")
        return bool(value)

    def amount(self, key: str, default: int | None, *, least: int = 0) -> int:
        """Read an amount: decimal text, because TOML's integers end at 64 bits."""
        value = self._get(key, _REQUIRED if default is None else str(default))
        if not isinstance(value, str) or not re.fullmatch(r"0|[1-9][0-9]{0,38}", value) or int(value) < least:
            self.wrong(key, 'an amount in wei as decimal text such as "45000000"')
        return int(value)

    def path(self, key: str, default: Path | None = None) -> Path:
        """Return the absolute path at ``key``."""
        value = self._get(key, _REQUIRED if default is None else str(default))
        if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
            self.wrong(key, "an absolute path")
        return Path(value)

    def optional_path(self, key: str) -> Path | None:
        """Return the absolute path at ``key``, ``None`` if there is none."""
        self._known.append(key)
        return self.path(key) if key in self._value else None
