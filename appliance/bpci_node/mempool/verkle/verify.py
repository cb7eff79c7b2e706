"""Checking a proof against a root. Nothing of the pool or the tree is imported; a client needs no more than this."""

from __future__ import annotations

from collections.abc import Mapping

from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.walk import check_digests, claims_of, statement_of
from bpci_node.primitives.kzg import decode_point
from bpci_node.primitives.multiproof import verify


def verify_opening(root: bytes, claims: Mapping[bytes, bytes | None], proof: VerkleProof) -> None:
    """Check that the tree with this root holds exactly these digests for these keys.

    Args:
        root: compressed point, 48 bytes, from a source that is trusted.
        claims: by key of 4 bytes: the digest, 32 bytes, or nothing for a key that is absent.
    Raises:
        FormatError: keys or digests of another form (``format.verkle_keys``), or a root or proof with something that
            is no point (``format.verkle_point``).
        ProofError: the proof's paths do not fit the keys (``proof.verkle_paths``), or it does not hold
            (``proof.verkle``).
    """
    check_digests(claims)
    openings = claims_of(root, claims, proof.paths)
    points = {commitment: decode_point(commitment) for _, commitment in (("", root), *proof.paths.nodes)}
    verify(statement_of(root, claims, proof.paths), openings, points, proof.opening)
