"""What a person has in front of them: a screen of text, and keys."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class MachineError(Exception):
    """The machine did not do what was waited for; the message ends with what its console shows."""


class Terminal(ABC):
    """A screen that is read and a keyboard that is typed on."""

    @abstractmethod
    def text(self) -> str:
        """Return the lines that the screen shows."""

    @abstractmethod
    def type(self, text: str) -> None:
        """Type text as it is."""

    @abstractmethod
    def press(self, *keys: str) -> None:
        """Press named keys: ``enter``, ``escape``, ``tab``, ``down``."""

    def wait_for(self, pattern: str, timeout: float = 240) -> re.Match[str]:
        """Wait until the screen shows ``pattern``.

        Raises:
            MachineError: it did not within ``timeout`` seconds; with what the screen shows instead.
        """
        return self.wait_until(lambda: re.search(pattern, self.text(), re.MULTILINE), f"/{pattern}/", timeout)

    def wait_until(self, condition: Callable[[], _T | None], what: str, timeout: float) -> _T:
        """Wait until ``condition`` gives something.

        Raises:
            MachineError: it did not within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                raise MachineError(f"{what} did not appear within {timeout:.0f} s; the console shows:\n{self.text()}")
            time.sleep(0.1)
