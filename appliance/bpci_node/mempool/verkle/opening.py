"""What a proof is made from: a part of the tree as it was under one root, to be proved later and elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bpci_node.mempool.verkle.paths import Paths
from bpci_node.mempool.verkle.proof import VerkleProof
from bpci_node.mempool.verkle.walk import claims_of, statement_of
from bpci_node.primitives.multiproof import prove


@dataclass(frozen=True, slots=True)
class Opening:
    """The nodes on the ways of some keys. It shares nothing that changes with the tree that it was taken from."""

    root: bytes
    """Commitment of the tree, 48 bytes."""
    digests: Mapping[bytes, bytes | None]
    """By key: what the tree holds for it, 32 bytes, or nothing. This is what a verifier is to be told."""
    paths: Paths
    """Nodes and leaves on the ways of the keys."""
    polynomials: Mapping[bytes, Mapping[int, int]]
    """By commitment: values by slot, of the nodes that a key goes through."""

    def prove(self) -> VerkleProof:
        """Return the proof of all keys at once. It takes two multi-scalar multiplications of 256 points."""
        claims = claims_of(self.root, self.digests, self.paths)
        statement = statement_of(self.root, self.digests, self.paths)
        return VerkleProof(self.paths, prove(statement, claims, self.polynomials))
