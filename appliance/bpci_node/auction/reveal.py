"""Reveals: what a commit hid, opened once its window's set is certified, and checked by whoever gets it.

A reveal needs no signature: nobody but who made the commitment knows what opens it. Everything that the digest binds is
computed anew from the signed transaction on the target's terms; what the bidder says of it counts for nothing. What was
hidden may be a parcel (:mod:`bpci_node.auction.parcel`), every entry of which is checked like a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from bpci_node.auction.commit import MAX_BATCH, SALT_BYTES, Commit, commitment
from bpci_node.auction.parcel import Opened, Parcel, check_parcel, decode_parcel, is_parcel, parcel_commitment
from bpci_node.auction.window import WindowId
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import FormatError, LimitError, RefusedError
from bpci_node.mempool.admission import check_gas
from bpci_node.mempool.entry import Entry, check_destination, decode_entry, make_entry
from bpci_node.primitives import codec
from bpci_node.primitives.ethereum import MAX_BYTES as MAX_RAW_BYTES
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.hashing import sha256

VERSION = 1
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Longest batch of reveals that is read."""

_NAMES = ("v", "window", "commit_id", "raw", "salt")


@dataclass(frozen=True, slots=True)
class Reveal:
    """What opens a commit, as it is sent."""

    window: WindowId
    """The window of the commit."""
    commit_id: bytes
    """Which commit it opens, 32 bytes."""
    raw: bytes
    """The signed transaction, the native entry, or the parcel; its first byte tells which."""
    salt: bytes
    """The salt of the commitment, 32 bytes."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is encoded."""
        return {
            "v": VERSION,
            "window": self.window.as_list(),
            "commit_id": self.commit_id,
            "raw": self.raw,
            "salt": self.salt,
        }

    def encode(self) -> bytes:
        """Return the canonical CBOR form."""
        return codec.encode(self.as_map())

    @classmethod
    def from_map(cls, value: Any) -> Self:
        """Check a decoded map and return the reveal.

        Raises:
            FormatError: not a reveal (``reveal.format``), or of no window (``window.format``).
        """
        fields = Fields(value, _NAMES, what="a reveal", code="reveal.format")
        fields.version(VERSION)
        return cls(
            window=WindowId.from_list(fields.raw("window")),
            commit_id=fields.blob("commit_id", 32),
            raw=fields.blob_up_to("raw", MAX_RAW_BYTES),
            salt=fields.blob("salt", SALT_BYTES),
        )


def encode_reveals(reveals: Sequence[Reveal]) -> bytes:
    """Return a batch: the canonical CBOR list of the reveals."""
    return codec.encode([reveal.as_map() for reveal in reveals])


def decode_reveals(data: bytes, *, most: int = MAX_BATCH) -> list[Reveal]:
    """Read a batch of 1 to ``most`` reveals; nothing is checked against a commit.

    Raises:
        FormatError: not such a list (``reveal.format``, ``window.format``), or not canonical CBOR (``format.cbor``).
        LimitError: more than ``most``, or longer than ``MAX_BATCH_BYTES`` (``reveal.batch``, with the limit).
    """
    if len(data) > MAX_BATCH_BYTES:
        raise LimitError(
            f"a batch of reveals has at most {MAX_BATCH_BYTES} bytes", code="reveal.batch", limit=MAX_BATCH_BYTES
        )
    value = codec.decode(data, max_bytes=MAX_BATCH_BYTES)
    if type(value) is not list or not value:
        raise FormatError("a batch is a list of reveals, at least one", code="reveal.format")
    if len(value) > most:
        raise LimitError(f"a batch has at most {most} reveals", code="reveal.batch", limit=most)
    return [Reveal.from_map(item) for item in value]


def commitment_of(window: WindowId, account: str, entry: Entry, salt: bytes) -> bytes:
    """Return the digest under which ``account`` commits to ``entry`` in ``window``, 32 bytes.

    Raises:
        FormatError: the salt has another length (``commit.format``).
    """
    return commitment(
        window,
        account,
        bucket_key=entry.bucket_key,
        sender=entry.leaf.sender,
        nonce=entry.leaf.nonce,
        raw_hash=sha256(entry.transaction.raw),
        salt=salt,
    )


def payment_of(entry: Entry, terms: TargetTerms) -> int:
    """Return what the winner pays for this entry, smallest unit of the terms' asset.

    It is what the entry offers above the base fee for all of its gas, rounded up: ``⌈(fee_per_w - base fee) · gas /
    wei_per_unit⌉``, and nothing for an entry below the base fee, which never wins.
    """
    above = max(0, entry.leaf.fee_per_w - terms.base_fee_wei) * entry.leaf.gas
    return -(-above // terms.wei_per_unit)


def check_reveal(reveal: Reveal, commit: Commit, terms: TargetTerms, ledger_id: str, *, arrival_seq: int) -> Opened:
    """Check that ``reveal`` opens ``commit``, and return the entry or the parcel that takes part in the window.

    Args:
        terms: those of the window's target, as they are in force in its epoch.
        ledger_id: for native entries.
        arrival_seq: sequence number of the commit in its certified set; the arrival of what it hid.
    Raises:
        FormatError: what was revealed is no entry (``entry.*``) and no parcel (``parcel.format``).
        RefusedError: it is no entry of this target (``entry.*``), it opens another commit (``reveal.mismatch``), it is
            a parcel that can never run (``parcel.*``), or bids more than its tier covers (``reveal.tier``, with the
            cap).
    """
    if reveal.commit_id != commit.commit_id or reveal.window != commit.window:
        raise _mismatch()
    if is_parcel(reveal.raw):
        return _check_parcel(reveal, commit, terms, ledger_id, arrival_seq)
    entry = _entry(reveal.raw, commit.window, terms, ledger_id, arrival_seq)
    if commitment_of(commit.window, commit.account, entry, reveal.salt) != commit.digest:
        raise _mismatch()
    _check_payment(payment_of(entry, terms), commit, terms)
    return entry


def _check_parcel(reveal: Reveal, commit: Commit, terms: TargetTerms, ledger_id: str, arrival_seq: int) -> Parcel:
    # The digest first: it costs one hash, and the entries a recovered sender each.
    if parcel_commitment(commit.window, commit.account, reveal.raw, reveal.salt) != commit.digest:
        raise _mismatch()
    payment, raws = decode_parcel(reveal.raw)
    _check_payment(payment, commit, terms)
    entries = tuple(_entry(raw, commit.window, terms, ledger_id, arrival_seq) for raw in raws)
    parcel = Parcel(commit, reveal.salt, payment, entries)
    check_parcel(parcel, terms)
    return parcel


def _entry(raw: bytes, window: WindowId, terms: TargetTerms, ledger_id: str, arrival_seq: int) -> Entry:
    """Return what was signed as an entry of a window; everybody computes the same."""
    config = terms.config(window.qlock_ms)
    transaction = decode_entry(raw)
    check_destination(transaction, config, ledger_id)
    check_gas(transaction, config.gas_limit, is_checked=False)
    return make_entry(transaction, config, arrival_seq=arrival_seq, arrival_ms=window.opens_ms)


def _check_payment(payment: int, commit: Commit, terms: TargetTerms) -> None:
    tier = terms.tier(commit.tier)
    if tier is None or payment > tier.cap:
        raise RefusedError(
            "the reveal bids more than its tier covers",
            code="reveal.tier",
            hint="Commit under a tier whose cap is at least the payment.",
            cap=str(0 if tier is None else tier.cap),
            payment=str(payment),
        )


def _mismatch() -> RefusedError:
    return RefusedError("the reveal does not open this commit", code="reveal.mismatch")
