"""A proof of what the tree holds for some keys: the paths, and one opening for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bpci_node.errors import FormatError
from bpci_node.mempool.verkle.paths import Paths
from bpci_node.primitives.kzg import POINT_BYTES
from bpci_node.primitives.multiproof import Multiproof


@dataclass(frozen=True, slots=True)
class VerkleProof:
    """What a verifier needs beside root, keys and digests."""

    paths: Paths
    """Nodes and leaves on the ways of the keys."""
    opening: Multiproof
    """The two points of the aggregated opening."""

    def encode(self) -> bytes:
        """Return the one encoding: the paths, then the opening's two points, 96 bytes."""
        return self.paths.encode() + self.opening.quotient + self.opening.witness

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what :meth:`encode` wrote, and nothing else. Whether the points are points is left to verification.

        Raises:
            FormatError: another version, length or order (``format.verkle``).
        """
        edge = len(data) - 2 * POINT_BYTES
        if edge < 0:
            raise FormatError("a Verkle proof ends with two points", code="format.verkle")
        return cls(Paths.decode(data[:edge]), Multiproof(data[edge:-POINT_BYTES], data[-POINT_BYTES:]))
