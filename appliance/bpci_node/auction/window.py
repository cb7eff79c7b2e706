"""Windows: the slices of time in which block space is auctioned, and the phases that each goes through.

Windows of one target and class follow one another without a gap, and their phases overlap like a pipeline: while one is
revealed and another sealed, there is always one that takes commits. All times are ledger time: integer microseconds
since the ledger's genesis time. Phases are half open: a moment that ends one phase belongs to the next. Nothing here
knows what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any

from cbor2 import dumps

from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import FormatError
from bpci_node.mempool.classes import QLOCK_MS
from bpci_node.primitives.names import TARGET_FORM

MAX_AHEAD_US = 5_000_000
"""How long before a window opens a commit may name it, microseconds."""
SEQUENCE_BITS = 20
"""Commits of one window are numbered in this many bits of their sequence number; above stands the window's index."""
MAX_COMMITS = 1 << SEQUENCE_BITS
"""Commits that a window can number."""
MAX_INDEX = (1 << (63 - SEQUENCE_BITS)) - 1
"""Greatest index of a window: more than 2,500 years of the shortest class."""

_US = 1_000


class Phase(IntEnum):
    """Where a window stands at some moment."""

    AHEAD = 0
    """Not open yet; it may be named from ``MAX_AHEAD_US`` before its opening on."""
    COMMIT = 1
    REVEAL = 2
    SEAL = 3
    OVER = 4


@dataclass(frozen=True, slots=True, order=True)
class WindowId:
    """The name of a window."""

    target: str
    """CAIP-2 id of the target chain."""
    qlock_ms: int
    """Class: length of the commit phase, 10, 20, 50 or 100 milliseconds."""
    index: int
    """Windows of this target and class since genesis time, 0 <= index <= ``MAX_INDEX``."""
    encoded: bytes = field(init=False, repr=False, compare=False)
    """Canonical CBOR of :meth:`as_list`."""

    def __post_init__(self) -> None:
        """Check the form.

        Raises:
            FormatError: ``window.format``.
        """
        if type(self.target) is not str or TARGET_FORM.fullmatch(self.target) is None:
            raise FormatError("a window names its target chain like eip155:1", code="window.format")
        if type(self.qlock_ms) is not int or self.qlock_ms not in QLOCK_MS:
            raise FormatError(f"the class of a window is one of {QLOCK_MS} ms", code="window.format")
        if type(self.index) is not int or not 0 <= self.index <= MAX_INDEX:
            raise FormatError(f"the index of a window lies between 0 and {MAX_INDEX}", code="window.format")
        object.__setattr__(self, "encoded", b"\x83" + dumps(self.target) + dumps(self.qlock_ms) + dumps(self.index))

    def as_list(self) -> list[Any]:
        """Return the list that is encoded."""
        return [self.target, self.qlock_ms, self.index]

    @classmethod
    def from_list(cls, value: Any) -> WindowId:
        """Read what :meth:`as_list` returned.

        Raises:
            FormatError: not the name of a window (``window.format``).
        """
        if type(value) is not list or [type(item) for item in value] != _TYPES:
            raise FormatError("a window is named by target, class and index", code="window.format")
        return _named(*value)

    @property
    def opens_us(self) -> int:
        """When its commit phase begins, ledger time, microseconds."""
        return self.index * self.qlock_ms * _US

    @property
    def opens_ms(self) -> int:
        """The same in milliseconds: the ``ts`` of every entry that is revealed in it, whoever reckons."""
        return self.index * self.qlock_ms

    @property
    def first_seq(self) -> int:
        """Sequence number of its first commit; the next ones follow without a gap."""
        return self.index << SEQUENCE_BITS


_TYPES = [str, int, int]


@lru_cache(maxsize=4_096)
def _named(target: str, qlock_ms: int, index: int) -> WindowId:
    """Return the window of that name; commits of the same windows come in by the thousand."""
    return WindowId(target, qlock_ms, index)


@dataclass(frozen=True, slots=True)
class Phases:
    """When the phases of a window begin and end, ledger time, microseconds, ascending."""

    opens_us: int
    """The commit phase begins."""
    closes_us: int
    """The commit phase is over, the reveal phase begins."""
    reveal_ends_us: int
    """The reveal phase is over, the seal phase begins."""
    seal_ends_us: int
    """The seal phase is over: what is not final now is void."""

    def at(self, time_us: int) -> Phase:
        """Return the phase at a moment."""
        bounds = (self.opens_us, self.closes_us, self.reveal_ends_us, self.seal_ends_us)
        return Phase(sum(time_us >= bound for bound in bounds))


def phases_of(window: WindowId, terms: TargetTerms) -> Phases:
    """Return the phases of a window on the terms of its target."""
    closes = window.opens_us + window.qlock_ms * _US
    revealed = closes + terms.reveal_ms * _US
    return Phases(window.opens_us, closes, revealed, revealed + terms.seal_ms * _US)


def window_at(target: str, qlock_ms: int, time_us: int) -> WindowId:
    """Return the window of this target and class whose commit phase holds ``time_us``.

    Raises:
        FormatError: a time before genesis, or no such class (``window.format``).
    """
    if qlock_ms not in QLOCK_MS:
        raise FormatError(f"the class of a window is one of {QLOCK_MS} ms", code="window.format")
    return WindowId(target, qlock_ms, time_us // (qlock_ms * _US))
