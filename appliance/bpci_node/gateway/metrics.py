"""What Prometheus scrapes. Every number is read from the node when it is asked for, or counted as it happens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bpci_node import __version__
from bpci_node.chain.faucet import PURPOSES
from bpci_node.gateway.auction_metrics import auction_metrics
from bpci_node.gateway.limits import ConnectionLimit
from bpci_node.runtime.counters import Step
from bpci_node.runtime.node import Node
from bpci_node.runtime.registry_guard import STATES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_JOBS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one node."""

    def __init__(self, node: Node, connections: ConnectionLimit) -> None:
        # When a series began is known from the process, and would be as many series again.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves this one untyped
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_NodeCollector(node, connections))
        self._requests = Histogram(
            "bpci_request_seconds",
            "Time from a request's head to the end of its reply",
            ("route", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        commit_seconds = Histogram(
            "bpci_store_commit_seconds",
            "Time of one commit, fsync included",
            buckets=_SECONDS,
            registry=self._registry,
        )
        commit_jobs = Histogram(
            "bpci_store_commit_jobs", "Jobs that shared one commit", buckets=_JOBS, registry=self._registry
        )

        steps = Histogram(
            "bpci_mempool_step_seconds",
            "Time of one step of the mempool's work",
            ("step",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        for step in get_args(Step):
            steps.labels(step)

        def note_step(step: Step, seconds: float) -> None:
            steps.labels(step).observe(seconds)

        node.timings.observe = note_step

        def note_commit(jobs: int, seconds: float) -> None:
            commit_seconds.observe(seconds)
            commit_jobs.observe(jobs)

        node.store.writer.statistics.on_commit = note_commit

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Count one request; ``route`` is the pattern, never the path itself, so that the labels stay few."""
        self._requests.labels(route, str(status)).observe(seconds)

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text form."""
        return generate_latest(self._registry)


class _NodeCollector(Collector):
    """Reads the node's own numbers when they are asked for."""

    def __init__(self, node: Node, connections: ConnectionLimit) -> None:
        self._node, self._connections = node, connections

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        """Yield what the node knows now."""
        node = self._node
        build = GaugeMetricFamily("bpci_build_info", "Version of the node", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build
        yield GaugeMetricFamily("bpci_ready", "1 when the node is ready", value=0 if node.obstacles() else 1)
        yield GaugeMetricFamily(
            "bpci_registered", "1 when the node has its certificate", value=0 if node.certificate is None else 1
        )
        guard = GaugeMetricFamily(
            "bpci_registry_guard", "1 in the state in which the registry guard is", labels=("state",)
        )
        state = node.guard.state
        for name in STATES:
            guard.add_metric((name,), 1 if name == state else 0)
        yield guard
        yield CounterMetricFamily("bpci_entries_accepted", "Entries accepted", value=node.counters.accepted)
        refused = CounterMetricFamily("bpci_entries_refused", "Entries refused, by code", labels=("code",))
        for code, count in sorted(node.counters.refused.items()):
            refused.add_metric((code,), count)
        yield refused
        yield CounterMetricFamily(
            "bpci_entries_replaced", "Entries that their senders replaced", value=node.counters.replaced
        )
        yield CounterMetricFamily("bpci_entries_evicted", "Entries that others pushed out", value=node.counters.evicted)
        yield CounterMetricFamily(
            "bpci_entries_cancelled", "Entries that their senders cancelled", value=node.counters.cancelled
        )
        yield CounterMetricFamily(
            "bpci_entries_spent", "Entries that their chain has run or nobody can pay for", value=node.counters.spent
        )
        yield CounterMetricFamily("bpci_bundles_sealed", "Bundles sealed", value=node.counters.bundles)
        yield from self._faucet()
        yield from self._pools()
        yield from self._queues()
        yield from self._ledger()
        yield from auction_metrics(node)
        yield GaugeMetricFamily("bpci_connections", "Open connections", value=self._connections.count)
        yield CounterMetricFamily(
            "bpci_connections_refused", "Connections refused by a limit", value=self._connections.refused
        )
        yield CounterMetricFamily(
            "bpci_store_failures", "Commits that failed", value=node.store.writer.statistics.failures
        )

    def _ledger(self) -> Iterable[GaugeMetricFamily]:
        """Yield how far the ledger has come here; a node that has nothing yet is at height 0."""
        node, status = self._node, self._node.lookups.status()
        yield GaugeMetricFamily("bpci_ledger_height", "Height of the last block", value=status["height"] or 0)
        lag = float("nan") if status["lag"] is None else status["lag"]
        yield GaugeMetricFamily("bpci_ledger_lag", "Blocks that are known to be made and not here", value=lag)
        heard = node.lookups.heard_ms
        yield GaugeMetricFamily(
            "bpci_ledger_heard_timestamp_seconds",
            "When a node of the network answered last",
            value=float("nan") if heard is None else heard / 1000,
        )
        yield GaugeMetricFamily(
            "bpci_ledger_waiting_commands", "Commands that wait for their block", value=node.lookups.waiting
        )
        yield GaugeMetricFamily(
            "bpci_ledger_stopped",
            "1 when the ledger stands still until somebody has looked",
            value=0 if status["stopped"] is None else 1,
        )
        yield GaugeMetricFamily(
            "bpci_ledger_snapshot_height", "Height of the latest snapshot", value=node.snapshots.last_height
        )

    def _faucet(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        faucet, counters = self._node.faucet, self._node.counters
        granted = CounterMetricFamily("bpci_faucet_grants", "Grants of the faucet, by purpose", labels=("purpose",))
        for purpose in PURPOSES:
            granted.add_metric((purpose,), counters.faucet_grants.get(purpose, 0))
        yield granted
        refused = CounterMetricFamily("bpci_faucet_refused", "Requests that the faucet refused", labels=("code",))
        for code, count in sorted(counters.faucet_refused.items()):
            refused.add_metric((code,), count)
        yield refused
        yield GaugeMetricFamily("bpci_faucet_open", "1 when this node has a faucet", value=int(faucet.is_open))
        yield GaugeMetricFamily("bpci_faucet_pool", "What the pool holds, smallest unit of BPI", value=faucet.pool)
        yield GaugeMetricFamily("bpci_faucet_waiting", "Grants that wait for their block", value=faucet.waiting)

    def _queues(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        intake = self._node.intake
        yield GaugeMetricFamily(
            "bpci_intake_waiting_bytes", "Memory of the batches that are being accepted", value=intake.waiting_bytes
        )
        yield GaugeMetricFamily(
            "bpci_recovery_waiting_entries", "Entries whose senders are being recovered", value=intake.recovery.waiting
        )
        yield GaugeMetricFamily(
            "bpci_recovery_workers", "Processes that recover senders", value=intake.recovery.running
        )
        yield GaugeMetricFamily(
            "bpci_store_waiting_jobs", "Jobs that wait for the next commit", value=self._node.store.writer.waiting
        )
        yield CounterMetricFamily(
            "bpci_recovery_crashes", "Processes that failed over a batch", value=intake.recovery.crashes
        )

    def _pools(self) -> Iterable[GaugeMetricFamily]:
        entries = GaugeMetricFamily("bpci_pool_entries", "Entries that wait", labels=("target",))
        raw_bytes = GaugeMetricFamily("bpci_pool_bytes", "Raw bytes of the entries that wait", labels=("target",))
        for name, pool in self._node.pools.items():
            entries.add_metric((name,), pool.count)
            raw_bytes.add_metric((name,), pool.pool.raw_bytes)
        yield entries
        yield raw_bytes
