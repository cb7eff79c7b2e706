"""Money: integers in the smallest unit of an asset, and splits that lose and make nothing.

A policy is data: shares in basis points that sum to 10,000. A split gives every share its whole part, and one unit more
to the largest remainders until the total is used up; equal remainders go in order of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WHOLE_BPS = 10_000
"""All of something, in basis points."""
MAX_AMOUNT = 2**63 - 1
"""Largest amount of any asset: what a signed 64-bit column holds."""

POLICIES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "auction-25": MappingProxyType(
            {
                "partner-chains": 2500,
                "company-api": 1875,
                "owner": 750,
                "community": 3000,
                "reserve": 1875,
            }
        ),
        "roundtable-20": MappingProxyType(
            {
                "reserve": 8000,
                "validators": 800,
                "development": 500,
                "infrastructure": 300,
                "community-treasury": 300,
                "round-table": 100,
            }
        ),
        "treaty-80-20": MappingProxyType({"community-auction": 8000, "participating-chains": 2000}),
    }
)
"""The named policies: receiver to basis points. In *roundtable-20* a fifth of the stream is divided, the rest stays."""


def split(total: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Return what each share gets of ``total``; the parts sum to it exactly.

    Args:
        total: amount in the smallest unit, at least 0.
        shares: name to basis points, each at least 0, summing to 10,000.
    Raises:
        ValueError: a negative total, or shares that are not a policy.
    Source: the method of the largest remainder (Hamilton's).
    """
    if total < 0 or any(bps < 0 for bps in shares.values()) or sum(shares.values()) != WHOLE_BPS:
        raise ValueError("a split needs an amount of at least 0, and shares that sum to 10,000 basis points")
    return apportion(total, shares)


def apportion(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return what each gets of ``total`` in proportion to its weight; the parts sum to it exactly.

    Args:
        total: amount in the smallest unit, at least 0.
        weights: name to weight, each at least 0, not all of them 0.
    Raises:
        ValueError: a negative total or weight, or nothing that weighs.
    Source: the method of the largest remainder (Hamilton's).
    """
    whole = sum(weights.values())
    if total < 0 or whole <= 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError("an amount of at least 0 is divided by weights of at least 0, one of which is more")
    parts = {name: total * weights[name] // whole for name in sorted(weights)}
    rest = total - sum(parts.values())
    by_remainder = sorted(parts, key=lambda name: (-(total * weights[name] % whole), name))
    for name in by_remainder[:rest]:
        parts[name] += 1
    return parts
