"""The line to another node of the network: what goes down and up over several connections, and how far away it is.

Any node serves as the other side, no vendor's service is asked. One short transfer gives an estimate, then several at
once are sized to last a few seconds together; what counts is all their bytes over the time from the first to the last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

from bpci_node.errors import BpciError, FormatError, LimitError, UsageError
from bpci_node.host.checks.bandwidth import FIRST_BYTES, MOST_BYTES
from bpci_node.host.checks.latency import percentile
from bpci_node.host.registry_peer import RegistryPeer
from bpci_node.primitives.keys import Signer

CONNECTIONS = 4
LEAST_BYTES = 64 << 10
TRIES, WAIT_SECONDS = 6, 5.0
"""How often a node that is busy with another's measurement is asked again, and after how long."""


@dataclass(frozen=True, slots=True)
class Span:
    """One transfer, in seconds of one monotonic clock."""

    size_bytes: int
    began: float
    ended: float


def rate_of(spans: Sequence[Span]) -> int:
    """Return bits per second of transfers that ran side by side."""
    seconds = max(span.ended for span in spans) - min(span.began for span in spans)
    return int(sum(span.size_bytes for span in spans) * 8 / max(seconds, 1e-6))


def jitter_of(times_us: Sequence[int]) -> int:
    """Return the mean difference between one time and the next, 0 for fewer than two."""
    steps = [abs(after - before) for before, after in pairwise(times_us)]
    return sum(steps) // len(steps) if steps else 0


def measure_network(
    url: str, signer: Signer, seconds: float, tell: Callable[[str], None], *, connections: int = CONNECTIONS
) -> dict[str, int]:
    """Measure the line to the node at ``url`` and return the figures, :data:`bpci_node.host.figures.CATALOG`.

    Args:
        signer: signs the requests; a registered node's key has a place of its own.
        seconds: about how long each direction takes.
        connections: transfers at once.
    Raises:
        UsageError: no base URL of a node (``host.registry_url``).
        BpciError: not reached, or refused.
    """
    with ExitStack() as stack:
        try:
            peers = [stack.enter_context(RegistryPeer(url, signer)) for _ in range(connections)]
        except FormatError as error:
            raise UsageError(error.message, code="host.registry_url", hint=error.hint) from error
        tell("network: round trips")
        times = _round_trips(peers[0])
        found, moved = {}, 0
        directions: list[tuple[str, list[Callable[[int], float]]]] = [
            ("download", [peer.download for peer in peers]),
            ("upload", [peer.upload for peer in peers]),
        ]
        for name, transfers in directions:
            tell(f"network: {name}")
            found[name], size = _direction(transfers, seconds)
            moved += size
        return found | {
            "moved": moved,
            "connections": connections,
            "round_trip": percentile(times, 50),
            "jitter": jitter_of(times),
        }


def _direction(transfers: Sequence[Callable[[int], float]], seconds: float) -> tuple[int, int]:
    """Measure one direction; return bits per second and the bytes moved."""
    first = _patiently(transfers[0], FIRST_BYTES)
    estimate = FIRST_BYTES / max(first.ended - first.began, 1e-6)
    size = int(min(MOST_BYTES, max(LEAST_BYTES, estimate * seconds / len(transfers))))
    spans: list[Span] = []
    failures: list[BpciError] = []
    barrier = threading.Barrier(len(transfers))

    def move(transfer: Callable[[int], float]) -> None:
        try:
            barrier.wait()
            spans.append(_patiently(transfer, size))
        except BpciError as error:
            failures.append(error)

    threads = [threading.Thread(target=move, args=(transfer,), daemon=True) for transfer in transfers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return rate_of(spans), FIRST_BYTES + sum(span.size_bytes for span in spans)


def _patiently(transfer: Callable[[int], float], size: int) -> Span:
    """Move bytes, and wait while the other side measures with somebody else."""
    for _ in range(TRIES - 1):
        try:
            return _timed(transfer, size)
        except LimitError as error:
            if error.code != "limit.measuring":
                raise
            time.sleep(WAIT_SECONDS)
    return _timed(transfer, size)


def _timed(transfer: Callable[[int], float], size: int) -> Span:
    seconds = transfer(size)
    ended = time.monotonic()
    return Span(size, ended - seconds, ended)


def _round_trips(peer: RegistryPeer, count: int = 20) -> list[int]:
    peer.time_ms()  # opens the connection
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        peer.time_ms()
        times.append((time.perf_counter_ns() - start) // 1000)
    return times
