"""The trees over a window's candidates, each transaction once: buckets, mesh and outer tree, as in a pool."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256 as _sha256  # called directly: a window is ten thousand of each hash
from operator import attrgetter

from bpci_node.auction.auction_bundle import KEYS_OF_PROOF, BucketRow
from bpci_node.auction.candidates import Candidate, leaf_bytes
from bpci_node.mempool.bucket_key import bucket_id, mesh_leaf
from bpci_node.mempool.bucket_leaf import topk_digest
from bpci_node.mempool.entry_leaf import EntryLeaf, OrderKey
from bpci_node.mempool.verkle.opening import Opening
from bpci_node.mempool.verkle.tree import VerkleTree
from bpci_node.primitives import merkle
from bpci_node.primitives.fields import MAX_INT

_members_of = attrgetter("txid", "sender", "nonce", "fee_per_w", "gas", "ts", "arrival_seq", "qos", "opaque")


@dataclass(frozen=True, slots=True)
class OpenedBuckets:
    """What shows some entries in their buckets, and those in the outer trees."""

    buckets: tuple[BucketRow, ...]
    """In the order of keys."""
    positions: tuple[tuple[int, ...], ...]
    """For each bucket: the places of the entries, ascending."""
    paths: tuple[tuple[bytes, ...], ...]
    """For each bucket: the Merkle multiproof of these places."""
    mesh: tuple[bytes, ...]
    """The Merkle multiproof of the buckets in the mesh."""
    verkle: tuple[Opening, ...]
    """What proves the buckets in the outer tree."""


class WindowTrees:
    """The roots of a window, at once; what opens them, when it is asked for."""

    __slots__ = ("_leaf_hashes", "_members", "_mesh", "_rows", "_verkle", "leaves", "merkle_mesh_root", "verkle_root")

    def __init__(self, target: str, candidates: Iterable[Candidate]) -> None:
        """Build the trees.

        Args:
            candidates: no transaction twice, in any order.
        """
        self.leaves: dict[bytes, bytes] = {}
        """Encoding of every entry's leaf, by txid."""
        self._members: dict[bytes, list[bytes]] = {}
        """Txids of every bucket in its order."""
        self._leaf_hashes: dict[bytes, list[bytes]] = {}
        self._rows: dict[bytes, BucketRow] = {}
        self._mesh: list[bytes] = []
        self._verkle = VerkleTree()
        buckets: dict[bytes, list[Candidate]] = {}
        for candidate in candidates:
            buckets.setdefault(candidate.entry.bucket_key, []).append(candidate)
        for place, key in enumerate(sorted(buckets)):
            self._add(target, key, place, buckets[key])
        self.verkle_root = self._verkle.root()
        """Commitment of the outer tree, 48 bytes."""
        self.merkle_mesh_root = merkle.root_of(self._mesh)
        """Root of the mesh, 32 bytes."""

    @property
    def bucket_count(self) -> int:
        """Non-empty buckets."""
        return len(self._rows)

    def open(self, txids: Collection[bytes]) -> OpenedBuckets:
        """Collect what shows these entries, all of which are here."""
        rows, positions, paths = [], [], []
        for key in sorted(self._rows):
            places = tuple(place for place, txid in enumerate(self._members[key]) if txid in txids)
            if places:
                rows.append(self._rows[key])
                positions.append(places)
                paths.append(_prove(self._leaf_hashes[key], places))
        mesh = _prove(self._mesh, [row.place for row in rows]) if rows else ()
        keys = [row.key for row in rows]
        openings = tuple(self._verkle.open(keys[at : at + KEYS_OF_PROOF]) for at in range(0, len(keys), KEYS_OF_PROOF))
        return OpenedBuckets(tuple(rows), tuple(positions), tuple(paths), mesh, openings)

    def _add(self, target: str, key: bytes, place: int, members: list[Candidate]) -> None:
        leaves = [candidate.entry.leaf for candidate in members]
        if len(members) > 1:
            leaves.sort(key=_order_key)
        encoded = [leaf_bytes(_members_of(leaf)) for leaf in leaves]
        self.leaves.update(zip((leaf.txid for leaf in leaves), encoded, strict=True))
        hashes = [_sha256(b"\x00" + item).digest() for item in encoded]
        row = BucketRow(
            key=key,
            place=place,
            size=len(members),
            gas_sum=min(sum(leaf.gas for leaf in leaves), MAX_INT),
            min_fee=leaves[-1].fee_per_w,
            max_fee=leaves[0].fee_per_w,
            topk_digest=topk_digest(hashes),
            merkle_root=merkle.root_of(hashes),
        )
        self._members[key] = [leaf.txid for leaf in leaves]
        self._leaf_hashes[key] = hashes
        self._rows[key] = row
        self._verkle.set(key, row.leaf(target).digest())
        self._mesh.append(mesh_leaf(bucket_id(target, key), row.merkle_root))


def _order_key(leaf: EntryLeaf) -> OrderKey:
    return leaf.order_key


def _prove(hashes: list[bytes], places: Sequence[int]) -> tuple[bytes, ...]:
    return () if len(places) == len(hashes) else tuple(merkle.prove(hashes, places))
