"""Challenges of the multiproof (Fiat-Shamir): hashes of everything that was said before, under tags of their own.

The order of calls is the proof's own: nothing that a prover still chooses is left out of a hash when the challenge
over it is drawn. Layouts: ``docs/spec/mx-verkle.md``, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bpci_node.primitives.hashing import sha256
from bpci_node.primitives.kzg import scalar_of

_CLAIMS_TAG = b"VKR|v1|"
_QUOTIENT_TAG = b"VKT|v1|"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is shown of one committed polynomial: its value at one slot."""

    commitment: bytes
    """Compressed point, 48 bytes."""
    slot: int
    """0 to 255."""
    value: int
    """0 <= value < order of the group."""


class Transcript:
    """The two challenges of one proof."""

    __slots__ = ("_state",)

    def __init__(self, statement: bytes, claims: Sequence[Claim]) -> None:
        """Take in what is claimed.

        Args:
            statement: 32-byte hash of what the claims mean to those who make them.
        """
        parts = [_CLAIMS_TAG, statement, len(claims).to_bytes(4, "big")]
        for claim in claims:
            parts += claim.commitment, bytes([claim.slot]), claim.value.to_bytes(32, "big")
        self._state = sha256(b"".join(parts))

    def weight(self) -> int:
        """Return r, whose powers weigh the claims; never zero."""
        return scalar_of(self._state)

    def point(self, quotient: bytes) -> int:
        """Return t, at which the polynomials are evaluated, from the commitment to g (48 bytes); never zero."""
        return scalar_of(sha256(_QUOTIENT_TAG + self._state + quotient))
