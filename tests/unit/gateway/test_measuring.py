from contextlib import ExitStack

import pytest

from bpci_node.errors import LimitError
from bpci_node.gateway.measuring import PAUSE_SECONDS, TRANSFERS, TURN_SECONDS, Turn

A, B = b"a" * 32, b"b" * 32


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def refuses(turn: Turn, key: bytes) -> bool:
    try:
        with turn.taken(key):
            return False
    except LimitError as error:
        return error.code == "limit.measuring" and error.details["retry_after_seconds"] > 0


def test_one_key_measures_at_a_time_and_the_next_follows_after_a_pause() -> None:
    clock = Clock()
    turn = Turn(clock)
    with turn.taken(A):
        assert refuses(turn, B)
        clock.seconds += 10
    clock.seconds += PAUSE_SECONDS - 0.5
    assert refuses(turn, B)
    assert not refuses(turn, A)
    clock.seconds += PAUSE_SECONDS + 0.5
    assert not refuses(turn, B)
    assert refuses(turn, A)


def test_a_turn_that_never_ends_goes_to_whoever_waits() -> None:
    clock = Clock()
    turn = Turn(clock)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(turn.taken(A))
        clock.seconds += TURN_SECONDS
        assert refuses(turn, B)
        clock.seconds += 1
        second.enter_context(turn.taken(B))
        first.close()  # the first one's end takes nothing from the second
        assert refuses(turn, A)


def test_a_turn_has_a_few_transfers_at_once_and_lost_ones_do_not_count_for_ever() -> None:
    clock = Clock()
    turn = Turn(clock)
    with ExitStack() as held:
        for _ in range(TRANSFERS):
            held.enter_context(turn.taken(A))
        assert refuses(turn, A)
        clock.seconds += TURN_SECONDS + 1
        assert not refuses(turn, A)


def test_a_transfer_that_fails_gives_its_place_back() -> None:
    clock = Clock()
    turn = Turn(clock)
    with pytest.raises(OSError, match="cut"), turn.taken(A):
        raise OSError("cut")
    clock.seconds += PAUSE_SECONDS + 0.5
    assert not refuses(turn, B)
