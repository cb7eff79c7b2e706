"""The set of a window's commits: what the coordinator closes and the notaries countersign before anything is revealed.

Only commits of the certified set can win. Its leaves are ``commit_id ‖ seq`` in the order of arrival, and its running
hash is the one that the last receipt names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from bpci_node.auction.commit_receipt import CommitReceipt, next_running_hash, order_start
from bpci_node.auction.statement import Statement, read_head
from bpci_node.auction.window import MAX_COMMITS, WindowId
from bpci_node.errors import ProofError
from bpci_node.primitives import codec
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import Signer, sign_object, verify_object
from bpci_node.primitives.merkle import audit_path, leaf_hash, root_of, verify_inclusion

SIGNATURE_CONTEXT = "bpci 2026 auction commit set v1"
DIGEST_CONTEXT = "bpci 2026 auction commit set digest v1"
MAX_BYTES = 1_024
"""Longest set that is read; its commits travel beside it."""

_NAMES = (
    "v",
    "ledger_id",
    "epoch",
    "window",
    "count",
    "root",
    "running_hash",
    "closed_us",
    "coordinator",
    "signature",
)


@dataclass(frozen=True, slots=True)
class CommitSet(Statement):
    """What stands for all commits of a window."""

    count: int
    """Number of commits, 0 to ``MAX_COMMITS``; they are numbered from ``window.first_seq`` on."""
    root: bytes
    """RFC 6962 root over ``commit_id ‖ seq (8 bytes)``, 32 bytes."""
    running_hash: bytes
    """After the last commit, 32 bytes."""
    closed_us: int
    """When it was closed by the coordinator's clock, ledger time; not before the end of the commit phase."""
    coordinator: bytes
    """Ed25519 key of the coordinator's node, 32 bytes."""
    signature: bytes
    """By the coordinator, 64 bytes."""

    def signed_value(self) -> dict[str, Any]:
        """Return what the signature covers: everything but itself."""
        return self.head() | {
            "count": self.count,
            "root": self.root,
            "running_hash": self.running_hash,
            "closed_us": self.closed_us,
            "coordinator": self.coordinator,
        }

    def digest(self) -> bytes:
        """Return what the notaries vote for, 32 bytes."""
        return derive(DIGEST_CONTEXT, codec.encode(self.signed_value()))

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode(self.signed_value() | {"signature": self.signature})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the canonical CBOR form; nothing is verified.

        Raises:
            FormatError: not a set (``commit.set``, ``window.format``), or not CBOR (``format.cbor``, ``format.size``).
        """
        value = codec.decode(data, max_bytes=MAX_BYTES)
        fields = Fields(value, _NAMES, what="a set of commits", code="commit.set")
        return cls(
            *read_head(fields),
            count=fields.integer("count", 0, MAX_COMMITS),
            root=fields.blob("root", 32),
            running_hash=fields.blob("running_hash", 32),
            closed_us=fields.integer("closed_us"),
            coordinator=fields.blob("coordinator", 32),
            signature=fields.blob("signature", 64),
        )


def set_leaf(commit_id: bytes, seq: int) -> bytes:
    """Return the leaf hash of one commit."""
    return leaf_hash(commit_id + seq.to_bytes(8))


def set_leaves(window: WindowId, commit_ids: Sequence[bytes]) -> list[bytes]:
    """Return the leaf hashes of a window's commits in the order of arrival."""
    first = window.first_seq
    return [set_leaf(name, first + position) for position, name in enumerate(commit_ids)]


def draft_set(
    ledger_id: str, epoch: int, window: WindowId, commit_ids: Sequence[bytes], *, closed_us: int, coordinator: bytes
) -> CommitSet:
    """Return the set of these commits, which are in the order of arrival; its signature is empty still."""
    running_hash = order_start(ledger_id, epoch, window)
    for position, name in enumerate(commit_ids):
        running_hash = next_running_hash(running_hash, name, window.first_seq + position)
    root = root_of(set_leaves(window, commit_ids))
    return CommitSet(
        ledger_id, epoch, window, len(commit_ids), root, running_hash, closed_us, coordinator, signature=b""
    )


def sign_set(signer: Signer, draft: CommitSet) -> CommitSet:
    """Return ``draft`` with the coordinator's signature.

    Whoever signs two different sets for one window is at fault: ask the guard of signatures first.
    """
    return replace(draft, signature=sign_object(signer, SIGNATURE_CONTEXT, draft.signed_value()))


def verify_set(commit_set: CommitSet, commit_ids: Sequence[bytes], *, coordinator: bytes, ledger_id: str) -> None:
    """Check that the coordinator signed this set, and that it is the set of these commits in this order.

    Raises:
        ProofError: it is not (``commit.set``), or the signature does not hold (``proof.signature``).
    """
    verify_set_signature(commit_set, coordinator=coordinator, ledger_id=ledger_id)
    expected = draft_set(
        ledger_id,
        commit_set.epoch,
        commit_set.window,
        commit_ids,
        closed_us=commit_set.closed_us,
        coordinator=coordinator,
    )
    if replace(commit_set, signature=b"") != expected:
        raise ProofError("the set is not that of these commits", code="commit.set")


def verify_set_signature(commit_set: CommitSet, *, coordinator: bytes, ledger_id: str) -> None:
    """Check that the coordinator signed this set for this ledger; its commits are not looked at.

    Raises:
        ProofError: of another ledger or coordinator (``commit.set``), or not signed (``proof.signature``).
    """
    if commit_set.ledger_id != ledger_id or commit_set.coordinator != coordinator:
        raise ProofError("the set is of another ledger or coordinator", code="commit.set")
    verify_object(coordinator, SIGNATURE_CONTEXT, commit_set.signed_value(), commit_set.signature)


@dataclass(frozen=True, slots=True)
class Omission:
    """What stands in a set where a receipt says that its commit stands."""

    commit_id: bytes | None
    """Another commit's name, 32 bytes; None where the set has no such position."""
    path: tuple[bytes, ...]
    """Audit path of that commit, 32-byte hashes."""


def prove_omission(receipt: CommitReceipt, commit_ids: Sequence[bytes]) -> Omission:
    """Return the proof that a set leaves a commit out, or has it elsewhere than its receipt says.

    Args:
        commit_ids: of the set, in its order.
    Raises:
        ProofError: the commit is where its receipt says (``commit.not_omitted``).
    """
    position = receipt.seq - receipt.window.first_seq
    if not 0 <= position < len(commit_ids):
        return Omission(None, ())
    if commit_ids[position] == receipt.commit_id:
        raise _not_omitted()
    return Omission(commit_ids[position], tuple(audit_path(set_leaves(receipt.window, commit_ids), position)))


def verify_omission(receipt: CommitReceipt, commit_set: CommitSet, omission: Omission) -> None:
    """Check that a set contradicts a receipt. Both are signed by the coordinator: the caller has verified that.

    Raises:
        ProofError: they are not of one window, or the commit is where its receipt says (``commit.not_omitted``), or
            the other commit is not there (``proof.merkle``).
    """
    same = (receipt.ledger_id, receipt.epoch, receipt.window, receipt.coordinator)
    if same != (commit_set.ledger_id, commit_set.epoch, commit_set.window, commit_set.coordinator):
        raise ProofError("receipt and set are not of one window and coordinator", code="commit.not_omitted")
    position = receipt.seq - receipt.window.first_seq
    if omission.commit_id is None:
        if 0 <= position < commit_set.count:
            raise _not_omitted()
        return
    if omission.commit_id == receipt.commit_id:
        raise _not_omitted()
    verify_inclusion(
        set_leaf(omission.commit_id, receipt.seq), position, commit_set.count, omission.path, commit_set.root
    )


def _not_omitted() -> ProofError:
    return ProofError("the set has the commit where its receipt says", code="commit.not_omitted")
