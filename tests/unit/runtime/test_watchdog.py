import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.runtime import watchdog
from bpci_node.runtime.watchdog import (
    LOOP_PATIENCE_SECONDS,
    MOST_SLOWNESS,
    ROUND_SECONDS,
    Silence,
    Watchdog,
    slowness,
)


def test_a_loop_that_turns_is_never_silent() -> None:
    silence = Silence()
    for beats in range(100):
        silence.note(beats, 0.5, 0)
    assert not silence.is_too_long


def test_a_loop_that_had_the_machine_and_did_not_turn_hangs() -> None:
    silence = Silence()
    silence.note(1, 0.5, 0)
    rounds = 0
    while not silence.is_too_long:
        silence.note(1, 0.5, 0)
        rounds += 1
    assert rounds == LOOP_PATIENCE_SECONDS / 0.5
    silence.note(2, 0.5, 0)
    assert not silence.is_too_long


@pytest.mark.parametrize(("loading_seconds", "pace"), [(0.3, 1), (8, 8), (500, MOST_SLOWNESS)])
def test_a_machine_that_loads_slowly_is_given_more_time(
    loading_seconds: float, pace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog.time, "process_time", lambda: loading_seconds)
    assert slowness() == pace
    silence = Silence(LOOP_PATIENCE_SECONDS * slowness())
    for _ in range(int(LOOP_PATIENCE_SECONDS * pace / ROUND_SECONDS)):
        assert not silence.is_too_long
        silence.note(0, ROUND_SECONDS, 0)
    silence.note(0, ROUND_SECONDS, 0)
    assert silence.is_too_long


def test_a_machine_that_does_not_let_it_run_is_not_its_fault() -> None:
    silence = Silence()
    for _ in range(100):
        silence.note(1, 0.5, 0.49)
    assert not silence.is_too_long


def test_a_pause_of_the_whole_machine_counts_as_one_round() -> None:
    silence = Silence()
    silence.note(1, 0.5, 0)
    silence.note(1, 3600, 0)
    assert silence.seconds == 2 * ROUND_SECONDS


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the service manager hears."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(20)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

    def hear() -> list[str]:
        return listening.recv(4096).decode().splitlines()

    yield hear
    listening.close()


def test_a_loop_that_hangs_is_told_of_and_not_fed_any_more(
    told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LOOP_PATIENCE_SECONDS", 0.3)

    async def hang() -> None:
        dog = Watchdog(0.3, is_alive=lambda: True)
        beating = asyncio.create_task(dog.beat())
        await asyncio.to_thread(told)
        before = os.times().user
        while os.times().user - before < 1.0:  # the loop has the machine, and does not turn
            pass
        beating.cancel()

    asyncio.run(hang())
    heard = ["WATCHDOG=1"]
    while heard == ["WATCHDOG=1"]:
        heard = told()
    assert heard == ["STATUS=the event loop hangs", "WATCHDOG=trigger"]


def test_a_writer_that_hangs_is_told_of(told: Callable[[], list[str]]) -> None:
    async def run() -> list[str]:
        beating = asyncio.create_task(Watchdog(0.3, is_alive=lambda: False).beat())
        heard = await asyncio.to_thread(told)
        beating.cancel()
        return heard

    assert asyncio.run(run()) == ["STATUS=the writer hangs", "WATCHDOG=trigger"]


def test_a_node_that_stops_is_not_watched_any_more(told: Callable[[], list[str]]) -> None:
    async def run() -> None:
        dog = Watchdog(0.3, is_alive=lambda: True)
        beating = asyncio.create_task(dog.beat())
        assert await asyncio.to_thread(told) == ["WATCHDOG=1"]
        dog.stop()
        beating.cancel()

    asyncio.run(run())
