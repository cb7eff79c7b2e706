"""Making a mempool proof, in two steps: what must be read while the pool stands still, and what may take its time.

:func:`snapshot` runs where the pool is changed, collects and copies; :func:`prove` runs anywhere, with the pool moving
on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bpci_node.errors import LimitError, NotFoundError
from bpci_node.mempool.bucket import Bucket
from bpci_node.mempool.bucket_leaf import BucketLeaf
from bpci_node.mempool.entry import Entry
from bpci_node.mempool.entry_leaf import EntryLeaf
from bpci_node.mempool.header import MxHeader, sign_header
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MAX_BUCKETS, MAX_ENTRIES, BucketOpening, MempoolProof
from bpci_node.mempool.verkle.opening import Opening
from bpci_node.primitives import merkle
from bpci_node.primitives.keys import Signer


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """What a header says that the pool does not know."""

    ledger_id: str
    """The ledger to which the node belongs."""
    arrival_seq: int
    """Number of the target's last arrival, 0 before the first."""
    running_hash: bytes
    """Running hash after it, 32 bytes."""
    sequence: int
    """Sequence of the target's last bundle, 0 before the first."""
    time_ms: int
    """Unix milliseconds."""
    certificate: bytes | None
    """The node's registration certificate, encoded."""
    signer: bytes
    """The node's public key, 32 bytes."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """One bucket as it stood."""

    key: bytes
    leaf: BucketLeaf
    hashes: list[bytes]
    """Leaf hashes of all its entries; empty when none is opened."""
    entries: list[tuple[int, EntryLeaf]]
    """Opened entries with their positions, ascending."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that proving needs; nothing in it changes when the pool does."""

    header: MxHeader
    """Not signed yet."""
    buckets: tuple[_Opened, ...]
    absent: tuple[bytes, ...]
    opening: Opening


def unsigned_header(pool: Pool, facts: HeaderFacts) -> MxHeader:
    """Return the header of the pool as it stands, without a signature. Brings the pool's roots up to date."""
    roots, target = pool.roots(), pool.target
    return MxHeader(
        ledger_id=facts.ledger_id,
        target=target.id,
        region=target.region,
        qlock_ms=target.qlock_ms,
        base_fee=target.base_fee_wei,
        fee_bin_wei=target.fee_bin_wei,
        gas_limit=target.gas_limit,
        verkle_root=roots.verkle_root,
        merkle_mesh_root=roots.merkle_mesh_root,
        mx_root=roots.mx_root,
        entries=len(pool),
        buckets=roots.bucket_count,
        arrival_seq=facts.arrival_seq,
        running_hash=facts.running_hash,
        sequence=facts.sequence,
        time_ms=facts.time_ms,
        certificate=facts.certificate,
        signer=facts.signer,
        signature=b"",
    )


def snapshot(pool: Pool, facts: HeaderFacts, txids: Iterable[bytes], keys: Iterable[bytes]) -> Snapshot:
    """Collect what proves that these entries wait, and what is in these buckets or that they are empty.

    Args:
        txids: entries to open, 32 bytes each; one that is named twice is opened once.
        keys: buckets to show besides those of the entries, 4 bytes each.
    Raises:
        NotFoundError: an entry does not wait here (``entry.not_waiting``, with those that do not).
        LimitError: nothing, or more than ``MAX_ENTRIES`` entries or ``MAX_BUCKETS`` buckets (``proof.size``).
    """
    wanted = sorted(set(txids))
    found = [pool.find(txid) for txid in wanted]
    missing = [txid for txid, entry in zip(wanted, found, strict=True) if entry is None]
    if missing:
        raise NotFoundError(
            f"{len(missing)} of {len(wanted)} entries do not wait here",
            code="entry.not_waiting",
            hint="Look them up: they may be sealed, replaced, cancelled, or never accepted here.",
            txids=["0x" + txid.hex() for txid in missing[:16]],
        )
    members: dict[bytes, list[Entry]] = {key: [] for key in keys}
    for entry in found:
        if entry is not None:
            members.setdefault(entry.bucket_key, []).append(entry)
    if not 0 < len(members) <= MAX_BUCKETS or len(wanted) > MAX_ENTRIES:
        raise LimitError(
            f"one proof opens 1 to {MAX_BUCKETS} buckets and at most {MAX_ENTRIES} entries",
            code="proof.size",
            hint="Ask for less at once.",
        )
    header = unsigned_header(pool, facts)
    opened, absent = [], []
    for key, entries in sorted(members.items()):
        bucket = pool.bucket(key)
        if bucket is None:
            absent.append(key)
        else:
            opened.append(_open(bucket, bucket.leaf(pool.sealed_epoch(key)), entries))
    return Snapshot(header, tuple(opened), tuple(absent), pool.open(sorted(members)))


def prove(taken: Snapshot, signer: Signer) -> MempoolProof:
    """Return the signed proof of what was collected. Takes milliseconds per bucket.

    Args:
        signer: the key that the snapshot's header names.
    """
    return MempoolProof(
        header=sign_header(signer, taken.header),
        buckets=tuple(_prove_bucket(bucket) for bucket in taken.buckets),
        absent=taken.absent,
        verkle=taken.opening.prove(),
    )


def _open(bucket: Bucket, leaf: BucketLeaf, entries: list[Entry]) -> _Opened:
    opened = sorted((bucket.position(entry), entry.leaf) for entry in entries)
    return _Opened(bucket.key, leaf, bucket.leaf_hashes() if opened else [], opened)


def _prove_bucket(bucket: _Opened) -> BucketOpening:
    positions = [position for position, _ in bucket.entries]
    return BucketOpening(
        key=bucket.key,
        leaf=bucket.leaf,
        positions=tuple(positions),
        entries=tuple(leaf for _, leaf in bucket.entries),
        path=tuple(merkle.prove(bucket.hashes, positions)) if positions else (),
    )
