"""Verifying a bundle with nothing but the bundle and one thing to trust: a signer's name, or a network.

Nothing that a bundle says of itself is believed: transactions are decoded again, senders recovered, fees, classes and
leaves recomputed, the order selected again, roots and proofs followed, the signature checked against the key that the
caller trusts. What can't be seen from a bundle alone is not claimed: that no better entry was left out, that a bucket's
count and an entry's arrival are true, that the parent exists, that the signer's registration still stands today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bpci_node.auction.bundle import NO_PARENT, SIGNATURE_CONTEXT, Bundle, BundleHeader
from bpci_node.auction.selection import MAX_RAW_BYTES, select
from bpci_node.chain.certificate import Certificate, verify_certificate
from bpci_node.errors import BpciError, FormatError, ProofError, UnreachableError
from bpci_node.mempool.bucket_key import bucket_id, mesh_leaf
from bpci_node.mempool.entry import Entry, check_destination, decode_entry, make_entry
from bpci_node.mempool.target import MIN_GAS, TargetConfig
from bpci_node.primitives import merkle
from bpci_node.primitives.keys import did_of, public_key_of, verify_object


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle that holds."""

    bundle: Bundle
    digest: bytes
    """Digest of its header, 32 bytes."""
    entries: tuple[Entry, ...]
    """Its entries with everything recomputed, in the order in which they run."""
    signer: str
    """``did:key`` of the node that sealed it."""
    certificate: Certificate | None
    """What the registry says of that node; None when only the signer was trusted."""


def verify_bundle(
    data: bytes, *, signer: str | None = None, network: tuple[str, bytes] | None = None
) -> VerifiedBundle:
    """Check a bundle file from its first byte to its last.

    Args:
        signer: ``did:key`` of the node that is trusted.
        network: ledger id and registry key (32 bytes) of the network that is trusted; with both given, both must hold.
    Raises:
        UnreachableError: neither was given (``bundle.no_trust``).
        FormatError: ``signer`` is not the name of a key (``format.did``).
        ProofError: it does not hold; the codes are those of ``docs/spec/errors/bundle.md``.
    """
    trusted_key = None if signer is None else public_key_of(signer)
    if trusted_key is None and network is None:
        raise UnreachableError(
            "nobody said whom to trust, so nothing can be said about this bundle",
            code="bundle.no_trust",
            hint="Name the signer that you trust, or give the file of the network.",
        )
    try:
        bundle = Bundle.decode(data)
    except FormatError as error:
        raise ProofError(f"not a bundle: {error.message}", code="bundle.format") from error
    certificate = _check_trust(bundle, trusted_key, network)
    try:
        verify_object(bundle.signer, SIGNATURE_CONTEXT, bundle.signed_map(), bundle.signature)
    except BpciError as error:
        raise ProofError("the signature is not that of the bundle's signer", code="bundle.signature") from error
    entries = _recompute(bundle)
    _check_header(bundle.header, entries)
    _check_order(bundle.header, entries)
    _check_buckets(bundle, entries)
    return VerifiedBundle(bundle, bundle.header.digest(), tuple(entries), did_of(bundle.signer), certificate)


def _check_trust(bundle: Bundle, trusted_key: bytes | None, network: tuple[str, bytes] | None) -> Certificate | None:
    if trusted_key is not None and bundle.signer != trusted_key:
        raise ProofError("the bundle is not signed by the signer that you trust", code="bundle.untrusted")
    if network is None:
        return None
    ledger_id, registry_key = network
    if bundle.header.ledger_id != ledger_id:
        raise ProofError("the bundle belongs to another ledger", code="bundle.ledger")
    if bundle.certificate is None:
        raise ProofError(
            "the bundle carries no certificate of the network's registry",
            code="bundle.untrusted",
            hint="If you know the signer, verify against its name.",
        )
    try:
        certificate = verify_certificate(bundle.certificate, registry_key=registry_key, ledger_id=ledger_id)
    except BpciError as error:
        raise ProofError(
            f"the signer's certificate does not hold: {error.message}", code="bundle.certificate"
        ) from error
    if certificate.node_key != bundle.signer:
        raise ProofError("the certificate is that of another key than the bundle's signer", code="bundle.certificate")
    return certificate


def _recompute(bundle: Bundle) -> list[Entry]:
    """Decode every entry again and sort it on the terms of the header."""
    header = bundle.header
    try:
        target = TargetConfig(
            id=header.target,
            base_fee_wei=header.base_fee,
            fee_bin_wei=header.fee_bin_wei,
            gas_limit=header.gas_limit,
            region=header.region,
            qlock_ms=header.qlock_ms,
        )
    except FormatError as error:
        raise ProofError(f"the header's terms are not possible: {error.message}", code="bundle.format") from error
    entries = []
    for number, item in enumerate(bundle.entries):
        try:
            tx = decode_entry(item.raw)
            check_destination(tx, target, header.ledger_id)
        except BpciError as error:
            raise ProofError(f"entry {number}: {error.message}", code="bundle.entry", entry=number) from error
        if tx.gas < MIN_GAS:
            raise ProofError(f"entry {number} can't run with its gas", code="bundle.entry", entry=number)
        entry = make_entry(
            tx, target, arrival_seq=item.arrival_seq, arrival_ms=item.ts, qos=item.qos, opaque=item.opaque
        )
        if not entry.pays_base_fee:
            raise ProofError(f"entry {number} does not pay the base fee", code="bundle.fee", entry=number)
        entries.append(entry)
    return entries


def _check_header(header: BundleHeader, entries: Sequence[Entry]) -> None:
    if (header.sequence == 1) != (header.parent == NO_PARENT):
        raise ProofError("the first bundle has no parent, every other one has", code="bundle.parent")
    if header.count != len(entries):
        raise ProofError("the header counts other entries than there are", code="bundle.count")
    gas = sum(entry.leaf.gas for entry in entries)
    if gas != header.gas_used or gas > header.gas_limit:
        raise ProofError(
            f"the entries' gas adds up to {gas}, the header says {header.gas_used} of {header.gas_limit}",
            code="bundle.gas",
        )
    if sum(len(entry.transaction.raw) for entry in entries) > MAX_RAW_BYTES:
        raise ProofError(f"the entries have more than {MAX_RAW_BYTES} bytes", code="bundle.size")
    root = merkle.root_of([merkle.leaf_hash(entry.leaf.encode()) for entry in entries])
    if root != header.entries_root:
        raise ProofError("the entries do not lead to the header's entries_root", code="bundle.entries_root")


def _check_order(header: BundleHeader, entries: Sequence[Entry]) -> None:
    """Check nonces and order by selecting again: passing a sender over changes nothing among those that stay."""
    for name, values in (
        ("transaction", {entry.leaf.txid for entry in entries}),
        ("arrival", {entry.leaf.arrival_seq for entry in entries}),
    ):
        if len(values) != len(entries):
            raise ProofError(f"a {name} occurs twice", code="bundle.duplicate")
    latest: dict[bytes, int] = {}
    for number, entry in enumerate(entries):
        if entry.leaf.nonce <= latest.get(entry.leaf.sender, -1):
            raise ProofError(
                f"entry {number} runs after a later or equal nonce of its sender", code="bundle.nonce", entry=number
            )
        latest[entry.leaf.sender] = entry.leaf.nonce
    for number, (found, expected) in enumerate(zip(entries, select(entries, header.gas_limit), strict=True)):
        if found is not expected:
            raise ProofError(f"entry {number} is not the next one by the rules", code="bundle.order", entry=number)


def _check_buckets(bundle: Bundle, entries: Sequence[Entry]) -> None:
    """Check that the opened buckets are those of the entries, and that the proofs lead to the header's root."""
    header, openings = bundle.header, bundle.buckets
    members: dict[bytes, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.leaf.order_key):
        members.setdefault(entry.bucket_key, []).append(entry)
    if [opening.key for opening in openings] != sorted(members) or len(bundle.bucket_proofs) != len(openings):
        raise ProofError("the opened buckets are not those of the entries", code="bundle.buckets")
    if any(a.index >= b.index for a, b in pairwise(openings)) or openings[-1].index >= header.bucket_count:
        raise ProofError("the buckets' places do not ascend with their keys", code="bundle.buckets")
    others, opened = header.bucket_count - len(openings), sum(opening.count for opening in openings)
    if opened + others > header.pool_count or (others == 0 and opened != header.pool_count):
        raise ProofError("the buckets' counts do not add up to the pool's", code="bundle.count")
    mesh = []
    for opening, proof in zip(openings, bundle.bucket_proofs, strict=True):
        inside = members[opening.key]
        if len(opening.positions) != len(inside):
            raise ProofError("a bucket is opened at other places than its entries'", code="bundle.buckets")
        leaves = [merkle.leaf_hash(entry.leaf.encode()) for entry in inside]
        opened_leaves = list(zip(opening.positions, leaves, strict=True))
        _follow(opened_leaves, opening.count, proof, opening.merkle_root, "a bucket's")
        mesh.append((opening.index, mesh_leaf(bucket_id(header.target, opening.key), opening.merkle_root)))
    _follow(mesh, header.bucket_count, bundle.mesh_proof, header.mesh_root, "the mesh's")


def _follow(opened: list[tuple[int, bytes]], size: int, proof: Sequence[bytes], root: bytes, whose: str) -> None:
    try:
        merkle.verify(opened, size, proof, root)
    except ProofError as error:
        raise ProofError(f"{whose} proof: {error.message}", code="bundle.proof") from error
