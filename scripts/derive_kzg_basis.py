"""Derive the basis of the Verkle tree from the KZG ceremony: ``python scripts/derive_kzg_basis.py [--check]``.

The ceremony gives τ as 4,096 points in Lagrange form. A Fourier transform over G1 turns them into the powers
[1]G1 .. [τ^4095]G1; the inverse transform of the first 256 gives the Lagrange basis over the 256th roots of unity.
Only the curve library is used, none of the product's code, so that ``--check`` is a second opinion on what is packaged.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

ROOT = Path(__file__).resolve().parent.parent
CEREMONY = ROOT / "data/kzg/trusted_setup_4096.txt.gz"
CEREMONY_SHA256 = "19d2f6029b7f0452c27473dfe2761a99b8dd368a134cf2bac064f8c5b569919c"
BASIS = ROOT / "appliance/bpci_node/primitives/kzg_basis.bin"
ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
GENERATOR = 7
"""Generates the multiplicative group of the scalar field. Source: consensus-specs, deneb/polynomial-commitments.md."""
WIDTH = 256


def root_of_unity(size: int) -> int:
    """Return the primitive root of unity of this order, a power of two."""
    return pow(GENERATOR, (ORDER - 1) // size, ORDER)


def read_ceremony() -> tuple[list[G1Point], list[G2Point]]:
    """Return the points in Lagrange form and the powers in G2, each checked to be in its group.

    Raises:
        ValueError: the file is not the ceremony's.
    """
    text = gzip.decompress(CEREMONY.read_bytes())
    if hashlib.sha256(text).hexdigest() != CEREMONY_SHA256:
        raise ValueError(f"{CEREMONY} is not the ceremony's file")
    words = text.decode().split()
    lagrange, powers = int(words[0]), int(words[1])
    points = [bytes.fromhex(word) for word in words[2:]]
    if len(points) != lagrange + powers:
        raise ValueError(f"{CEREMONY} holds {len(points)} points")
    return (
        [G1Point.from_compressed_bytes(point) for point in points[:lagrange]],
        [G2Point.from_compressed_bytes(point) for point in points[lagrange:]],
    )


def transform(points: Sequence[G1Point], root: int) -> list[G1Point]:
    """Return ``sum_j root^(i j) points[j]`` for every i: the Fourier transform over G1."""
    if len(points) == 1:
        return list(points)
    square = root * root % ORDER
    even, odd = transform(points[::2], square), transform(points[1::2], square)
    turned = [point * Scalar(pow(root, i, ORDER)) for i, point in enumerate(odd)]
    return [a + b for a, b in zip(even, turned, strict=True)] + [a - b for a, b in zip(even, turned, strict=True)]


def derive() -> tuple[list[G1Point], G2Point]:
    """Return the Lagrange basis over the 256th roots of unity, in their natural order, and [τ]G2.

    Raises:
        ValueError: the ceremony's points contradict one another.
    """
    lagrange, powers_g2 = read_ceremony()
    powers = transform(lagrange, root_of_unity(len(lagrange)))
    if powers[0] != G1Point() or powers_g2[0] != G2Point():
        raise ValueError("the ceremony does not begin with the generators")
    if not GT.pairing_check([powers[1], -G1Point()], [G2Point(), powers_g2[1]]):
        raise ValueError("the ceremony's two groups have different secrets")
    inverse = pow(root_of_unity(WIDTH), -1, ORDER)
    share = Scalar(pow(WIDTH, -1, ORDER))
    return [point * share for point in transform(powers[:WIDTH], inverse)], powers_g2[1]


def pack(basis: Sequence[G1Point], tau_g2: G2Point) -> bytes:
    """Return the packaged form: 256 · 96 bytes x ‖ y, then 192 bytes x.c0 ‖ x.c1 ‖ y.c0 ‖ y.c1, big-endian."""
    return b"".join(point.to_xy_bytes_be() for point in basis) + tau_g2.to_xy_bytes_be()


def check(packed: bytes) -> None:
    """Test the packaged basis by itself: group membership, partition of unity, and multiplication by τ.

    Raises:
        ValueError: it is not a Lagrange basis for the secret of [τ]G2.
    """
    basis = [G1Point.from_xy_bytes_be(packed[i : i + 96]) for i in range(0, 96 * WIDTH, 96)]
    tau_g2 = G2Point.from_xy_bytes_be(packed[96 * WIDTH :])
    root = root_of_unity(WIDTH)
    domain = [pow(root, i, ORDER) for i in range(WIDTH)]

    def commit(evaluations: Sequence[int]) -> G1Point:
        return G1Point.multiexp_unchecked(basis, [Scalar(evaluations[i]) for i in range(WIDTH)])

    if commit([1] * WIDTH) != G1Point():
        raise ValueError("the Lagrange points do not sum to the generator")
    # X · p(X) has the degree of a polynomial that the basis can express, if p's is below 255: then both commitments
    # differ by the factor τ, which the pairing sees. With random p a wrong point passes with probability 2^-255.
    rng = random.SystemRandom()
    for coefficients in ([1], [rng.randrange(ORDER) for _ in range(WIDTH - 1)]):
        values = [sum(c * pow(x, i, ORDER) for i, c in enumerate(coefficients)) % ORDER for x in domain]
        shifted = [x * value % ORDER for x, value in zip(domain, values, strict=True)]
        if not GT.pairing_check([commit(shifted), -commit(values)], [G2Point(), tau_g2]):
            raise ValueError("the basis does not agree with [τ]G2")


def main() -> int:
    """Write the packaged basis, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="derive anew, compare with the packaged file, and test it")
    checking = parser.parse_args().check
    packed = pack(*derive())
    check(packed)
    if not checking:
        BASIS.write_bytes(packed)
    elif BASIS.read_bytes() != packed:
        print(f"{BASIS} differs from what the ceremony gives", file=sys.stderr)
        return 1
    print(f"{BASIS.relative_to(ROOT)}: {len(packed)} bytes, SHA-256 {hashlib.sha256(packed).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
