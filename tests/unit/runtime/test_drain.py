import asyncio
from types import SimpleNamespace

from bpci_node.runtime.drain import CLOSING_MS, Drain


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


def auction(seats: dict[int, bool], windows: list[int], owed: int) -> SimpleNamespace:
    """The parts of a validator's auctions that draining looks at: runs by epoch, and whether it coordinates them."""
    journal = SimpleNamespace(
        windows=lambda *_: [SimpleNamespace(epoch=epoch) for epoch in windows], owed=lambda: [None] * owed
    )
    runs = {epoch: SimpleNamespace(coordinator=object() if leads else None) for epoch, leads in seats.items()}
    return SimpleNamespace(runs=runs, journal=journal)


def is_drained(drain: Drain, found: SimpleNamespace | None) -> bool:
    return bool(asyncio.run(drain.status(found))["drained"])  # type: ignore[arg-type]


def test_a_node_without_auctions_is_drained_at_once_and_only_when_it_drains() -> None:
    drain = Drain(Clock())
    assert not is_drained(drain, None)
    drain.begin(60)
    assert is_drained(drain, None)
    drain.end()
    assert not is_drained(drain, None)
    assert not drain.is_draining


def test_seats_are_served_to_their_end_or_until_the_node_closes_before_the_deadline() -> None:
    clock = Clock()
    drain = Drain(clock)
    drain.begin(60)
    assert not is_drained(drain, auction({5: True}, [], 0))
    clock.now += 60_000 - CLOSING_MS
    assert drain.is_closed
    assert is_drained(drain, auction({5: True}, [], 0))
    # What is open, or owed to the ledger, is waited for still; what another validator leads is not.
    assert not is_drained(drain, auction({5: True}, [5], 0))
    assert not is_drained(drain, auction({5: True}, [], 1))
    assert is_drained(drain, auction({5: False}, [5], 0))


def test_a_second_plan_never_moves_the_deadline_away() -> None:
    clock = Clock()
    drain = Drain(clock)
    drain.begin(60)
    first = drain.deadline_ms
    drain.begin(600)
    assert drain.deadline_ms == first
    drain.begin(10)
    assert drain.deadline_ms == clock.now + 10_000
    assert drain.is_closed
