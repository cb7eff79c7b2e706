"""Commitments, points and the packaged basis; py_ecc, written independently and slow, is the oracle for curve work."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_arkworks_bls12381 import G1Point, Scalar
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import G1, G2, Z1, add, curve_order, eq, multiply, normalize, pairing

from bpci_node.errors import FormatError
from bpci_node.primitives import kzg
from bpci_node.primitives.kzg import (
    DOMAIN,
    INFINITY,
    ORDER,
    WIDTH,
    basis,
    combine,
    commit,
    decode_point,
    inverses,
    is_times_tau,
    scalar_of,
)
from scripts.derive_kzg_basis import BASIS, check, derive, pack

FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


def oracle(point: G1Point):
    return decompress_G1(int.from_bytes(point.to_compressed_bytes(), "big"))


def flagged(x: int) -> bytes:
    return (x | 1 << 383).to_bytes(48, "big")


def test_the_order_and_the_domain_are_those_of_the_oracle():
    assert curve_order == ORDER
    assert len(set(DOMAIN)) == WIDTH
    assert all(pow(root, WIDTH, ORDER) == 1 for root in DOMAIN)
    assert all(a * DOMAIN[1] % ORDER == b for a, b in pairwise(DOMAIN))


def test_the_packaged_basis_is_what_the_ceremony_gives():
    packed = pack(*derive())
    assert BASIS.read_bytes() == packed
    check(packed)


def test_a_basis_with_one_wrong_point_is_noticed():
    packed = BASIS.read_bytes()
    lagrange, _ = basis()
    moved = [lagrange[0] + G1Point(), lagrange[1] - G1Point()]
    forged = b"".join(point.to_xy_bytes_be() for point in moved) + packed[192:]
    with pytest.raises(ValueError, match=r"does not agree with \[τ\]G2"):
        check(forged)
    with pytest.raises(ValueError, match="do not sum to the generator"):
        check(packed[96:192] * 2 + packed[192:])


def test_a_damaged_installation_is_named(tmp_path, monkeypatch):
    damaged = bytearray(BASIS.read_bytes())
    damaged[5] ^= 1
    (tmp_path / "kzg_basis.bin").write_bytes(damaged)
    monkeypatch.setattr(kzg, "files", lambda _: tmp_path)
    with pytest.raises(FormatError) as raised:
        basis.__wrapped__()
    assert raised.value.code == "format.verkle_basis"


def test_a_commitment_is_the_sum_that_the_oracle_computes():
    values = {0: 5, 7: ORDER - 1, 255: 2**200 + 3}
    lagrange, _ = basis()
    expected = Z1
    for slot, value in values.items():
        expected = add(expected, multiply(oracle(lagrange[slot]), value))
    assert eq(expected, oracle(commit(values)))


def test_the_oracle_s_pairing_agrees_about_tau():
    tau_g1 = commit(dict(enumerate(DOMAIN)))
    tau_g2 = basis()[1].to_compressed_bytes()
    x = tuple(int.from_bytes(half, "big") for half in (tau_g2[:48], tau_g2[48:]))
    assert pairing(G2, oracle(tau_g1)) == pairing(decompress_G2(x), G1)
    assert is_times_tau(tau_g1, G1Point())
    assert not is_times_tau(tau_g1 + G1Point(), G1Point())


def test_the_partition_of_unity_is_the_generator():
    assert commit(dict.fromkeys(range(WIDTH), 1)) == G1Point()
    assert normalize(oracle(G1Point())) == normalize(G1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17])
def test_combining_is_the_sum_of_products(count):
    points = [G1Point() * Scalar(3 + i) for i in range(count)]
    scalars = [ORDER - 1 - i for i in range(count)]
    total = sum((3 + i) * scalar for i, scalar in enumerate(scalars)) % ORDER
    assert combine(points, scalars) == G1Point() * Scalar(total)


def test_infinity_may_be_combined():
    points = [G1Point.identity(), G1Point(), G1Point.identity()]
    assert combine(points, [1, 2, 3]) == G1Point() * Scalar(2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_unequal_lists_are_refused_and_never_shortened(count):
    points = [G1Point()] * count
    for wrong in (count - 1, count + 1):
        with pytest.raises(ValueError, match="points and"):
            combine(points, [1] * wrong)


@pytest.mark.parametrize("scalar", [ORDER, ORDER + 1, 2**256 - 1])
def test_a_scalar_beyond_the_order_is_refused_and_never_reduced(scalar):
    with pytest.raises(ValueError):
        combine([G1Point()], [scalar])


@pytest.mark.parametrize("scalar", [-1, 2**256])
def test_a_scalar_that_has_no_32_bytes_is_refused(scalar):
    with pytest.raises(OverflowError):
        combine([G1Point()], [scalar])


def test_points_survive_encoding():
    for point in (G1Point(), -G1Point(), G1Point.identity(), G1Point() * Scalar(ORDER - 7)):
        assert decode_point(point.to_compressed_bytes()) == point
    assert G1Point.identity().to_compressed_bytes() == INFINITY


def outside_the_subgroup() -> bytes:
    """The least x with a point on the curve that is not of order p, as nearly all are not."""
    for x in range(100):
        try:
            point = G1Point.from_compressed_bytes_unchecked(flagged(x))
        except ValueError:
            continue
        if not point.is_in_subgroup():
            return flagged(x)
    raise AssertionError


def test_what_is_no_canonical_point_of_the_subgroup_is_refused():
    good = G1Point().to_compressed_bytes()
    inside = outside_the_subgroup()
    x = int.from_bytes(inside, "big") ^ 1 << 383
    on_curve = next(x for x in range(100) if pow(x**3 + 4, (FIELD - 1) // 2, FIELD) == 1)
    refused = [
        b"",
        good[:47],
        good + b"\x00",
        bytes([good[0] & 0x7F]) + good[1:],  # not marked as compressed
        INFINITY[:-1] + b"\x01",  # infinity and more
        bytes([0xE0]) + INFINITY[1:],  # infinity with a sign
        bytes([0x40]) + INFINITY[1:],
        bytes(48),
        b"\xff" * 48,
        flagged(FIELD),
        flagged(on_curve + FIELD),
        inside,
        flagged(x + FIELD),
        flagged(next(x for x in range(100) if pow(x**3 + 4, (FIELD - 1) // 2, FIELD) != 1)),
    ]
    for data in refused:
        with pytest.raises(FormatError) as raised:
            decode_point(data)
        assert raised.value.code == "format.verkle_point"


def test_no_digest_becomes_zero():
    assert scalar_of(bytes(32)) == 1
    assert scalar_of((ORDER - 2).to_bytes(32, "big")) == ORDER - 1
    assert scalar_of((ORDER - 1).to_bytes(32, "big")) == 1
    assert scalar_of(b"\xff" * 32) == 1 + (2**256 - 1) % (ORDER - 1)


@given(st.lists(st.integers(1, ORDER - 1), max_size=9))
def test_inverses_are_inverses(values):
    assert all(a * b % ORDER == 1 for a, b in zip(values, inverses(values), strict=True))
