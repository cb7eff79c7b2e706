"""The committee of an epoch: the drawn validators, with the keys and weights that count for the whole epoch.

Seats stand in the order of the draw; a position is a seat's number, and the first seat is the coordinator's. Keys and
weights are those of the draw: what happens to a validator afterwards changes no committee.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.forms import ACCOUNT_FORM
from bpci_node.errors import FormatError
from bpci_node.primitives import bls, mldsa
from bpci_node.primitives.codec import encode
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive

COMMITTEE_CONTEXT = "bpci 2026 auction committee v1"
MAX_SEATS = 64

_FORMAT = "format.committee"


@dataclass(frozen=True, slots=True)
class Seat:
    """One member of a committee."""

    account: str
    """The validator's account id."""
    node_key: bytes
    """Ed25519 key of its node, which signs receipts, sets and lists, 32 bytes."""
    bls_key: bytes
    """BLS12-381 key, which votes, 48 bytes; its possession was proved to the ledger."""
    ml_dsa_key: bytes
    """ML-DSA-44 key, 1,312 bytes."""
    weight: int
    """What the validator had bonded at the draw, smallest units of BPI, at least 1."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {
            "account": self.account,
            "node_key": self.node_key,
            "bls_key": self.bls_key,
            "ml_dsa_key": self.ml_dsa_key,
            "weight": self.weight,
        }

    @classmethod
    def from_map(cls, value: Any) -> Seat:
        """Return the seat that a map holds.

        Raises:
            FormatError: it holds none (``format.committee``).
        """
        names = ("account", "node_key", "bls_key", "ml_dsa_key", "weight")
        fields = Fields(value, names, what="a seat of a committee", code=_FORMAT)
        return cls(
            account=fields.text("account", ACCOUNT_FORM, "an account id"),
            node_key=fields.blob("node_key", 32),
            bls_key=fields.blob("bls_key", bls.KEY_BYTES),
            ml_dsa_key=fields.blob("ml_dsa_key", mldsa.KEY_BYTES),
            weight=fields.integer("weight", 1),
        )


@dataclass(frozen=True, slots=True)
class Committee:
    """The committee of one epoch."""

    epoch: int
    """The epoch that it serves."""
    seats: tuple[Seat, ...]
    """In the order of the draw, 1 to :data:`MAX_SEATS`, no account and no key twice."""

    def __post_init__(self) -> None:
        """Check that there are seats, and that nobody has two.

        Raises:
            FormatError: ``format.committee``.
        """
        if not 1 <= len(self.seats) <= MAX_SEATS:
            raise FormatError(f"a committee has 1 to {MAX_SEATS} seats", code=_FORMAT)
        for name in ("account", "node_key", "bls_key"):
            if len({getattr(seat, name) for seat in self.seats}) != len(self.seats):
                raise FormatError("nobody has two seats in a committee", code=_FORMAT)

    @property
    def coordinator(self) -> Seat:
        """The seat that closes commit sets and proposes headers: number 0."""
        return self.seats[0]

    @property
    def total(self) -> int:
        """The weight of all seats, smallest units of BPI."""
        return sum(seat.weight for seat in self.seats)

    def weight_of(self, seats: Iterable[int]) -> int:
        """Return the weight of the seats of these numbers, each of which is given once."""
        return sum(self.seats[number].weight for number in seats)

    def is_majority(self, weight: int) -> bool:
        """Say whether a weight is more than two thirds of all."""
        return 3 * weight > 2 * self.total

    def number_of(self, account: str) -> int | None:
        """Return the number of an account's seat, ``None`` if it has none."""
        return next((number for number, seat in enumerate(self.seats) if seat.account == account), None)

    def digest(self) -> bytes:
        """Return the digest by which the header of the epoch before names it, 32 bytes."""
        return derive(COMMITTEE_CONTEXT, encode(self.as_map()))

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded, stored, and of which JSON is a view."""
        return {"v": 1, "epoch": self.epoch, "seats": [seat.as_map() for seat in self.seats]}

    @classmethod
    def from_map(cls, value: Any) -> Committee:
        """Return the committee that a map holds.

        Raises:
            FormatError: it holds none (``format.committee``).
        """
        fields = Fields(value, ("v", "epoch", "seats"), what="a committee", code=_FORMAT)
        fields.version()
        return cls(fields.integer("epoch"), tuple(Seat.from_map(item) for item in fields.items("seats", MAX_SEATS)))
