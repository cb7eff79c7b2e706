"""One proof of two points for any number of values of any number of committed polynomials.

For claims "the polynomial f_i behind C_i has the value y_i at z_i", let r be a challenge over all of them and
``g(X) = Σ r^i (f_i(X) - y_i) / (X - z_i)``: a polynomial if and only if the claims are true, but for a negligible
chance. D commits to g. At a second challenge t, ``Σ r^i f_i(X) / (t - z_i) - g(X)`` must have the value
``Σ r^i y_i / (t - z_i)``, which the KZG opening W shows.

Source: D. Feist, "PCS multiproofs using random evaluation", 2021. Layouts: ``docs/spec/mx-verkle.md``, section 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from py_arkworks_bls12381 import G1Point

from bpci_node.errors import ProofError
from bpci_node.primitives.kzg import DOMAIN, ORDER, WIDTH, combine, commit, decode_point, inverses, is_times_tau
from bpci_node.primitives.transcript import Claim, Transcript

_KERNEL = [0, *inverses([root - 1 for root in DOMAIN[1:]])] * 2
"""``1 / (ω^d - 1)``, and 0 for d = 0, twice: a slice of it is what one slot sees of all others."""


@dataclass(frozen=True, slots=True)
class Multiproof:
    """The two points, compressed, 48 bytes each."""

    quotient: bytes
    """D, the commitment to g."""
    witness: bytes
    """W, the opening at t."""


def prove(statement: bytes, claims: Sequence[Claim], polynomials: Mapping[bytes, Mapping[int, int]]) -> Multiproof:
    """Return the proof of claims that are true.

    Args:
        statement: 32-byte hash of what the claims mean to those who make them.
        claims: in the order in which the verifier will have them.
        polynomials: by commitment, the values that are not zero, by slot.
    Raises:
        ProofError: a challenge fell on the domain, which does not happen (``proof.verkle``).
    """
    transcript = Transcript(statement, claims)
    weights = _powers(transcript.weight(), len(claims))
    g = _quotient(claims, weights, polynomials)
    quotient = commit(dict(enumerate(g))).to_compressed_bytes()
    t = transcript.point(quotient)
    factors, value = _at(t, claims, weights)
    opened = [-item for item in g]
    for commitment, factor in factors.items():
        for slot, item in polynomials[commitment].items():
            opened[slot] += factor * item
    divisors = inverses([root - t for root in DOMAIN])
    witness = {
        slot: (item - value) * divisor % ORDER
        for slot, (item, divisor) in enumerate(zip(opened, divisors, strict=True))
    }
    return Multiproof(quotient, commit(witness).to_compressed_bytes())


def verify(statement: bytes, claims: Sequence[Claim], points: Mapping[bytes, G1Point], proof: Multiproof) -> None:
    """Check that every claim is true.

    Args:
        points: the decoded point of every commitment that a claim names.
    Raises:
        FormatError: the proof's points are none (``format.verkle_point``).
        ProofError: a claim is false, or another proof was given (``proof.verkle``).
    """
    quotient, witness = decode_point(proof.quotient), decode_point(proof.witness)
    transcript = Transcript(statement, claims)
    t = transcript.point(proof.quotient)
    factors, value = _at(t, claims, _powers(transcript.weight(), len(claims)))
    # W is the commitment to (p - p(t)) / (X - t), so [τ] W = C_p - [p(t)] + [t] W.
    product = combine(
        [*(points[commitment] for commitment in factors), quotient, G1Point(), witness],
        [*factors.values(), ORDER - 1, -value % ORDER, t],
    )
    if not is_times_tau(product, witness):
        raise ProofError("the Verkle proof does not hold for these keys, values and root", code="proof.verkle")


def _powers(base: int, count: int) -> list[int]:
    powers = [1]
    for _ in range(count - 1):
        powers.append(powers[-1] * base % ORDER)
    return powers


def _quotient(
    claims: Sequence[Claim], weights: Sequence[int], polynomials: Mapping[bytes, Mapping[int, int]]
) -> list[int]:
    """Return the values of g on the domain.

    Claims at one slot m share a division: with F their weighted sum, the values are ``(F_j - F_m) / (ω^j - ω^m)``,
    and at m itself ``-Σ (F_j - F_m) ω^(j-m) / (ω^j - ω^m)``; here ``ω^m (ω^(j-m) - 1)`` stands for ``ω^j - ω^m``.
    Source: the same text, "Dividing when one of the points is zero".
    """
    slots: dict[int, list[tuple[int, Mapping[int, int]]]] = {}
    for claim, weight in zip(claims, weights, strict=True):
        slots.setdefault(claim.slot, []).append((weight, polynomials[claim.commitment]))
    g = [0] * WIDTH
    for slot, members in slots.items():
        inverse_root = DOMAIN[-slot]
        total = [0] * WIDTH
        for weight, polynomial in members:
            factor = weight * inverse_root % ORDER
            for j, item in polynomial.items():
                total[j] += factor * item
        here = total[slot] % ORDER
        above = [(item - here) % ORDER for item in total]
        terms = [item * kernel for item, kernel in zip(above, _KERNEL[WIDTH - slot : 2 * WIDTH - slot], strict=True)]
        # ω^d / (ω^d - 1) = 1 + 1 / (ω^d - 1)
        terms[slot] = -sum(above) - sum(terms)
        g = [a + b for a, b in zip(g, terms, strict=True)]
    return [item % ORDER for item in g]


def _at(t: int, claims: Sequence[Claim], weights: Sequence[int]) -> tuple[dict[bytes, int], int]:
    """Return ``r^i / (t - z_i)``, added up by commitment, and ``Σ r^i y_i / (t - z_i)``.

    Raises:
        ProofError: t is on the domain (``proof.verkle``).
    """
    if pow(t, WIDTH, ORDER) == 1:
        raise ProofError("the proof's challenge falls on the domain", code="proof.verkle")
    slots = list(dict.fromkeys(claim.slot for claim in claims))
    divisors = dict(zip(slots, inverses([t - DOMAIN[slot] for slot in slots]), strict=True))
    factors: dict[bytes, int] = {}
    value = 0
    for claim, weight in zip(claims, weights, strict=True):
        factor = weight * divisors[claim.slot] % ORDER
        factors[claim.commitment] = (factors.get(claim.commitment, 0) + factor) % ORDER
        value += factor * claim.value
    return factors, value % ORDER
