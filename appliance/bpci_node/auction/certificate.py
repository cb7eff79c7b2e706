"""Certificates: the votes of a committee for one digest, added up into one signature with a bitmap of who voted.

A vote is a BLS signature of the digest itself, which is domain-separated already; whose key it is, the committee says,
and the ledger has had every key's possession proved. More than two thirds of the committee's weight make a certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives import bls
from bpci_node.primitives.fields import Fields

VERSION = 1
BLS12381 = 1
"""Algorithm: BLS12-381, keys in G1, proof-of-possession scheme, aggregated. Another one takes another number."""
MAX_BITMAP_BYTES = 8

_CODE = "certificate.format"
_NAMES = ("v", "algorithm", "seats", "signature")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who voted, and what their votes add up to."""

    bitmap: bytes
    """Bit ``n % 8`` (1 is the lowest) of byte ``n // 8`` stands for seat n; as many bytes as the seats need."""
    signature: bytes
    """The aggregate, 96 bytes."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {"v": VERSION, "algorithm": BLS12381, "seats": self.bitmap, "signature": self.signature}

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map; nothing is verified.

        Raises:
            FormatError: not a certificate (``certificate.format``), or of an algorithm that is not known here
                (``certificate.algorithm``).
        """
        fields = Fields(value, _NAMES, what="a committee's certificate", code=_CODE)
        fields.version(VERSION)
        if fields.integer("algorithm") != BLS12381:
            raise FormatError("the certificate's algorithm is not known here", code="certificate.algorithm")
        return cls(fields.blob_up_to("seats", MAX_BITMAP_BYTES), fields.blob("signature", bls.SIGNATURE_BYTES))

    def seats(self) -> list[int]:
        """Return the numbers of the seats that voted, ascending."""
        return [8 * at + bit for at, byte in enumerate(self.bitmap) for bit in range(8) if byte >> bit & 1]


@dataclass(frozen=True, slots=True)
class Count:
    """What votes came to."""

    certificate: Certificate | None
    """None while the true votes have no majority."""
    refused: tuple[int, ...]
    """Seats whose vote is not one for this digest, ascending."""


def verify_vote(committee: Committee, seat: int, digest: bytes, vote: bytes) -> None:
    """Check one vote (96 bytes) of a seat for a digest (32 bytes).

    Raises:
        ProofError: no such seat (``certificate.seat``), or not its vote (``certificate.vote``).
    """
    _check_seats(committee, [seat])
    try:
        bls.verify_bls(committee.seats[seat].bls_key, digest, vote)
    except BpciError as error:
        raise ProofError(f"the vote of seat {seat} does not hold", code="certificate.vote", seat=seat) from error


def aggregate_votes(committee: Committee, votes: Mapping[int, bytes]) -> Certificate:
    """Add up votes by seat, 96 bytes each; whether they hold is not looked at.

    Raises:
        ProofError: a seat that is none (``certificate.seat``), too little weight (``certificate.weight``), or a vote
            that is no signature (``certificate.vote``).
    """
    _check_seats(committee, votes)
    _check_weight(committee, votes)
    try:
        signature = bls.aggregate(list(votes.values()))
    except ProofError as error:
        raise ProofError("a vote is no signature", code="certificate.vote") from error
    bitmap = sum(1 << seat for seat in votes).to_bytes(_bitmap_bytes(committee), "little")
    return Certificate(bitmap, signature)


def count_votes(committee: Committee, digest: bytes, votes: Mapping[int, bytes]) -> Count:
    """Add up the votes that hold, and say which do not. One look is enough where all of them do.

    Raises:
        ProofError: a seat that is none (``certificate.seat``).
    """
    _check_seats(committee, votes)
    if not committee.is_majority(committee.weight_of(votes)):
        return Count(None, ())
    try:
        certificate = aggregate_votes(committee, votes)
        verify_certificate(committee, digest, certificate)
    except ProofError:
        refused = tuple(sorted(seat for seat, vote in votes.items() if not _holds(committee, seat, digest, vote)))
        true = {seat: vote for seat, vote in votes.items() if seat not in refused}
        enough = committee.is_majority(committee.weight_of(true))
        return Count(aggregate_votes(committee, true) if enough else None, refused)
    return Count(certificate, ())


def verify_certificate(committee: Committee, digest: bytes, certificate: Certificate) -> None:
    """Check that more than two thirds of the committee's weight voted for a digest (32 bytes).

    Raises:
        ProofError: a bitmap of another length, or with seats that are none (``certificate.seat``); too little weight
            (``certificate.weight``); a signature that does not hold (``certificate.signature``).
    """
    _check_weight(committee, _voters(committee, certificate))
    verify_votes(committee, digest, certificate)


def verify_votes(committee: Committee, digest: bytes, certificate: Certificate) -> None:
    """Check that all seats of a certificate voted for a digest (32 bytes), however much they weigh together.

    Raises:
        ProofError: as :func:`verify_certificate`, but for the weight.
    """
    seats = _voters(committee, certificate)
    try:
        bls.verify_aggregate([committee.seats[seat].bls_key for seat in seats], digest, certificate.signature)
    except BpciError as error:
        raise ProofError("the committee's signature does not hold", code="certificate.signature") from error


def _holds(committee: Committee, seat: int, digest: bytes, vote: bytes) -> bool:
    try:
        verify_vote(committee, seat, digest, vote)
    except ProofError:
        return False
    return True


def _voters(committee: Committee, certificate: Certificate) -> list[int]:
    """Return the seats that a certificate names; all of them are the committee's."""
    if len(certificate.bitmap) != _bitmap_bytes(committee):
        raise ProofError("the bitmap has another length than the committee needs", code="certificate.seat")
    seats = certificate.seats()
    _check_seats(committee, seats)
    return seats


def _bitmap_bytes(committee: Committee) -> int:
    return (len(committee.seats) + 7) // 8


def _check_seats(committee: Committee, seats: Iterable[int]) -> None:
    if any(not 0 <= seat < len(committee.seats) for seat in seats):
        raise ProofError(f"the committee has seats 0 to {len(committee.seats) - 1}", code="certificate.seat")


def _check_weight(committee: Committee, seats: Iterable[int]) -> None:
    weight = committee.weight_of(seats)
    if not committee.is_majority(weight):
        raise ProofError(
            f"{weight} of {committee.total} is not more than two thirds of the weight", code="certificate.weight"
        )
