import time
from dataclasses import replace
from typing import Any

import pytest

from bpci_node.errors import UnreachableError
from bpci_node.host.checks import clock
from bpci_node.host.checks.clock import CLOCK, offset_ms
from bpci_node.host.profiles import COMMUNITY, DEV
from bpci_node.host.result import Measured, Verdict
from bpci_node.host.runner import run_check


class Elsewhere:
    """A registry on another machine, with a clock that is off and a delay before it answers."""

    url = "http://192.0.2.1:8545"

    def __init__(self, ahead_ms: int, delays: tuple[float, ...] = (0,)) -> None:
        self.ahead_ms = ahead_ms
        self.delays = list(delays)

    def time_ms(self) -> int:
        time.sleep(self.delays.pop(0) if self.delays else 0)
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def download(self, size_bytes: int) -> float:
        raise UnreachableError(f"not asked for {size_bytes} bytes")

    upload = download


@pytest.mark.parametrize("ahead_ms", [0, 5000, -5000])
def test_the_offset_is_known_to_within_the_exchange(ahead_ms: int) -> None:
    offset, uncertainty = offset_ms(Elsewhere(ahead_ms, delays=[0.4]))
    assert abs(offset - ahead_ms) <= uncertainty + 1
    assert uncertainty < 190  # the quicker exchanges count


def test_a_steered_clock_passes_and_an_unsteered_one_is_warned_of(tree: Any) -> None:
    assert run_check(CLOCK, tree.context(), COMMUNITY).verdict is Verdict.PASS
    tree.synchronized = False
    result = run_check(CLOCK, tree.context(), COMMUNITY)
    assert (result.verdict, result.text, result.needed) == (Verdict.WARN, "not synchronised", False)


def test_a_clock_that_is_off_fails_even_if_it_is_steered() -> None:
    off = Measured(value=True, unit="", text="", facts={"offset_ms": -1500, "uncertainty_ms": 100})
    assert CLOCK.judge(off, COMMUNITY).verdict is Verdict.FAIL
    assert CLOCK.judge(off, DEV).verdict is Verdict.PASS
    unsure = replace(off, facts={"offset_ms": -1500, "uncertainty_ms": 600})
    assert CLOCK.judge(unsure, COMMUNITY).verdict is Verdict.PASS


def test_a_registry_elsewhere_is_asked(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "is_same_host", lambda _url: False)
    result = run_check(CLOCK, replace(tree.context(), peer=Elsewhere(90_000)), COMMUNITY)
    assert result.verdict is Verdict.FAIL
    assert abs(result.facts["offset_ms"] - 90_000) < 100


def test_a_registry_on_this_machine_says_nothing_of_the_clock(tree: Any) -> None:
    peer = Elsewhere(90_000)
    peer.url = "http://127.0.0.1:8545"
    result = run_check(CLOCK, replace(tree.context(), peer=peer), COMMUNITY)
    assert (result.verdict, "offset_ms" in result.facts) == (Verdict.PASS, False)


def test_a_kernel_that_does_not_tell_is_unknown(tree: Any) -> None:
    def refused() -> None:
        raise PermissionError(1, "Operation not permitted")

    result = run_check(CLOCK, replace(tree.context(), kernel_clock=refused), COMMUNITY)
    assert result.verdict is Verdict.UNKNOWN
