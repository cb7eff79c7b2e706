"""Verifying a mempool proof with nothing but the proof and what the caller trusts. Needs no pool, node or network.

Nothing here imports more than the ground floor and the types of the proof. What a proof can't show is not claimed: that
the signer's counts, arrivals and time are true, that it showed others the same header, that an entry waits still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bpci_node.errors import FormatError, ProofError, UnreachableError
from bpci_node.mempool.bucket_key import BucketKey
from bpci_node.mempool.bucket_leaf import TOP_K, topk_digest
from bpci_node.mempool.classes import gas_class
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.fees import fee_bin
from bpci_node.mempool.header import MxHeader, verify_header
from bpci_node.mempool.proof import BucketOpening, MempoolProof
from bpci_node.mempool.verkle.verify import verify_opening
from bpci_node.primitives import merkle


@dataclass(frozen=True, slots=True)
class Trust:
    """What the caller trusts, known from elsewhere than the proof. Whatever is given must hold."""

    signer: bytes | None = None
    """Ed25519 key of a node, 32 bytes."""
    ledger_id: str | None = None
    """The ledger to which the signer must belong; says nothing without a signer."""
    mx_root: bytes | None = None
    """Root of the pool, 32 bytes."""


def verify_mempool_proof(data: bytes, trust: Trust) -> MempoolProof:
    """Check an encoded mempool proof and return it.

    With a trusted root alone, what the header says beyond its roots is the word of a signer whom nobody vouched for.

    Raises:
        UnreachableError: neither signer nor root is trusted (``proof.no_trust``).
        ProofError: it does not hold; the codes are those of ``docs/spec/errors/proof.md``.
    """
    if trust.signer is None and trust.mx_root is None:
        raise UnreachableError(
            "nobody said whom to trust, so nothing can be said about this proof",
            code="proof.no_trust",
            hint="Name the signer that you trust, give the file of the network, or a root that you know.",
        )
    try:
        proof = MempoolProof.decode(data)
    except FormatError as error:
        raise ProofError(f"not a mempool proof: {error.message}", code="proof.format") from error
    _check_trust(proof.header, trust)
    verify_header(proof.header)
    _check_buckets(proof)
    for bucket in proof.buckets:
        _check_entries(proof.header, bucket)
    claims: dict[bytes, bytes | None] = {bucket.key: bucket.leaf.digest() for bucket in proof.buckets}
    claims.update(dict.fromkeys(proof.absent))
    try:
        verify_opening(proof.header.verkle_root, claims, proof.verkle)
    except FormatError as error:
        raise ProofError(f"the outer tree's proof: {error.message}", code="proof.verkle") from error
    return proof


def require_shown(proof: MempoolProof, txids: Sequence[bytes], absent: Sequence[bytes]) -> None:
    """Check that a proof shows these entries, and that these buckets are empty.

    Raises:
        ProofError: it shows something else (``proof.not_shown``).
    """
    shown = {entry.txid for bucket in proof.buckets for entry in bucket.entries}
    for txid in txids:
        if txid not in shown:
            raise ProofError(f"the proof does not show the entry 0x{txid.hex()}", code="proof.not_shown")
    counts = {bucket.key: bucket.leaf.count for bucket in proof.buckets}
    for key in absent:
        if key in counts:
            raise ProofError(f"bucket 0x{key.hex()} is not empty: {counts[key]} wait", code="proof.not_shown")
        if key not in proof.absent:
            raise ProofError(f"the proof says nothing of bucket 0x{key.hex()}", code="proof.not_shown")


def _check_trust(header: MxHeader, trust: Trust) -> None:
    if trust.mx_root is not None and header.mx_root != trust.mx_root:
        raise ProofError("the proof is of another root than the one that you trust", code="proof.untrusted")
    if trust.signer is not None and header.signer != trust.signer:
        raise ProofError("the proof is not signed by the signer that you trust", code="proof.untrusted")
    if trust.ledger_id is not None and header.ledger_id != trust.ledger_id:
        raise ProofError("the proof belongs to another ledger", code="proof.ledger")


def _check_buckets(proof: MempoolProof) -> None:
    """Check that keys ascend, say one thing each, and fit the counts of the header."""
    present = [bucket.key for bucket in proof.buckets]
    for keys in (present, proof.absent):
        if any(a >= b for a, b in pairwise(keys)):
            raise ProofError("the keys of buckets must ascend strictly", code="proof.buckets")
    if not present and not proof.absent:
        raise ProofError("the proof speaks of no bucket", code="proof.buckets")
    if not set(present).isdisjoint(proof.absent):
        raise ProofError("a bucket is said to be there and to be empty", code="proof.buckets")
    header = proof.header
    counted, others = sum(bucket.leaf.count for bucket in proof.buckets), header.buckets - len(present)
    if others < 0 or counted + others > header.entries or (others == 0 and counted != header.entries):
        raise ProofError("the buckets do not fit the counts of the header", code="proof.count")
    txids = [entry.txid for bucket in proof.buckets for entry in bucket.entries]
    if len(set(txids)) != len(txids):
        raise ProofError("an entry occurs twice", code="proof.entries")


def _check_entries(header: MxHeader, bucket: BucketOpening) -> None:
    """Check that the opened entries belong into this bucket, in this order, and are the leaves at their places."""
    leaf, entries, positions = bucket.leaf, bucket.entries, bucket.positions
    if len(positions) != len(entries):
        raise ProofError("a bucket opens other places than it has entries for", code="proof.entries")
    if leaf.min_fee > leaf.max_fee or leaf.gas_sum < sum(entry.gas for entry in entries):
        raise ProofError("a bucket's statistics contradict one another or its entries", code="proof.entries")
    if any(a.order_key >= b.order_key for a, b in pairwise(entries)):
        raise ProofError("the entries of a bucket are not in their order", code="proof.entries")
    for position, entry in zip(positions, entries, strict=True):
        if not _belongs(header, bucket, position, entry):
            raise ProofError("an entry does not belong into its bucket", code="proof.entries")
    hashes = [merkle.leaf_hash(entry.encode()) for entry in entries]
    first = min(TOP_K, leaf.count)
    if list(positions[:first]) == list(range(first)) and topk_digest(hashes) != leaf.topk_digest:
        raise ProofError("the first entries are not those of the bucket's top-K digest", code="proof.entries")
    if entries:
        merkle.verify(list(zip(positions, hashes, strict=True)), leaf.count, bucket.path, leaf.merkle_root)
    elif bucket.path:
        raise ProofError("a path leads nowhere", code="proof.merkle")


def _belongs(header: MxHeader, bucket: BucketOpening, position: int, entry: EntryLeaf) -> bool:
    leaf, key = bucket.leaf, BucketKey.decode(bucket.key)
    return (
        fee_bin(entry.fee_per_w, header.fee_bin_wei) == key.fee_bin
        and gas_class(entry.gas) == key.gas
        and leaf.min_fee <= entry.fee_per_w <= leaf.max_fee
        and (position != 0 or entry.fee_per_w == leaf.max_fee)
        and (position != leaf.count - 1 or entry.fee_per_w == leaf.min_fee)
        and 1 <= entry.arrival_seq <= header.arrival_seq
    )
