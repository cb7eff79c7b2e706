"""KZG commitments on BLS12-381 to polynomials given by their values on the 256th roots of unity.

Scalars are integers modulo :data:`ORDER`, always reduced; points are objects of the curve library. Nothing here is
secret, so nothing is constant in time. The curve library shortens unequal lists and reduces scalars without a word:
it is called from this module alone, which checks both.
Layouts and the basis: ``docs/spec/mx-verkle.md``, sections 2 and 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from bpci_node.errors import FormatError

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Order of the groups. Source: draft-irtf-cfrg-pairing-friendly-curves, section 4.2.1."""
WIDTH = 256
"""Values of a polynomial."""
POINT_BYTES = 48
INFINITY = bytes([0xC0]) + bytes(POINT_BYTES - 1)
"""Encoding of the point at infinity: the commitment to the polynomial that is zero everywhere."""

_ROOT_OF_UNITY = pow(7, (ORDER - 1) // WIDTH, ORDER)
DOMAIN = tuple(pow(_ROOT_OF_UNITY, slot, ORDER) for slot in range(WIDTH))
"""The 256th roots of unity in their natural order; slot i of a node stands at ``DOMAIN[i]``."""

_BASIS_SHA256 = "a5140ca97b10cd3b2d9f2fad235c576bbe290fb8e3df5aad91be6839e43618c8"
_XY_BYTES = 2 * POINT_BYTES
_SCALE_POINTS = 2
"""Up to so many points, multiplying each is faster than one multi-scalar multiplication."""


def scalar_of(digest: bytes) -> int:
    """Return ``1 + digest mod (ORDER - 1)``, the digest read big-endian: the rule by which hashes become scalars.

    Never zero, so that zero can mean "nothing is here". Two or three of all digests share a scalar, which takes less
    than two bits from the hash's resistance to collisions.
    """
    return 1 + int.from_bytes(digest, "big") % (ORDER - 1)


def inverses(values: Sequence[int]) -> list[int]:
    """Return the inverse of each value, none of which is 0 modulo :data:`ORDER`, for the price of one inversion.

    Source: P. L. Montgomery, "Speeding the Pollard and elliptic curve methods of factorization", 1987, section 10.3.1.
    """
    products = [1]
    for value in values:
        products.append(products[-1] * value % ORDER)
    inverse = pow(products.pop(), -1, ORDER)
    result = [0] * len(values)
    for i in range(len(values) - 1, -1, -1):
        result[i] = inverse * products[i] % ORDER
        inverse = inverse * values[i] % ORDER
    return result


def decode_point(data: bytes) -> G1Point:
    """Return the point of G1 that these 48 bytes encode; infinity is a point.

    Raises:
        FormatError: not the canonical compressed encoding of a point of the subgroup (``format.verkle_point``).
    """
    try:
        point = G1Point.from_compressed_bytes(data)
    except ValueError as error:
        raise FormatError("not a point of the curve's subgroup", code="format.verkle_point") from error
    # The library takes infinity with any bits after the flag.
    if point.to_compressed_bytes() != data:
        raise FormatError("not the canonical encoding of a point", code="format.verkle_point")
    return point


def combine(points: Sequence[G1Point], scalars: Sequence[int]) -> G1Point:
    """Return the sum of ``scalars[i] · points[i]``.

    Args:
        scalars: as many as points, each 0 <= scalar < :data:`ORDER`.
    Raises:
        ValueError: other numbers of points and scalars; a scalar that is negative or not below 2^256 is refused too.
    """
    if len(points) != len(scalars):
        raise ValueError(f"{len(points)} points and {len(scalars)} scalars")
    factors = [Scalar.from_be_bytes(scalar.to_bytes(32, "big")) for scalar in scalars]
    if len(factors) > _SCALE_POINTS:
        return G1Point.multiexp_unchecked(list(points), factors)
    return sum((point * factor for point, factor in zip(points, factors, strict=True)), G1Point.identity())


def commit(values: Mapping[int, int]) -> G1Point:
    """Return the commitment to the polynomial with these values at slots, and 0 at every other slot.

    Adding commitments adds values, so the commitment to a difference is what an update adds.
    """
    lagrange, _ = basis()
    return combine([lagrange[slot] for slot in values], list(values.values()))


def is_times_tau(product: G1Point, point: G1Point) -> bool:
    """Return whether ``product`` is [τ] ``point``, by one pairing check.

    For commitments that is: whether the polynomial behind ``product`` is X times the one behind ``point``.
    """
    _, tau_g2 = basis()
    return GT.pairing_check([product, -point], [G2Point(), tau_g2])


@cache
def basis() -> tuple[tuple[G1Point, ...], G2Point]:
    """Return the Lagrange basis and [τ]G2, as ``scripts/derive_kzg_basis.py`` packaged them.

    Raises:
        FormatError: the installed file is not the packaged one (``format.verkle_basis``).
    """
    data = files(__package__).joinpath("kzg_basis.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != _BASIS_SHA256:
        raise FormatError(
            "the KZG basis of this installation is damaged", code="format.verkle_basis", hint="install it again"
        )
    # The digest vouches for what a subgroup check would cost 40 times the rest of the loading to see.
    edge = WIDTH * _XY_BYTES
    points = tuple(G1Point.from_xy_bytes_unchecked_be(data[i : i + _XY_BYTES]) for i in range(0, edge, _XY_BYTES))
    return points, G2Point.from_xy_bytes_unchecked_be(data[edge:])
