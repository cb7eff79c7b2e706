"""Verifying a bundle of version 2 against a committee that the caller trusts, with nothing else.

Three depths. Without its body: header, votes, the coordinator's signature, terms, lists, and the buckets under both
outer trees. With its body: every entry's hash, the order by selecting again, every forced entry's fate, and every entry
in its bucket. In full: every transaction decoded, its sender recovered, its leaf and bucket reckoned again. What a
shallower depth does not reckon is the committee's word. Nothing here says that a header is the next one of its target:
that is :mod:`bpci_node.auction.light`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256 as _sha256  # called directly: a bundle is ten thousand of each hash
from itertools import pairwise

from bpci_node.auction.auction_bundle import KEYS_OF_PROOF, AuctionBundle, Body, BucketRow, Row, post_quantum_message
from bpci_node.auction.candidates import HIDDEN, Origin, entry_hashes, leaf_bytes
from bpci_node.auction.certificate import verify_certificate
from bpci_node.auction.header import AuctionHeader
from bpci_node.auction.lists import ForcedLeaf, forced_root, lists_root
from bpci_node.auction.parcel import parcel_commit_id
from bpci_node.auction.window_selection import MAX_RAW_BYTES, Item, Merged, forced_gas, merge
from bpci_node.chain.committee import Committee
from bpci_node.chain.target_terms import TargetTerms
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.mempool.bucket_key import BucketKey, mesh_leaf
from bpci_node.mempool.entry import check_destination, decode_entry, make_entry
from bpci_node.mempool.entry_leaf import OrderKey
from bpci_node.mempool.target import MIN_GAS
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.verify import verify_opening
from bpci_node.primitives import merkle
from bpci_node.primitives.hashing import keccak256
from bpci_node.primitives.mldsa import verify_ml_dsa


@dataclass(frozen=True, slots=True)
class VerifiedAuction:
    """A bundle that holds."""

    bundle: AuctionBundle
    digest: bytes
    """Digest of its header, 32 bytes."""
    seats: tuple[int, ...]
    """Seats that voted for it, ascending."""
    depth: str
    """``proofs`` (no body was there), ``entries``, or ``full``."""


def verify_auction(data: bytes, committee: Committee, *, is_full: bool = False) -> VerifiedAuction:
    """Check an encoded bundle of version 2.

    Args:
        committee: of the header's epoch, from a source that the caller trusts.
        is_full: also decode every transaction and recover its sender; needs the body.
    Raises:
        ProofError: it does not hold; the codes are those of ``docs/spec/errors/bundle.md`` and ``certificate.md``.
    """
    try:
        bundle = AuctionBundle.decode(data)
    except FormatError as error:
        raise ProofError(f"not a bundle: {error.message}", code="bundle.format") from error
    return verify_decoded(bundle, committee, is_full=is_full)


def verify_decoded(bundle: AuctionBundle, committee: Committee, *, is_full: bool = False) -> VerifiedAuction:
    """Check a bundle that was decoded. Arguments and errors as for :func:`verify_auction`."""
    header, digest = bundle.header, bundle.header.digest()
    if committee.epoch != header.epoch:
        raise ProofError(
            f"the header is of epoch {header.epoch}, the committee of epoch {committee.epoch}", code="bundle.epoch"
        )
    verify_certificate(committee, digest, bundle.certificate)
    try:
        verify_ml_dsa(committee.coordinator.ml_dsa_key, post_quantum_message(digest), bundle.post_quantum)
    except ProofError as error:
        raise ProofError("the coordinator's ML-DSA-44 signature does not hold", code="bundle.signature") from error
    _check_named(bundle)
    _check_buckets(bundle)
    depth = "proofs"
    if bundle.body is not None:
        _check_body(bundle, bundle.body)
        depth = "entries"
        if is_full:
            _check_transactions(bundle, bundle.body)
            depth = "full"
    elif is_full:
        raise ProofError("the bundle came without its entries", code="bundle.no_body", hint="Fetch it with its body.")
    return VerifiedAuction(bundle, digest, tuple(bundle.certificate.seats()), depth)


def _check_named(bundle: AuctionBundle) -> None:
    """Check what the header names by a hash and the bundle shows."""
    header, terms, following = bundle.header, bundle.terms, bundle.next_committee
    if terms.digest() != header.terms or terms.target != header.target or header.qlock_ms not in terms.classes:
        raise ProofError("the bundle's terms are not those of its header", code="bundle.terms")
    if header.gas_used > terms.gas_limit:
        raise ProofError("the header uses more gas than the terms allow", code="bundle.gas")
    if (None if following is None else following.digest()) != header.next_committee:
        raise ProofError("the next committee is not the one that the header names", code="bundle.next_committee")
    if any(a >= b for a, b in pairwise(bundle.lists)) or lists_root(bundle.lists) != header.lists_root:
        raise ProofError("the notaries' lists are not those of the header", code="bundle.lists")
    if any(a >= b for a, b in pairwise(bundle.forced)):
        raise ProofError("the forced transactions do not ascend", code="bundle.forced")


def _check_buckets(bundle: AuctionBundle) -> None:
    """Check that the opened buckets lead to the header's roots."""
    header, rows = bundle.header, bundle.buckets
    if any(a.key >= b.key or a.place >= b.place for a, b in pairwise(rows)):
        raise ProofError("the buckets' keys and places do not ascend", code="bundle.buckets")
    if not rows:
        if bundle.mesh or header.count:
            raise ProofError("no bucket is opened", code="bundle.buckets")
        return
    others, opened = header.buckets - len(rows), sum(row.size for row in rows)
    if others < 0 or rows[-1].place >= header.buckets or min(row.size for row in rows) < 1:
        raise ProofError("the buckets are not among those of the header", code="bundle.buckets")
    if opened + others > header.candidates or (others == 0 and opened != header.candidates):
        raise ProofError("the buckets' counts do not add up to the header's", code="bundle.count")
    leaves = [row.leaf(header.target) for row in rows]
    mesh = [(row.place, mesh_leaf(leaf.bucket_id, leaf.merkle_root)) for row, leaf in zip(rows, leaves, strict=True)]
    _follow(mesh, header.buckets, bundle.mesh, header.merkle_mesh_root, "the mesh's")
    claims = [(row.key, leaf.digest()) for row, leaf in zip(rows, leaves, strict=True)]
    for number, proof in enumerate(bundle.verkle):
        part = dict(claims[number * KEYS_OF_PROOF : (number + 1) * KEYS_OF_PROOF])
        try:
            verify_opening(header.verkle_root, part, VerkleProof.decode(proof))
        except BpciError as error:
            raise ProofError(f"the outer tree's proof: {error.message}", code="bundle.proof") from error


def _check_body(bundle: AuctionBundle, body: Body) -> None:
    header, rows = bundle.header, (*body.entries, *body.left_out)
    if header.count != len(body.entries):
        raise ProofError("the header counts other entries than there are", code="bundle.count")
    if sum(row.gas for row in body.entries) != header.gas_used:
        raise ProofError("the entries' gas is not what the header says", code="bundle.gas")
    leaves = [leaf_bytes(row[3:12]) for row in rows]
    # A row begins with bucket, origin, commit id; the commit of what was never hidden is not part of the leaf.
    parts = (
        (row[1], row[2] if row[1] in HIDDEN else None, row[12], leaf)
        for row, leaf in zip(body.entries, leaves, strict=False)
    )
    if merkle.root_of(entry_hashes(parts)) != header.entries_root:
        raise ProofError("the entries do not lead to the header's entries_root", code="bundle.entries_root")
    _check_arrivals(header, rows)
    parcel = [number for number, row in enumerate(rows) if row[1] == Origin.PARCEL]
    _check_parcel(bundle, body, parcel)
    items = _items(rows, bundle.terms)
    merged = merge(items, bundle.terms.gas_limit, forced_gas(bundle.terms), parcel)
    if not merged.is_whole:
        raise ProofError("the parcel runs where it may not", code="bundle.order")
    _check_order(body, merged)
    _check_forced(bundle, body, merged)
    _check_members(bundle.buckets, body, items, leaves)


def _check_arrivals(header: AuctionHeader, rows: tuple[Row, ...]) -> None:
    """Check that arrivals are those that the rules give, as far as a bundle can show."""
    window = header.window
    opens, first = window.opens_ms, window.first_seq
    end = first + header.commits
    revealed, parcel, carried = Origin.REVEALED, Origin.PARCEL, Origin.CARRIED
    for number, row in enumerate(rows):
        origin, ts, arrival = row[1], row[8], row[9]
        if origin in (revealed, parcel):
            holds = first <= arrival < end and ts == opens
        elif origin == carried:
            holds = ts <= opens
        else:
            holds = arrival == 0 and ts == opens
        if not holds:
            raise ProofError(f"entry {number} has an arrival that it can't have", code="bundle.arrival", entry=number)


def _check_parcel(bundle: AuctionBundle, body: Body, numbers: list[int]) -> None:
    """Check that the entries of the parcel, in their order, are what its commit hid: all of it, and nothing else."""
    header, shown, rows = bundle.header, body.parcel, [*body.entries, *body.left_out]
    if header.parcel is None or shown is None or not numbers:
        if header.parcel is not None or shown is not None or numbers:
            raise ProofError("a parcel is named that is not there, or there without a name", code="bundle.parcel")
        return
    inside = [rows[number] for number in numbers]
    if numbers[-1] >= len(body.entries) or len({row.arrival_seq for row in inside}) != 1:
        raise ProofError("an entry of the parcel is left out, or of another arrival", code="bundle.parcel")
    tier = bundle.terms.tier(shown.tier)
    if tier is None or shown.payment > tier.cap:
        raise ProofError("the parcel bids more than its tier covers", code="bundle.parcel")
    try:
        raws = [row.raw for row in inside]
        name = parcel_commit_id(
            header.window, shown.account, shown.tier, payment=shown.payment, raws=raws, salt=shown.salt
        )
    except FormatError as error:
        raise ProofError(f"the parcel: {error.message}", code="bundle.parcel") from error
    if name != header.parcel or {row.commit for row in inside} != {name}:
        raise ProofError("the parcel's entries are not what its commit hid", code="bundle.parcel")


def _items(rows: tuple[Row, ...], terms: TargetTerms) -> list[Item]:
    base_fee = terms.base_fee_wei
    return [
        Item((origin, (-fee, arrival, txid)), sender, nonce, gas, len(raw), fee >= base_fee)
        for _, origin, _, txid, sender, nonce, fee, gas, _, arrival, _, _, raw in rows
    ]


def _check_order(body: Body, merged: Merged) -> None:
    count = len(body.entries)
    for number, found in enumerate(merged.ran):
        if found != number:
            raise ProofError(f"entry {number} is not the next one by the rules", code="bundle.order", entry=number)
    if len(merged.ran) != count:
        raise ProofError("an entry runs that may not, or none runs that must", code="bundle.order")
    for number, cause in enumerate(body.causes, count):
        if merged.causes[number][0] != cause:
            raise ProofError(
                f"left-out entry {number - count} is out for another cause than it says", code="bundle.cause"
            )
    if sum(len(row.raw) for row in body.entries) > MAX_RAW_BYTES:
        raise ProofError(f"the entries have more than {MAX_RAW_BYTES} bytes", code="bundle.size")


def _check_forced(bundle: AuctionBundle, body: Body, merged: Merged) -> None:
    """Check that every forced entry runs or is out for a cause, and that nothing more is shown than causes need."""
    forced, count = set(bundle.forced), len(body.entries)
    rows = (*body.entries, *body.left_out)
    leaves = []
    for number, row in enumerate(rows):
        is_forced = row.txid in forced
        if row.origin in (Origin.FORCED, Origin.PUBLIC) and is_forced != (row.origin == Origin.FORCED):
            raise ProofError(f"entry {number} is forced in exactly if a list names it", code="bundle.forced")
        if number >= count and keccak256(row.raw) != row.txid:
            raise ProofError("a left-out entry is not the transaction that it names", code="bundle.entry")
        if is_forced or number >= count:
            cause = 0 if number < count else int(body.causes[number - count])
            leaves.append(ForcedLeaf(row.txid, is_forced, row.origin, cause, row.commit_id))
    if sum(leaf.is_forced for leaf in leaves) != len(forced):
        raise ProofError("a forced entry is neither in nor out", code="bundle.forced")
    needed = {number for number, row in enumerate(rows) if number >= count and row.txid in forced}
    waiting = list(needed)
    while waiting:
        by = merged.causes[waiting.pop()][1]
        if by is not None and by >= count and by not in needed:
            needed.add(by)
            waiting.append(by)
    if len(needed) != len(body.left_out):
        raise ProofError("an entry is shown that no cause refers to", code="bundle.forced")
    if forced_root(leaves) != bundle.header.forced_root:
        raise ProofError("what became of forced entries is not what the header says", code="bundle.forced")


def _check_members(buckets: tuple[BucketRow, ...], body: Body, items: list[Item], leaves: list[bytes]) -> None:
    """Check that each entry stands in the bucket that it names."""
    members: list[list[tuple[OrderKey, bytes]]] = [[] for _ in buckets]
    for row, item, leaf in zip((*body.entries, *body.left_out), items, leaves, strict=True):
        members[row[0]].append((item[0][1], leaf))
    if len(body.positions) != len(buckets) or len(body.paths) != len(buckets):
        raise ProofError("the opened buckets are not those of the entries", code="bundle.buckets")
    for bucket, inside, positions, path in zip(buckets, members, body.positions, body.paths, strict=True):
        if not inside or len(positions) != len(inside):
            raise ProofError("a bucket is opened at other places than its entries'", code="bundle.buckets")
        inside.sort()
        opened = [(place, _sha256(b"\x00" + leaf).digest()) for place, (_, leaf) in zip(positions, inside, strict=True)]
        _follow(opened, bucket.size, path, bucket.merkle_root, "a bucket's")


def _check_transactions(bundle: AuctionBundle, body: Body) -> None:
    """Decode every transaction again and reckon its leaf and its bucket."""
    header = bundle.header
    configs = {qlock: bundle.terms.config(qlock) for qlock in bundle.terms.classes}
    for number, row in enumerate((*body.entries, *body.left_out)):
        key = bundle.buckets[row.bucket].key
        try:
            # What was carried was sorted in the class of its own window, which its bucket names.
            qlock = BucketKey.decode(key).qlock_ms if row.origin == Origin.CARRIED else header.qlock_ms
            if qlock not in configs:
                raise FormatError("its bucket is of a class that the target has not", code="bundle.entry")
            tx = decode_entry(row.raw)
            check_destination(tx, configs[qlock], header.ledger_id)
            entry = make_entry(
                tx, configs[qlock], arrival_seq=row.arrival_seq, arrival_ms=row.ts, qos=row.qos, opaque=row.opaque
            )
        except BpciError as error:
            raise ProofError(f"entry {number}: {error.message}", code="bundle.entry", entry=number) from error
        if tx.gas < MIN_GAS or entry.leaf.as_list()[1:] != list(row[3:12]) or entry.bucket_key != key:
            raise ProofError(f"entry {number} is not what its leaf says", code="bundle.entry", entry=number)


def _follow(opened: list[tuple[int, bytes]], size: int, proof: tuple[bytes, ...], root: bytes, whose: str) -> None:
    if len(opened) == size:
        # Every leaf is there: the tree is computed at once, and the proof has nothing to add.
        if proof or [place for place, _ in opened] != list(range(size)):
            raise ProofError(f"{whose} proof opens other places than there are", code="bundle.proof")
        if merkle.root_of([leaf for _, leaf in opened]) != root:
            raise ProofError(f"{whose} proof leads to another root", code="bundle.proof")
        return
    try:
        merkle.verify(opened, size, proof, root)
    except ProofError as error:
        raise ProofError(f"{whose} proof: {error.message}", code="bundle.proof") from error
