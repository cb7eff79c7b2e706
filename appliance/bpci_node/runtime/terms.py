"""What a configuration says of targets and pools, in the terms of the domain."""

from __future__ import annotations

from collections.abc import Iterable

from bpci_node.mempool.limits import PoolLimits
from bpci_node.mempool.target import TargetConfig
from bpci_node.runtime.config import LimitsSection, TargetSection


def target_terms(sections: Iterable[TargetSection]) -> list[TargetConfig]:
    """Return the terms of each target.

    Raises:
        FormatError: one is outside its range.
    """
    return [
        TargetConfig(
            item.id,
            item.base_fee_wei,
            fee_bin_wei=item.fee_bin_wei,
            gas_limit=item.gas_limit,
            region=item.region,
            qlock_ms=item.qlock_ms,
        )
        for item in sections
    ]


def pool_limits(section: LimitsSection) -> PoolLimits:
    """Return what one pool holds."""
    return PoolLimits(
        entries=section.pool_entries,
        raw_bytes=section.pool_bytes,
        per_sender=section.per_sender,
        per_source=section.per_source,
        per_bucket=section.per_bucket,
        replacement_percent=section.replacement_percent,
    )
