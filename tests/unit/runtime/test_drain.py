import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

from bpci_node.auction.window import MAX_AHEAD_US
from bpci_node.chain.target_terms import MAX_PHASE_MS
from bpci_node.mempool.classes import QLOCK_MS
from bpci_node.runtime.drain import CLOSING_MS, LAPSE_MS, Drain


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


def auction(
    seats: dict[int, bool],
    windows: Sequence[int] = (),
    owed: int = 0,
    *,
    unproved: Sequence[int] = (),
    taking: int = 0,
    ahead: Sequence[int] = (),
) -> SimpleNamespace:
    """The parts of a validator's auctions that draining looks at: runs by epoch, and whether it coordinates them."""
    journal = SimpleNamespace(
        windows=lambda *_: [SimpleNamespace(epoch=epoch) for epoch in windows],
        incomplete=lambda: [SimpleNamespace(epoch=epoch) for epoch in unproved],
        owed=lambda: [None] * owed,
    )
    coordinator = SimpleNamespace(taking=taking)
    runs = {epoch: SimpleNamespace(coordinator=coordinator if leads else None) for epoch, leads in seats.items()}
    return SimpleNamespace(runs=runs, journal=journal, seats=lambda: sorted({*seats, *ahead}))


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
    assert not is_drained(drain, auction({5: True}))
    clock.now += 60_000 - CLOSING_MS
    assert drain.is_closed
    assert is_drained(drain, auction({5: True}))
    # What is open, being taken in or proved, or owed to the ledger, is waited for; what another validator leads is not.
    assert not is_drained(drain, auction({5: True}, [5]))
    assert not is_drained(drain, auction({5: True}, taking=1))
    assert not is_drained(drain, auction({5: True}, unproved=[5]))
    assert not is_drained(drain, auction({5: True}, owed=1))
    assert is_drained(drain, auction({5: False}, [5], unproved=[5], taking=1))


def test_a_node_that_nobody_stops_takes_part_again_long_after_the_deadline() -> None:
    clock = Clock()
    drain = Drain(clock)
    drain.begin(60)
    clock.now += 60_000 + LAPSE_MS - 1
    assert drain.is_closed
    clock.now += 1
    assert not drain.is_draining
    assert not drain.is_closed
    drain.begin(3600)
    assert drain.deadline_ms == clock.now + 3_600_000


def test_a_seat_that_a_ticket_may_bring_is_waited_for_as_one_that_is_served() -> None:
    drain = Drain(Clock())
    drain.begin(600)
    assert not is_drained(drain, auction({}, ahead=[6]))
    assert asyncio.run(drain.status(auction({5: True}, ahead=[6])))["seats"] == [5, 6]  # type: ignore[arg-type]
    assert is_drained(drain, auction({}))


def test_a_node_is_not_drained_by_what_it_was_asked_before_it_closed() -> None:
    clock = Clock()
    drain = Drain(clock)
    drain.begin(60)
    found = auction({5: True})
    windows = found.journal.windows

    def slow(*stages: str) -> list[SimpleNamespace]:
        clock.now += 60_000  # commits came in until it closed, while the journal was being read
        return list(windows(*stages))

    found.journal.windows = slow
    assert not is_drained(drain, found)
    assert is_drained(drain, found)


def test_the_longest_window_that_is_open_at_the_closing_ends_before_the_deadline() -> None:
    assert MAX_AHEAD_US // 1000 + max(QLOCK_MS) + 2 * MAX_PHASE_MS < CLOSING_MS


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
