"""What one source, and all together, may ask for: request rates and open connections. Memory is bounded."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from ipaddress import IPv6Address, ip_address

from bpci_node.errors import LimitError

MAX_SOURCES = 16_384
"""Sources whose buckets are remembered; the one that was quiet for longest is forgotten first."""


def source_of(address: str | None) -> str:
    """Return what a client's address is counted under: itself, or the /64 network of an IPv6 address.

    A household or a server owns at least a /64, so counting single IPv6 addresses would limit nobody.
    """
    if address is None:
        return "local"
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64)) + "/64"


class RateLimit:
    """A token bucket per source."""

    def __init__(
        self, per_second: float, burst: float, *, code: str, what: str = "requests", max_sources: int = MAX_SOURCES
    ) -> None:
        """Set rate and size of the buckets.

        Args:
            per_second: tokens that a bucket gains.
            burst: tokens that it holds at most.
            code: of the error when it is empty.
            what: that there is too much of, for the message.
        """
        self._per_second, self._burst, self._code, self._what = per_second, burst, code, what
        self._max = max_sources
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str, tokens: float = 1.0, *, now: float | None = None) -> None:
        """Take tokens out of the bucket of ``source``.

        Args:
            now: seconds of a monotonic clock.
        Raises:
            LimitError: there are not enough; ``retry_after_seconds`` is among its details.
        """
        now = time.monotonic() if now is None else now
        level, since = self._buckets.pop(source, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._per_second)
        is_enough = level >= tokens
        self._buckets[source] = (level - tokens if is_enough else level, now)
        if len(self._buckets) > self._max:
            self._buckets.popitem(last=False)
        if not is_enough:
            wait = max(1, round((tokens - level) / self._per_second + 0.5))
            raise LimitError(
                f"too many {self._what} from this address",
                code=self._code,
                hint=f"Wait {wait} s and go on more slowly.",
                retry_after_seconds=wait,
            )


class ConnectionLimit:
    """Open connections, in all and per source."""

    def __init__(self, most: int, per_source: int) -> None:
        self._most, self._per_source = most, per_source
        self._open: Counter[str] = Counter()
        self.count = 0
        """Open now."""
        self.refused = 0
        """Refused since the start."""

    def enter(self, source: str) -> bool:
        """Count one more connection of ``source``, unless that would be too many."""
        if self.count >= self._most or self._open[source] >= self._per_source:
            self.refused += 1
            return False
        self.count += 1
        self._open[source] += 1
        return True

    def leave(self, source: str) -> None:
        """Count one less; only after :meth:`enter` said yes."""
        self.count -= 1
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]
