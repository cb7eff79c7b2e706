import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bpci_node.runtime.ledger_clock import MAX_AWAY_US, SLEW_PPM, Jitter, LedgerClock

GENESIS_MS = 1_700_000_000_000


class Hands:
    """The system's clock and the monotonic one, moved by the test."""

    def __init__(self) -> None:
        self.wall = GENESIS_MS * 1000 + 5_000_000
        self.steady = 77

    def pass_us(self, us: int) -> None:
        self.wall += us
        self.steady += us


def clock_of(hands: Hands) -> LedgerClock:
    return LedgerClock(GENESIS_MS, wall_us=lambda: hands.wall, monotonic_us=lambda: hands.steady)


def test_ledger_time_is_what_has_passed_since_genesis() -> None:
    hands = Hands()
    clock = clock_of(hands)
    assert clock.now_us() == 5_000_000
    hands.pass_us(1_234)
    assert clock.now_us() == 5_001_234
    assert clock.wall_ms() == GENESIS_MS + 5_001


def test_a_jump_of_the_system_clock_moves_nothing_at_once_and_is_followed_slowly() -> None:
    for jump in (30_000, -30_000):
        hands = Hands()
        clock = clock_of(hands)
        hands.wall += jump
        before = clock.now_us()
        clock.follow()
        assert clock.now_us() == before
        assert clock.away_us == jump
        for _ in range(10):
            last = clock.now_us()
            hands.pass_us(1_000_000)
            passed = clock.now_us() - last
            assert abs(passed - 1_000_000) <= SLEW_PPM
            clock.follow()
        assert clock.away_us == 0
        assert clock.now_us() == hands.wall - GENESIS_MS * 1000


def test_a_clock_that_is_a_minute_away_is_not_followed_but_said() -> None:
    hands = Hands()
    clock = clock_of(hands)
    hands.wall += MAX_AWAY_US + 1
    clock.follow()
    hands.pass_us(1_000_000)
    assert clock.now_us() == 6_000_000
    assert clock.away_us == MAX_AWAY_US + 1


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(-(10**8), 10**8), st.booleans()), max_size=30))
def test_ledger_time_never_runs_backwards_whatever_the_system_clock_does(
    steps: list[tuple[int, int, bool]],
) -> None:
    hands = Hands()
    clock = clock_of(hands)
    last = clock.now_us()
    for passed, jump, looks in steps:
        hands.pass_us(passed)
        hands.wall += jump
        if looks:
            clock.follow()
        assert clock.now_us() >= last
        last = clock.now_us()


def test_waiting_ends_no_earlier_than_it_should() -> None:
    async def wait() -> None:
        clock = LedgerClock(GENESIS_MS)
        goal = clock.now_us() + 3_000
        late = await clock.sleep_until(goal)
        assert late >= 0
        assert clock.now_us() >= goal
        assert await clock.sleep_until(goal - 1_000) >= 1_000

    asyncio.run(wait())


def test_jitter_is_kept_per_class() -> None:
    jitter = Jitter()
    assert jitter.quantile(10, 99) == 0
    for late in range(100):
        jitter.note(10, late)
    jitter.note(100, 7)
    assert (jitter.quantile(10, 50), jitter.quantile(10, 99), jitter.quantile(100, 99)) == (50, 99, 7)
    assert list(jitter.classes()) == [10, 100]
    assert jitter.counts == {10: 100, 100: 1}
