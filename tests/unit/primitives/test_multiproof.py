"""The aggregated opening: against a naive prover in coefficients, against py_ecc's pairing, and against forgery."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import G1, G2, add, multiply, neg, pairing

from bpci_node.errors import FormatError, ProofError
from bpci_node.primitives.kzg import DOMAIN, INFINITY, ORDER, WIDTH, basis, commit, decode_point
from bpci_node.primitives.multiproof import Multiproof, prove, verify
from bpci_node.primitives.transcript import Claim, Transcript

STATEMENT = sha256(b"what the claims mean").digest()


def committed(*polynomials):
    return {commit(values).to_compressed_bytes(): values for values in polynomials}


def claims_about(polynomials, slots):
    return [
        Claim(commitment, slot, values.get(slot, 0))
        for (commitment, values), wanted in zip(polynomials.items(), slots, strict=True)
        for slot in wanted
    ]


def points_of(claims):
    return {claim.commitment: decode_point(claim.commitment) for claim in claims}


def evaluate(coefficients, x):
    result = 0
    for coefficient in reversed(coefficients):
        result = (result * x + coefficient) % ORDER
    return result


def coefficients_of(values):
    inverse = pow(WIDTH, -1, ORDER)
    return [
        sum(value * DOMAIN[-k * slot % WIDTH] for slot, value in values.items()) * inverse % ORDER for k in range(WIDTH)
    ]


def divided(coefficients, z):
    """Quotient of the division by X - z, the remainder dropped."""
    quotient, carry = [], 0
    for coefficient in reversed(coefficients[1:]):
        carry = (coefficient + carry * z) % ORDER
        quotient.append(carry)
    return [*reversed(quotient), 0]


def naive_proof(claims, polynomials):
    transcript = Transcript(STATEMENT, claims)
    r = transcript.weight()
    g = [0] * WIDTH
    for i, claim in enumerate(claims):
        quotient = divided(coefficients_of(polynomials[claim.commitment]), DOMAIN[claim.slot])
        g = [(a + pow(r, i, ORDER) * b) % ORDER for a, b in zip(g, quotient, strict=True)]
    d = commit({slot: evaluate(g, x) for slot, x in enumerate(DOMAIN)}).to_compressed_bytes()
    t = transcript.point(d)
    k = [-item for item in g]
    for i, claim in enumerate(claims):
        factor = pow(r, i, ORDER) * pow(t - DOMAIN[claim.slot], -1, ORDER)
        f = coefficients_of(polynomials[claim.commitment])
        k = [(a + factor * b) % ORDER for a, b in zip(k, f, strict=True)]
    w = divided(k, t)
    return Multiproof(d, commit({slot: evaluate(w, x) for slot, x in enumerate(DOMAIN)}).to_compressed_bytes())


def test_the_prover_agrees_with_division_in_coefficients():
    dense = {slot: pow(3, slot + 1, ORDER) for slot in range(WIDTH)}
    polynomials = committed(dense, {0: 1, 9: ORDER - 1}, {255: 77, 9: 4})
    claims = claims_about(polynomials, [[0, 9, 255], [0, 1, 9], [9, 200]])
    assert prove(STATEMENT, claims, polynomials) == naive_proof(claims, polynomials)


def test_the_oracle_s_pairing_holds_for_a_proof():
    polynomials = committed({1: 10, 2: 20}, {2: 5})
    claims = claims_about(polynomials, [[1, 3], [2]])
    proof = prove(STATEMENT, claims, polynomials)
    d, w = (decompress_G1(int.from_bytes(point, "big")) for point in (proof.quotient, proof.witness))
    transcript = Transcript(STATEMENT, claims)
    r, t = transcript.weight(), transcript.point(proof.quotient)
    left, value = add(neg(d), multiply(w, t)), 0
    for i, claim in enumerate(claims):
        factor = pow(r, i, ORDER) * pow(t - DOMAIN[claim.slot], -1, ORDER) % ORDER
        left = add(left, multiply(decompress_G1(int.from_bytes(claim.commitment, "big")), factor))
        value = (value + factor * claim.value) % ORDER
    left = add(left, neg(multiply(G1, value)))
    tau_g2 = basis()[1].to_compressed_bytes()
    tau = decompress_G2((int.from_bytes(tau_g2[:48], "big"), int.from_bytes(tau_g2[48:], "big")))
    assert pairing(G2, left) == pairing(tau, w)


def test_challenges_are_hashes_of_everything_before_them():
    claims = [Claim(INFINITY, 0, 0), Claim(b"\x81" * 48, 255, ORDER - 1)]
    said = b"VKR|v1|" + STATEMENT + (2).to_bytes(4, "big")
    said += INFINITY + b"\x00" + bytes(32) + b"\x81" * 48 + b"\xff" + (ORDER - 1).to_bytes(32, "big")
    first = sha256(said).digest()
    second = sha256(b"VKT|v1|" + first + b"\x99" * 48).digest()
    transcript = Transcript(STATEMENT, claims)
    assert transcript.weight() == 1 + int.from_bytes(first, "big") % (ORDER - 1)
    assert transcript.point(b"\x99" * 48) == 1 + int.from_bytes(second, "big") % (ORDER - 1)


scalars = st.integers(1, ORDER - 1)
sparse = st.dictionaries(st.integers(0, 255), scalars, max_size=12)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(sparse, st.sets(st.integers(0, 255), min_size=1, max_size=6)), min_size=1, max_size=5))
def test_any_claims_that_are_true_are_proved(parts):
    polynomials = {commit(values).to_compressed_bytes(): values for values, _ in parts}
    claims = [
        Claim(commit(values).to_compressed_bytes(), slot, values.get(slot, 0))
        for values, slots in parts
        for slot in sorted(slots)
    ]
    verify(STATEMENT, claims, points_of(claims), prove(STATEMENT, claims, polynomials))


def test_every_slot_of_one_polynomial_can_be_opened_at_once():
    polynomials = committed({slot: slot + 1 for slot in range(WIDTH)})
    claims = claims_about(polynomials, [range(WIDTH)])
    verify(STATEMENT, claims, points_of(claims), prove(STATEMENT, claims, polynomials))


def test_the_zero_polynomial_opens_with_nothing():
    claims = [Claim(INFINITY, 3, 0), Claim(INFINITY, 255, 0)]
    proof = prove(STATEMENT, claims, {INFINITY: {}})
    assert proof == Multiproof(INFINITY, INFINITY)
    verify(STATEMENT, claims, points_of(claims), proof)
    for other in (Multiproof(INFINITY, claims_point(1)), Multiproof(claims_point(1), INFINITY)):
        with pytest.raises(ProofError):
            verify(STATEMENT, claims, points_of(claims), other)


def claims_point(value):
    return commit({0: value}).to_compressed_bytes()


def test_a_false_claim_has_no_proof_of_the_prover_s():
    polynomials = committed({1: 10, 2: 20}, {2: 5})
    true = claims_about(polynomials, [[1, 2], [2]])
    for i, claim in enumerate(true):
        claims = list(true)
        claims[i] = Claim(claim.commitment, claim.slot, claim.value + 1)
        with pytest.raises(ProofError) as raised:
            verify(STATEMENT, claims, points_of(claims), prove(STATEMENT, claims, polynomials))
        assert raised.value.code == "proof.verkle"


def test_a_proof_is_of_its_claims_in_their_order_and_of_nothing_else():
    polynomials = committed({1: 10, 2: 20}, {2: 5, 7: 10})
    claims = claims_about(polynomials, [[1, 2], [2, 7]])
    proof = prove(STATEMENT, claims, polynomials)
    first, second, third, fourth = claims
    others = [
        [second, first, third, fourth],
        claims[:-1],
        [*claims, fourth],
        [Claim(first.commitment, 7, first.value), *claims[1:]],
        [Claim(fourth.commitment, first.slot, first.value), *claims[1:]],
    ]
    for other in others:
        with pytest.raises(ProofError):
            verify(STATEMENT, other, points_of(other), proof)
    with pytest.raises(ProofError):
        verify(bytes(32), claims, points_of(claims), proof)
    with pytest.raises(ProofError):
        verify(STATEMENT, claims, points_of(claims), Multiproof(proof.witness, proof.quotient))
    with pytest.raises(FormatError):
        verify(STATEMENT, claims, points_of(claims), Multiproof(proof.quotient, bytes(48)))
