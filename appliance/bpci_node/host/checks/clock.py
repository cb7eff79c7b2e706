"""Clock: whether a time daemon steers it, and how far it is from the registry's.

Challenges, blocks and windows carry times, so a clock that is minutes off makes a node's messages worthless. A clock
that nobody steers drifts even if it is right today, hence a warning.
"""

from __future__ import annotations

import time

from bpci_node.errors import BpciError
from bpci_node.host.check import PASS, Check
from bpci_node.host.checks.bandwidth import is_same_host
from bpci_node.host.context import Context, Peer
from bpci_node.host.profiles import Profile
from bpci_node.host.result import CouldNotTellError, Judgement, Measured, Requirement, Verdict

_SAMPLES = 3
_SET_CLOCK = "Wait a minute after connecting, or install and start `chrony`; set the time with `timedatectl`."


def offset_ms(peer: Peer, samples: int = _SAMPLES) -> tuple[int, int]:
    """Return how far the registry's clock is ahead of this one, and how wrong that may be, in milliseconds.

    The registry's answer is taken to be from the middle of the exchange, so it is off by at most half of its
    duration; the quickest of several exchanges counts.

    Raises:
        BpciError: the registry was not reached.
    """
    best: tuple[int, int] | None = None
    for _ in range(samples):
        before_ms = time.time_ns() // 1_000_000
        start = time.monotonic_ns()
        there_ms = peer.time_ms()
        half_ms = (time.monotonic_ns() - start) // 2_000_000
        sample = (half_ms + 1, there_ms - before_ms - half_ms)
        best = sample if best is None else min(best, sample)
    if best is None:
        raise ValueError("at least one sample is needed")
    return best[1], best[0]


def _measure(context: Context) -> Measured:
    try:
        clock = context.kernel_clock()
    except OSError as error:
        raise CouldNotTellError(f"the kernel does not tell: {error.strerror}") from None
    facts: dict[str, int | str | bool | list[str]] = {"max_error_us": clock.max_error_us}
    text = "synchronised" if clock.synchronized else "not synchronised"
    offset = _offset(context.peer)
    if offset is not None:
        facts["offset_ms"], facts["uncertainty_ms"] = offset
        text += f", {offset[0]:+d} ms ±{offset[1]} to registry"
    return Measured(clock.synchronized, "", text, facts)


def _offset(peer: Peer | None) -> tuple[int, int] | None:
    try:
        # A registry on this machine has the same clock, which would say nothing.
        return None if peer is None or is_same_host(peer.url) else offset_ms(peer)
    except (BpciError, OSError):
        return None  # reported by the bandwidth checks; the kernel's word on its clock still stands


def _require(profile: Profile) -> Requirement:
    return Requirement(f"synchronised, ±{profile.clock_offset_ms / 1000:g} s", needed=False)


def _judge(measured: Measured, profile: Profile) -> Judgement:
    offset, uncertainty = measured.facts.get("offset_ms"), measured.facts.get("uncertainty_ms")
    if isinstance(offset, int) and isinstance(uncertainty, int) and abs(offset) - uncertainty > profile.clock_offset_ms:
        return Judgement(Verdict.FAIL, _SET_CLOCK)
    return PASS if measured.value is True else Judgement(Verdict.WARN, _SET_CLOCK)


CLOCK = Check("clock", "Clock", _measure, _require, _judge)
