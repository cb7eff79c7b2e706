"""Receipts and lists of reveals: a notary's signed word about what it got in time.

A receipt is given to the bidder for a reveal that was checked. A list says, when the reveal phase is over, which
commits of the certified set the notary holds timely reveals of: one bit for each, in the order of the set. Whoever gave
a receipt and leaves the commit off its list has signed two things that contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from bpci_node.auction.batch_signature import BatchSignature, sign_batch, verify_batched
from bpci_node.auction.statement import Statement, read_head
from bpci_node.auction.window import MAX_COMMITS, WindowId
from bpci_node.chain.committee import Committee
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, sign_object, verify_object

RECEIPT_CONTEXT = "bpci 2026 auction reveal receipt v1"
LIST_CONTEXT = "bpci 2026 auction reveal list v1"
LIST_DIGEST_CONTEXT = "bpci 2026 auction reveal list digest v1"
MAX_RECEIPT_BYTES = 1_536
"""Longest receipt that is read."""
MAX_LIST_BYTES = MAX_COMMITS // 8 + 512
"""Longest list that is read."""

_MAX_SEAT = 255
_RECEIPT_NAMES = ("v", "ledger_id", "epoch", "window", "set_digest", "commit_id", "seat", "received_us", "signed")
_LIST_NAMES = ("v", "ledger_id", "epoch", "window", "set_digest", "seat", "revealed", "signature")


@dataclass(frozen=True, slots=True)
class RevealReceipt(Statement):
    """What a notary acknowledges about one reveal: it opens its commit, and was timely."""

    set_digest: bytes
    """Digest of the certified set of the window, 32 bytes."""
    commit_id: bytes
    """Which commit was opened, 32 bytes."""
    seat: int
    """The notary's seat in the epoch's committee."""
    received_us: int
    """By the notary's clock, ledger time."""
    signed: BatchSignature
    """By the Ed25519 key of the seat's node, over everything above."""

    def statement(self) -> dict[str, Any]:
        """Return what is signed."""
        return self.head() | {
            "set_digest": self.set_digest,
            "commit_id": self.commit_id,
            "seat": self.seat,
            "received_us": self.received_us,
        }

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return self.statement() | {"signed": self.signed.as_map()}

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode(self.as_map())

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map; no signature is verified.

        Raises:
            FormatError: not a receipt (``reveal.receipt``, ``window.format``).
        """
        fields = Fields(value, _RECEIPT_NAMES, what="a reveal's receipt", code="reveal.receipt")
        return cls(
            *read_head(fields),
            set_digest=fields.blob("set_digest", 32),
            commit_id=fields.blob("commit_id", 32),
            seat=fields.integer("seat", 0, _MAX_SEAT),
            received_us=fields.integer("received_us"),
            signed=BatchSignature.from_map(fields.raw("signed"), code="reveal.receipt"),
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form; no signature is verified.

        Raises:
            FormatError: not a receipt (``reveal.receipt``), or not CBOR (``format.cbor``, ``format.size``).
        """
        return cls.from_map(codec.decode(data, max_bytes=MAX_RECEIPT_BYTES))


@dataclass(frozen=True, slots=True)
class RevealList(Statement):
    """Which commits of a certified set a notary holds timely reveals of."""

    set_digest: bytes
    """Digest of the certified set, 32 bytes."""
    seat: int
    """The notary's seat in the epoch's committee."""
    revealed: bytes
    """One bit for each commit of the set, in its order, the lowest bit of each byte first; spare bits are 0."""
    signature: bytes
    """By the Ed25519 key of the seat's node, 64 bytes."""

    def signed_value(self) -> dict[str, Any]:
        """Return what the signature covers: everything but itself."""
        return self.head() | {
            "set_digest": self.set_digest,
            "seat": self.seat,
            "revealed": self.revealed,
        }

    def digest(self) -> bytes:
        """Return its digest, 32 bytes: what a header's ``lists_root`` is over."""
        return derive(LIST_DIGEST_CONTEXT, codec.encode(self.signed_value()))

    def positions(self) -> list[int]:
        """Return the positions in the set whose reveals the notary holds, ascending."""
        return [at * 8 + bit for at, byte in enumerate(self.revealed) if byte for bit in range(8) if byte >> bit & 1]

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode(self.signed_value() | {"signature": self.signature})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form; no signature is verified.

        Raises:
            FormatError: not a list (``reveal.list``, ``window.format``), or not CBOR (``format.cbor``,
                ``format.size``).
        """
        fields = Fields(
            codec.decode(data, max_bytes=MAX_LIST_BYTES), _LIST_NAMES, what="a list of reveals", code="reveal.list"
        )
        revealed = fields.raw("revealed")
        if type(revealed) is not bytes or len(revealed) > MAX_COMMITS // 8:
            raise FormatError("a list of reveals has one bit for each commit", code="reveal.list")
        return cls(
            *read_head(fields),
            set_digest=fields.blob("set_digest", 32),
            seat=fields.integer("seat", 0, _MAX_SEAT),
            revealed=revealed,
            signature=fields.blob("signature", 64),
        )


def bits_of(positions: Iterable[int], count: int) -> bytes:
    """Return the bits of a list over ``count`` commits; every position is below it."""
    bits = bytearray(-(-count // 8))
    for position in positions:
        bits[position >> 3] |= 1 << (position & 7)
    return bytes(bits)


def issue_reveal_receipts(signer: Signer, unsigned: Sequence[RevealReceipt]) -> list[RevealReceipt]:
    """Return these receipts, 1 to ``batch_signature.MAX_STATEMENTS``, under one signature."""
    statements = [codec.encode(receipt.statement()) for receipt in unsigned]
    return [
        replace(receipt, signed=signed)
        for receipt, signed in zip(unsigned, sign_batch(signer, RECEIPT_CONTEXT, statements), strict=True)
    ]


def verify_reveal_receipt(receipt: RevealReceipt, *, committee: Committee, ledger_id: str) -> None:
    """Check that a notary of this committee gave the receipt on this ledger.

    Whether ``received_us`` was in time shows against the phases of the window.

    Raises:
        ProofError: it did not (``reveal.receipt``).
    """
    key = _seat_key(receipt.ledger_id, receipt.epoch, receipt.seat, committee, ledger_id, code="reveal.receipt")
    try:
        verify_batched(key, RECEIPT_CONTEXT, codec.encode(receipt.statement()), receipt.signed)
    except BpciError as error:
        raise ProofError(f"the receipt does not hold: {error.message}", code="reveal.receipt") from error


def sign_list(
    signer: Signer,
    *,
    ledger_id: str,
    epoch: int,
    window: WindowId,
    set_digest: bytes,
    seat: int,
    revealed: bytes,
) -> RevealList:
    """Return a signed list; arguments are those of :class:`RevealList`."""
    unsigned = RevealList(ledger_id, epoch, window, set_digest, seat, revealed, b"")
    signature = sign_object(signer, LIST_CONTEXT, unsigned.signed_value())
    return RevealList(ledger_id, epoch, window, set_digest, seat, revealed, signature)


def verify_list(reveals: RevealList, *, committee: Committee, ledger_id: str, set_digest: bytes, count: int) -> None:
    """Check that a notary of this committee signed the list, and that it is over this set of ``count`` commits.

    Raises:
        ProofError: it is not (``reveal.list``).
    """
    key = _seat_key(reveals.ledger_id, reveals.epoch, reveals.seat, committee, ledger_id, code="reveal.list")
    spare = -count % 8
    fits = len(reveals.revealed) == -(-count // 8) and not (spare and reveals.revealed[-1] >> (8 - spare))
    if reveals.set_digest != set_digest or not fits:
        raise ProofError("the list is of another set", code="reveal.list")
    try:
        verify_object(key, LIST_CONTEXT, reveals.signed_value(), reveals.signature)
    except BpciError as error:
        raise ProofError("the list is not signed by its notary", code="reveal.list") from error


def _seat_key(ledger: str, epoch: int, seat: int, committee: Committee, ledger_id: str, *, code: str) -> bytes:
    if ledger != ledger_id or epoch != committee.epoch or seat >= len(committee.seats):
        raise ProofError("it is of another ledger, epoch or committee", code=code)
    return committee.seats[seat].node_key
