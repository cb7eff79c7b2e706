"""The owner's password before an act, and how fast it may be tried.

Every act runs in a process of its own, so the count of wrong passwords lies in a file below ``/run`` that only root
reads. A try is counted before it is checked: who is cut off in the middle has had it. The web face can neither read the
file nor take it away, so whoever gets hold of the web face guesses no faster than anybody else.
"""

from __future__ import annotations

import fcntl
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from bpci_node.errors import AccessError, HostError, LimitError
from bpci_node.setup import settings
from bpci_node.setup.password import login_hash, verify_password
from bpci_node.setup.system import System
from bpci_node.store.durable_file import replace_file

log = logging.getLogger("bpci.act")

LONGEST_SECONDS = 60.0
"""Longest wait after wrong passwords: other ways in stay open, and a minute for each guess is long enough."""
FORGOTTEN_SECONDS = 3600.0
"""After so long without a try the count begins anew."""


def _since_start() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Guard:
    """Checks the password of the machine's owner."""

    def __init__(self, system: System, directory: Path, *, clock: Callable[[], float] = _since_start) -> None:
        """Take where the count is kept.

        Args:
            directory: readable by root alone, and forgotten when the machine starts, as ``clock`` is.
            clock: seconds since the machine started.
        """
        self._system, self._directory, self._clock = system, directory, clock

    def check(self, password: str) -> None:
        """Check ``password``; checks wait for one another.

        Raises:
            AccessError: it is another one (``access.password``).
            LimitError: too soon after wrong ones (``limit.sign_in``); ``retry_after_seconds`` is among its details.
            HostError: nobody has a password here that could be checked (``host.owner``).
        """
        with (self._directory / "guard.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            wrong = self._take()
            try:
                verify_password(password, owner_hash(self._system))
            except AccessError:
                log.warning("the owner's password was wrong, %d times in a row", wrong)
                raise AccessError(
                    "this is not the password of the machine's owner",
                    code="access.password",
                    hint="It is the one of the console and of sudo; that of the sign-in here may be another.",
                ) from None
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self._directory / "wrong.json"

    def _take(self) -> int:
        """Count a try as wrong, and return how many there are."""
        count, last, now = self._read()
        if now - last > FORGOTTEN_SECONDS:
            count = 0
        left = last + min(LONGEST_SECONDS, 2.0 ** min(count - 1, 10)) - now if count else 0.0
        if left > 0:
            seconds = max(1, round(left + 0.5))
            raise LimitError(
                "too many wrong passwords", code="limit.sign_in", hint=f"Wait {seconds} s.", retry_after_seconds=seconds
            )
        replace_file(self._path, json.dumps([count + 1, now]).encode(), mode=0o600)
        return count + 1

    def _read(self) -> tuple[int, float, float]:
        now = self._clock()
        try:
            count, last = json.loads(self._path.read_bytes())
            return int(count), min(float(last), now), now
        except (FileNotFoundError, ValueError, TypeError):
            # It is replaced whole: what can't be read, root has put there.
            return 0, now, now


def owner_hash(system: System) -> str:
    """Return the hash of the login password of the machine's owner.

    Raises:
        HostError: there is no owner, or the account is locked (``host.owner``).
    """
    kept = settings.load(system)
    if kept and (hashed := login_hash(system.read_text("/etc/shadow"), kept.owner.name)):
        return hashed
    raise HostError(
        "the machine's owner has no password that could be asked for",
        code="host.owner",
        hint="Set one on the machine: 'sudo passwd NAME', then 'sudo bpci machine remember'.",
    )
