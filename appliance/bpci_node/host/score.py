"""One number for a machine, by a published formula: integers only, so anybody computes the same from the same figures.

Each figure gives points against a reference, 1,000 for just that; the score is the weighted harmonic mean, which a
single weak part pulls down as it would pull the node down. Source: ``docs/spec/hardware-report.md``, "Score".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bpci_node.host.figures import Figures

VERSION = 1
FULL = 1_000
"""Points of a figure that just reaches its reference."""
MOST = 4_000
"""Most points of a figure: four times too fast a disk makes up for nothing beyond that."""
UNRATED = "unrated"


@dataclass(frozen=True, slots=True)
class Measure:
    """How one figure counts."""

    reference: int
    """Value that gives 1,000 points."""
    weight: int
    """How much it counts."""
    less_is_better: bool = False
    """Whether half of the reference gives twice the points."""


MEASURES: Mapping[tuple[str, str], Measure] = {
    ("processor", "single"): Measure(800_000_000, 2),
    ("processor", "sustained"): Measure(4_000_000_000, 3),
    ("memory", "all"): Measure(10_000_000_000, 1),
    ("disk", "write_sustained"): Measure(200_000_000, 2),
    ("disk", "random_read"): Measure(40_000, 2),
    ("disk", "flush_99"): Measure(20_000, 3, less_is_better=True),
    ("network", "download"): Measure(80_000_000, 2),
    ("network", "upload"): Measure(80_000_000, 2),
    ("miner", "mx_verkle_buckets"): Measure(1_500, 2),
    ("miner", "auction_windows_per_sec"): Measure(8, 2),
}
"""What counts, by part and figure."""

TIERS: tuple[tuple[str, int, int], ...] = (("enterprise", 2_000, 1_000), ("community", 1_000, 500), ("dev", 0, 0))
"""Names of tiers, the least score of each, and the least points of every figure, from the highest."""


@dataclass(frozen=True, slots=True)
class Score:
    """What the figures come to."""

    points: int
    """Weighted harmonic mean over the figures that there are; 0 without any."""
    tier: str
    """The highest tier that is reached; ``unrated`` while a figure is missing."""
    figures: Mapping[str, int]
    """Points of each figure, by ``part.name``."""
    missing: tuple[str, ...]
    """Figures that were not measured."""

    def as_object(self) -> dict[str, Any]:
        """Return the form that is signed and shown."""
        return {
            "v": VERSION,
            "points": self.points,
            "tier": self.tier,
            "figures": dict(self.figures),
            "missing": list(self.missing),
        }


def points_of(value: int, measure: Measure) -> int:
    """Return the points of one figure, 1 to 4,000."""
    made = FULL * measure.reference // max(value, 1) if measure.less_is_better else FULL * value // measure.reference
    return min(MOST, max(1, made))


def score_of(figures: Figures) -> Score:
    """Return the score of a machine's figures."""
    found: dict[str, int] = {}
    missing = []
    weights = shares = 0
    for (part, name), measure in MEASURES.items():
        value = figures.get(part, name)
        if value is None:
            missing.append(f"{part}.{name}")
            continue
        points = points_of(value, measure)
        found[f"{part}.{name}"] = points
        weights += measure.weight
        shares += measure.weight * 10**9 // points
    total = weights * 10**9 // shares if shares else 0
    return Score(total, UNRATED if missing else _tier(total, min(found.values())), found, tuple(missing))


def _tier(total: int, weakest: int) -> str:
    return next(name for name, least, each in TIERS if total >= least and weakest >= each)
