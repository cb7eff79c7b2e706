"""Receipts of commits: the coordinator's signed word about what it took in, and after what.

The commits of one window form a chain: each running hash takes in the one before it, and the first takes in ledger,
epoch and window. The certified set of the window ends in the same chain, so a commit that has a receipt and is not in
the set, or stands elsewhere in it, proves the coordinator at fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from cbor2 import dumps

from bpci_node.auction.batch_signature import BatchSignature, sign_batch, verify_batched
from bpci_node.auction.commit import Commit
from bpci_node.auction.statement import Statement, read_head
from bpci_node.auction.window import WindowId
from bpci_node.errors import BpciError, ProofError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer

SIGNATURE_CONTEXT = "bpci 2026 auction commit receipt v1"
START_CONTEXT = "bpci 2026 auction commit order start v1"
ORDER_CONTEXT = "bpci 2026 auction commit order v1"
MAX_BYTES = 1_536
"""Longest receipt that is read."""

_NAMES = (
    "v",
    "ledger_id",
    "epoch",
    "window",
    "commit_id",
    "seq",
    "previous",
    "running_hash",
    "coordinator",
    "signed",
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A commit that was taken in, and its place in the order of its window."""

    commit: Commit
    commit_id: bytes
    """32 bytes."""
    seq: int
    """``window.first_seq`` and how many commits of the window came before."""
    previous: bytes
    """Running hash before it, 32 bytes."""
    running_hash: bytes
    """Running hash after it, 32 bytes."""


@dataclass(frozen=True, slots=True)
class CommitReceipt(Statement):
    """What the coordinator acknowledges about one commit."""

    commit_id: bytes
    """32 bytes."""
    seq: int
    """Sequence number of the commit."""
    previous: bytes
    """Running hash before it, 32 bytes."""
    running_hash: bytes
    """Running hash after it, 32 bytes."""
    coordinator: bytes
    """Ed25519 key of the coordinator's node, 32 bytes."""
    signed: BatchSignature
    """Over everything above."""

    def statement(self) -> dict[str, Any]:
        """Return what is signed."""
        return self.head() | {
            "commit_id": self.commit_id,
            "seq": self.seq,
            "previous": self.previous,
            "running_hash": self.running_hash,
            "coordinator": self.coordinator,
        }

    def signed_bytes(self) -> bytes:
        """Return the canonical encoding of what is signed."""
        first, second = self._parts()
        return b"\xa9" + first + second

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        first, second = self._parts()
        return b"".join((b"\xaa", first, b"\x66signed", self.signed.encode(), second))

    def _parts(self) -> tuple[bytes, bytes]:
        # The canonical map before and after ``signed``, put together by hand; a test holds both to the codec.
        first = b"".join((b"\x61v\x01\x63seq", dumps(self.seq), b"\x65epoch", dumps(self.epoch)))
        second = b"".join(
            (
                b"\x66window",
                self.window.encoded,
                b"\x68previous\x58\x20",
                self.previous,
                b"\x69commit_id\x58\x20",
                self.commit_id,
                b"\x69ledger_id",
                dumps(self.ledger_id),
                b"\x6bcoordinator\x58\x20",
                self.coordinator,
                b"\x6crunning_hash\x58\x20",
                self.running_hash,
            )
        )
        return first, second

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form; nothing is verified.

        Raises:
            FormatError: not a receipt (``commit.receipt``), or not CBOR (``format.cbor``, ``format.size``).
        """
        value = codec.decode(data, max_bytes=MAX_BYTES)
        fields = Fields(value, _NAMES, what="a commit's receipt", code="commit.receipt")
        return cls(
            *read_head(fields),
            commit_id=fields.blob("commit_id", 32),
            seq=fields.integer("seq"),
            previous=fields.blob("previous", 32),
            running_hash=fields.blob("running_hash", 32),
            coordinator=fields.blob("coordinator", 32),
            signed=BatchSignature.from_map(fields.raw("signed"), code="commit.receipt"),
        )


def order_start(ledger_id: str, epoch: int, window: WindowId) -> bytes:
    """Return the running hash of a window before its first commit, 32 bytes."""
    return derive(START_CONTEXT, codec.encode([ledger_id, epoch, *window.as_list()]))


def next_running_hash(previous: bytes, commit_id: bytes, seq: int) -> bytes:
    """Return the running hash after one more commit, 32 bytes."""
    return derive(ORDER_CONTEXT, previous + commit_id + seq.to_bytes(8))


def issue_commit_receipts(
    signer: Signer, ledger_id: str, epoch: int, arrivals: Sequence[Arrival]
) -> list[CommitReceipt]:
    """Return the receipts of 1 to ``batch_signature.MAX_STATEMENTS`` arrivals, under one signature."""
    key, unsigned = signer.public_key, BatchSignature(0, 1, b"", b"")
    receipts = [
        CommitReceipt(
            ledger_id,
            epoch,
            arrival.commit.window,
            arrival.commit_id,
            arrival.seq,
            arrival.previous,
            arrival.running_hash,
            key,
            unsigned,
        )
        for arrival in arrivals
    ]
    signatures = sign_batch(signer, SIGNATURE_CONTEXT, [receipt.signed_bytes() for receipt in receipts])
    return [replace(receipt, signed=signed) for receipt, signed in zip(receipts, signatures, strict=True)]


def verify_commit_receipt(data: bytes, *, coordinator: bytes, ledger_id: str) -> CommitReceipt:
    """Check that ``data`` is a receipt of this coordinator (its node's Ed25519 key) on this ledger.

    Raises:
        ProofError: not a receipt, of another coordinator or ledger, altered, or not following (``commit.receipt``).
    """
    try:
        receipt = CommitReceipt.decode(data)
        if receipt.coordinator != coordinator or receipt.ledger_id != ledger_id:
            raise ProofError("the receipt is another coordinator's, or another ledger's", code="commit.receipt")
        verify_batched(coordinator, SIGNATURE_CONTEXT, receipt.signed_bytes(), receipt.signed)
    except BpciError as error:
        raise ProofError(f"the receipt does not hold: {error.message}", code="commit.receipt") from error
    if receipt.running_hash != next_running_hash(receipt.previous, receipt.commit_id, receipt.seq):
        raise ProofError("the receipt's running hash does not follow from its parts", code="commit.receipt")
    return receipt
