"""Sealing: a pool and a selection become a signed bundle. The pool is left as it is.

Who seals stores the bundle first, and only then calls :meth:`Pool.settle` for its entries: a node that dies in between
has either sealed them or still holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bpci_node.auction.bundle import (
    NO_PARENT,
    SIGNATURE_CONTEXT,
    BucketOpening,
    Bundle,
    BundleEntry,
    BundleHeader,
)
from bpci_node.errors import FormatError, RefusedError
from bpci_node.mempool.bucket import Bucket, mesh_root
from bpci_node.mempool.bucket_key import mesh_leaf
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import MAX_AMOUNT, MIN_GAS
from bpci_node.primitives import merkle
from bpci_node.primitives.keys import Signer, sign_object


def seal_bundle(
    pool: Pool,
    selected: Sequence[Entry],
    *,
    signer: Signer,
    ledger_id: str,
    sequence: int,
    parent: bytes,
    time_ms: int,
    gas_limit: int,
    certificate: bytes | None,
) -> Bundle:
    """Return the signed bundle of the ``selected`` entries of ``pool``.

    Args:
        selected: what :func:`~bpci_node.auction.selection.select` returned for this pool and ``gas_limit``.
        ledger_id: the ledger that the node belongs to.
        sequence: one more than that of the bundle before, or 1.
        parent: digest of the header before, 32 bytes; ``NO_PARENT`` for the first.
        time_ms: Unix milliseconds.
        certificate: the node's registration certificate, encoded.
    Raises:
        FormatError: the gas limit is out of range (``bundle.gas_limit``).
        RefusedError: nothing is selected (``bundle.empty``), or ``parent`` does not fit ``sequence``
            (``bundle.parent``).
    """
    if not MIN_GAS <= gas_limit <= MAX_AMOUNT:
        raise FormatError(f"the gas limit of a bundle lies between {MIN_GAS} and {MAX_AMOUNT}", code="bundle.gas_limit")
    if not selected:
        raise RefusedError(
            "there is nothing to seal",
            code="bundle.empty",
            hint="No entry waits that pays the base fee and fits the gas limit.",
        )
    if (sequence == 1) != (parent == NO_PARENT):
        raise RefusedError("the first bundle has no parent, every other one has", code="bundle.parent")
    buckets = pool.buckets()
    mesh_leaves = [mesh_leaf(bucket.identifier, bucket.merkle_root()) for bucket in buckets]
    chosen = {entry.leaf.txid for entry in selected}
    touched_keys = {entry.bucket_key for entry in selected}
    touched = [(index, bucket) for index, bucket in enumerate(buckets) if bucket.key in touched_keys]
    openings = [_open(index, bucket, chosen) for index, bucket in touched]
    target = pool.target
    header = BundleHeader(
        ledger_id=ledger_id,
        target=target.id,
        sequence=sequence,
        parent=parent,
        time_ms=time_ms,
        base_fee=target.base_fee_wei,
        fee_bin_wei=target.fee_bin_wei,
        region=target.region,
        qlock_ms=target.qlock_ms,
        gas_limit=gas_limit,
        gas_used=sum(entry.leaf.gas for entry in selected),
        count=len(selected),
        entries_root=merkle.root_of([merkle.leaf_hash(entry.leaf.encode()) for entry in selected]),
        mesh_root=mesh_root(mesh_leaves),
        bucket_count=len(buckets),
        pool_count=len(pool),
    )
    unsigned = Bundle(
        header=header,
        entries=tuple(
            BundleEntry(
                raw=entry.transaction.raw,
                arrival_seq=entry.leaf.arrival_seq,
                ts=entry.leaf.ts,
                qos=entry.leaf.qos,
                opaque=entry.leaf.opaque,
            )
            for entry in selected
        ),
        buckets=tuple(opening for opening, _ in openings),
        bucket_proofs=tuple(proof for _, proof in openings),
        mesh_proof=tuple(merkle.prove(mesh_leaves, [index for index, _ in touched])),
        certificate=certificate,
        signer=signer.public_key,
        signature=b"",
    )
    return replace(unsigned, signature=sign_object(signer, SIGNATURE_CONTEXT, unsigned.signed_map()))


def _open(index: int, bucket: Bucket, chosen: set[bytes]) -> tuple[BucketOpening, tuple[bytes, ...]]:
    positions = tuple(position for position, entry in enumerate(bucket) if entry.leaf.txid in chosen)
    proof = tuple(merkle.prove(bucket.leaf_hashes(), positions))
    return BucketOpening(index, bucket.key, len(bucket), bucket.merkle_root(), positions), proof
