"""Outcomes: what became of each commit of a window, in the order of the commits, under one root in the header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from bpci_node.auction.packing import integer, repeated
from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.errors import FormatError
from bpci_node.primitives import merkle
from bpci_node.primitives.codec import decode
from bpci_node.primitives.fields import MAX_INT
from bpci_node.primitives.record import save_record

MAX_OUTCOMES = 131_072
"""Outcomes of one window, at most: its own commits, and those that were carried into it."""
MAX_BYTES = 16 * 1024 * 1024
"""Longest encoded list."""

_CODE = "outcome.format"


class Kind(IntEnum):
    """What became of a commit."""

    WON = 0
    """Its entry runs; ``amount`` is paid out of the bond, the rest goes back."""
    LOST = 1
    """It was revealed and doesn't run; the bond goes back."""
    CARRIED = 2
    """It was revealed, found no room, and waits for the next window; so does the bond."""
    UNREVEALED = 3
    """Nobody revealed it in time; ``amount`` is forfeited, the rest of the bond goes back."""
    VOID = 4
    """Its reveal was false, or its window void by rule; the bond goes back."""


_KINDS = [bytes((kind,)) for kind in Kind]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one commit."""

    commit_id: bytes
    """32 bytes."""
    account: str
    """Whose bond it is."""
    tier: int
    """Which bond, 0 to 255."""
    kind: Kind
    amount: int
    """Paid, or forfeited: smallest unit of the terms' asset; 0 for every kind but ``WON`` and ``UNREVEALED``."""

    def as_list(self) -> list[Any]:
        """Return the list that is encoded."""
        return [self.commit_id, self.account, self.tier, int(self.kind), self.amount]

    def encode(self) -> bytes:
        """Return the encoding of the list: the leaf of ``outcomes_root``."""
        return b"".join(
            (
                b"\x85\x58\x20",
                self.commit_id,
                repeated(self.account),
                repeated(self.tier),
                _KINDS[self.kind],
                integer(self.amount),
            )
        )

    @classmethod
    def from_list(cls, value: Any) -> Self:
        """Read what :meth:`as_list` returned.

        Raises:
            FormatError: not an outcome (``outcome.format``).
        """
        if type(value) is not list or len(value) != 5:
            raise _wrong("is a list of five items")
        commit_id, account, tier, kind, amount = value
        if type(commit_id) is not bytes or len(commit_id) != 32:
            raise _wrong("needs 32 bytes as commit id")
        if type(account) is not str or ACCOUNT_FORM.fullmatch(account) is None:
            raise _wrong("needs an account id")
        if any(type(number) is not int for number in (tier, kind, amount)):
            raise _wrong("needs integers as tier, kind and amount")
        if not (0 <= tier <= 255 and 0 <= kind <= max(Kind) and 0 <= amount <= MAX_INT):
            raise _wrong("has a number that is out of range")
        if amount and kind not in (Kind.WON, Kind.UNREVEALED):
            raise _wrong("moves an amount only when it is won or unrevealed")
        return cls(commit_id, account, tier, Kind(kind), amount)


def outcomes_root(outcomes: Sequence[Outcome]) -> bytes:
    """Return the RFC 6962 root over the outcomes in their order, 32 bytes."""
    return merkle.root_of(outcome_leaves(outcomes))


def outcome_leaves(outcomes: Sequence[Outcome], *, first: int = 0, total: int | None = None) -> list[bytes]:
    """Return the leaf hashes of outcomes that follow one another, 32 bytes each.

    A leaf says where it stands and how many there are, so that a part of a window's outcomes, which is settled with a
    proof of its own, can be shown at no other place.

    Args:
        first: position of the first of them among all.
        total: how many there are in all; None: these are all.
    """
    count = len(outcomes) if total is None else total
    return [
        merkle.leaf_hash(save_record([position, count, outcome.as_list()]))
        for position, outcome in enumerate(outcomes, first)
    ]


def encode_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """Return the canonical encoding of a window's outcomes."""
    return save_record([outcome.as_list() for outcome in outcomes])


def decode_outcomes(data: bytes) -> tuple[Outcome, ...]:
    """Read what :func:`encode_outcomes` wrote.

    Raises:
        FormatError: not a list of outcomes, or one commit twice (``outcome.format``), or no CBOR (``format.*``).
    """
    items = decode(data, max_bytes=MAX_BYTES)
    if type(items) is not list or len(items) > MAX_OUTCOMES:
        raise FormatError(f"outcomes are a list of at most {MAX_OUTCOMES}", code=_CODE)
    outcomes = tuple(Outcome.from_list(item) for item in items)
    if len({outcome.commit_id for outcome in outcomes}) != len(outcomes):
        raise FormatError("a commit has one outcome", code=_CODE)
    return outcomes


def _wrong(problem: str) -> FormatError:
    return FormatError(f"an outcome {problem}", code=_CODE)
