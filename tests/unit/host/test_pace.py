import threading

import pytest

from bpci_node.host.pace import Pace, keep_pace


def test_what_workers_return_is_counted_and_each_works_once_at_least() -> None:
    seen: set[str] = set()

    def work() -> int:
        seen.add(threading.current_thread().name)
        return 3

    pace = keep_pace([work, work], 0.0)
    assert len(seen) == 2
    assert pace.total >= 6
    assert pace.total % 3 == 0
    assert pace.slices


def test_a_worker_that_has_nothing_left_ends_the_run_for_all() -> None:
    left = [5, 5]

    def worker(number: int) -> int:
        left[number] -= 1
        return int(left[number] > 0)

    pace = keep_pace([lambda: worker(0), lambda: worker(1)], 3600.0)
    assert 4 <= pace.total <= 8


def test_what_a_worker_raises_reaches_the_caller_and_ends_the_others() -> None:
    def fails() -> int:
        raise OSError(5, "broken")

    with pytest.raises(OSError, match="broken"):
        keep_pace([fails, lambda: 1], 3600.0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pace-")]


def test_the_last_third_shows_what_a_hot_machine_still_does() -> None:
    pace = Pace(570, 9.0, (100, 100, 100, 60, 50, 50, 40, 40, 30))
    assert (pace.first, pace.last, pace.best) == (100, 36, 100)
