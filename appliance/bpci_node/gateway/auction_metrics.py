"""What Prometheus scrapes of a validator's auctions; on another node everything is 0."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from bpci_node.mempool.classes import QLOCK_MS
from bpci_node.runtime.node import Node

_QUANTILES = (50, 99)


def auction_metrics(node: Node) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
    """Yield what a node knows of its auctions now."""
    auction = node.auction
    boundaries = CounterMetricFamily("bpci_auction_boundaries", "Phase boundaries so far", labels=("class",))
    late = GaugeMetricFamily(
        "bpci_auction_boundary_late_seconds", "How late boundaries are noticed", labels=("class", "quantile")
    )
    for qlock_ms in QLOCK_MS:
        count = 0 if auction is None else auction.jitter.counts.get(qlock_ms, 0)
        boundaries.add_metric((str(qlock_ms),), count)
        for percent in _QUANTILES:
            found = 0 if auction is None else auction.jitter.quantile(qlock_ms, percent)
            late.add_metric((str(qlock_ms), f"0.{percent}"), found / 1_000_000)
    yield boundaries
    yield late
    away = 0 if auction is None else auction.clock.away_us
    yield GaugeMetricFamily(
        "bpci_auction_clock_away_seconds", "System's clock ahead of ledger time", value=away / 1_000_000
    )
    yield GaugeMetricFamily(
        "bpci_auction_epochs", "Epochs served in now", value=0 if auction is None else len(auction.runs)
    )
    halt = None if auction is None else auction.halt()
    yield GaugeMetricFamily(
        "bpci_auction_halted", "Guardians' halt", value=int(halt is not None and halt.until_us is None)
    )
    yield CounterMetricFamily(
        "bpci_auction_settled", "Settlements that the ledger took", value=0 if auction is None else auction.settled
    )
    yield GaugeMetricFamily(
        "bpci_auction_last_event",
        "Number of the stream's last event",
        value=0 if auction is None else auction.stream.last,
    )
