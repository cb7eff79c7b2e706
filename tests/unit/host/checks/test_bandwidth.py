from dataclasses import replace
from typing import Any

import psutil
import pytest

from bpci_node.errors import LimitError
from bpci_node.host.checks import bandwidth
from bpci_node.host.checks.bandwidth import DOWNLOAD, MOST_BYTES, UPLOAD, is_same_host, rate_bits_per_second
from bpci_node.host.profiles import COMMUNITY, DEV, ENTERPRISE
from bpci_node.host.result import Measured, Verdict
from bpci_node.host.runner import run_check


class Line:
    """A registry behind a line of a given speed in each direction."""

    def __init__(self, url: str = "http://192.0.2.1:8545", *, down: int = 94 * 10**6, up: int = 94 * 10**6) -> None:
        self.url = url
        self.sizes: list[int] = []
        self._down, self._up = down, up

    def download(self, size_bytes: int) -> float:
        self.sizes.append(size_bytes)
        return size_bytes * 8 / self._down

    def upload(self, size_bytes: int) -> float:
        return size_bytes * 8 / self._up

    def time_ms(self) -> int:
        return 0


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "is_same_host", lambda _url: False)


@pytest.mark.parametrize("rate", [10**5, 10**6, 94 * 10**6, 940 * 10**6, 10**10])
def test_the_rate_is_found_with_few_transfers_of_bounded_size(rate: int) -> None:
    line = Line(down=rate)
    found, moved = rate_bits_per_second(line.download)
    assert abs(found - rate) <= rate // 1000
    assert moved == sum(line.sizes)
    assert len(line.sizes) <= 3
    assert max(line.sizes) <= MOST_BYTES


def test_a_slow_line_is_asked_once() -> None:
    line = Line(down=10**6)
    rate_bits_per_second(line.download)
    assert len(line.sizes) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8545", "http://127.3.2.1:1", "http://[::1]:8545", "http://localhost:8545"]
)
def test_the_loopback_is_this_machine(url: str) -> None:
    assert is_same_host(url)


def test_every_address_of_this_machine_is_this_machine() -> None:
    own = [item.address for items in psutil.net_if_addrs().values() for item in items if item.family.name == "AF_INET"]
    assert all(is_same_host(f"http://{address}:8545") for address in own)


def test_another_address_is_not_this_machine() -> None:
    assert not is_same_host("http://198.51.100.77:8545")


@pytest.mark.parametrize("check", [DOWNLOAD, UPLOAD])
def test_a_registry_on_this_machine_tells_nothing_of_the_line(tree: Any, check: Any) -> None:
    result = run_check(check, replace(tree.context(), peer=Line("http://127.0.0.1:8545")), COMMUNITY)
    assert (result.verdict, result.needed) == (Verdict.UNKNOWN, True)
    assert result.text == "could not tell: the registry is this same machine"


def test_without_a_registry_it_is_unknown_and_says_what_to_give(tree: Any) -> None:
    result = run_check(DOWNLOAD, tree.context(), COMMUNITY)
    assert (result.verdict, result.needed) == (Verdict.UNKNOWN, True)
    assert "--registry" in result.hint
    assert not run_check(DOWNLOAD, tree.context(), DEV).needed


def test_a_name_that_leads_nowhere_is_unknown(tree: Any) -> None:
    result = run_check(DOWNLOAD, replace(tree.context(), peer=Line("http://nowhere.invalid:8545")), COMMUNITY)
    assert result.verdict is Verdict.UNKNOWN
    assert "resolved" in result.text


@pytest.mark.usefixtures("elsewhere")
def test_each_direction_is_judged_by_itself(tree: Any) -> None:
    context = replace(tree.context(), peer=Line(up=20 * 10**6))
    down, up = run_check(DOWNLOAD, context, COMMUNITY), run_check(UPLOAD, context, COMMUNITY)
    assert (down.verdict, down.text) == (Verdict.PASS, "94 Mbit/s")
    assert (up.verdict, up.text) == (Verdict.FAIL, "20 Mbit/s")


@pytest.mark.usefixtures("elsewhere")
def test_a_registry_that_refuses_leaves_it_unknown_with_its_own_words(
    tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line()

    def refuse(_size_bytes: int) -> float:
        raise LimitError("too many measurements", hint="Wait a minute.")

    monkeypatch.setattr(line, "download", refuse)
    result = run_check(DOWNLOAD, replace(tree.context(), peer=line), COMMUNITY)
    assert (result.text, result.hint) == ("could not tell: too many measurements", "Wait a minute.")


@pytest.mark.parametrize(
    ("megabits", "dev", "community", "enterprise"),
    [(94, "pass", "pass", "fail"), (79, "pass", "fail", "fail"), (941, "pass", "pass", "pass")],
)
def test_four_fifths_of_the_line_rate_must_arrive(megabits: int, dev: str, community: str, enterprise: str) -> None:
    measured = Measured(megabits * 10**6, "bit/s", "")
    verdicts = [DOWNLOAD.judge(measured, profile).verdict.value for profile in (DEV, COMMUNITY, ENTERPRISE)]
    assert verdicts == [dev, community, enterprise]


def test_a_crawling_line_is_mentioned_even_for_trying_out() -> None:
    assert DOWNLOAD.judge(Measured(10**5, "bit/s", ""), DEV).verdict is Verdict.WARN
