import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.auction.window import MAX_COMMITS, MAX_INDEX, Phase, Phases, WindowId, phases_of, window_at
from bpci_node.errors import BpciError, FormatError, NotFoundError, RefusedError
from tests.unit.auction.scene import BEGINS_US, ENDS_US, FRAME, TARGET, TERMS, WINDOW


@given(qlock=st.sampled_from([10, 20, 50, 100]), time_us=st.integers(0, 10**15))
def test_some_window_of_each_class_takes_commits_at_every_moment(qlock: int, time_us: int) -> None:
    window = window_at(TARGET, qlock, time_us)
    assert phases_of(window, TERMS).at(time_us) is Phase.COMMIT
    following = WindowId(TARGET, qlock, window.index + 1)
    assert phases_of(following, TERMS).opens_us == phases_of(window, TERMS).closes_us


def test_phases_follow_one_another_and_end_where_the_next_begins() -> None:
    phases = phases_of(WindowId(TARGET, 20, 5), TERMS)
    assert phases == Phases(100_000, 120_000, 320_000, 620_000)
    found = [phases.at(moment) for moment in (99_999, 100_000, 119_999, 120_000, 319_999, 320_000, 619_999, 620_000)]
    names = ["AHEAD", "COMMIT", "COMMIT", "REVEAL", "REVEAL", "SEAL", "SEAL", "OVER"]
    assert [phase.name for phase in found] == names


@given(index=st.integers(0, MAX_INDEX - 1), qlock=st.sampled_from([10, 20, 50, 100]))
def test_sequence_numbers_of_a_window_lie_below_those_of_the_next_and_in_63_bits(index: int, qlock: int) -> None:
    window, following = WindowId(TARGET, qlock, index), WindowId(TARGET, qlock, index + 1)
    assert window.first_seq + MAX_COMMITS == following.first_seq
    assert following.first_seq + MAX_COMMITS <= 2**63


def test_a_window_comes_back_from_its_list() -> None:
    assert WindowId.from_list(WINDOW.as_list()) == WINDOW


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        ["eip155:1", 10],
        ["eip155:1", 10, 1, 1],
        ["eip155:01", 10, 1],
        [b"eip155:1", 10, 1],
        ["eip155:1", 11, 1],
        ["eip155:1", True, 1],
        ["eip155:1", 10, -1],
        ["eip155:1", 10, True],
        ["eip155:1", 10, MAX_INDEX + 1],
        ["eip155:1", 10, "1"],
    ],
)
def test_what_names_no_window_is_refused(value: object) -> None:
    with pytest.raises(FormatError) as caught:
        WindowId.from_list(value)
    assert caught.value.code == "window.format"


def test_there_is_no_window_before_genesis_and_none_of_another_class() -> None:
    for qlock, time_us in ((10, -1), (30, 0), (0, 0)):
        with pytest.raises(FormatError):
            window_at(TARGET, qlock, time_us)


@pytest.mark.parametrize(
    ("window", "kind", "code"),
    [
        (WindowId("eip155:2", 100, 18_000), NotFoundError, "window.target"),
        (WindowId(TARGET, 100, 17_999), RefusedError, "window.epoch"),
        (WindowId(TARGET, 100, ENDS_US // 100_000), RefusedError, "window.epoch"),
    ],
)
def test_an_epoch_runs_its_own_windows_alone(window: WindowId, kind: type[BpciError], code: str) -> None:
    with pytest.raises(kind) as caught:
        FRAME.phases_of(window)
    assert caught.value.code == code
    assert FRAME.phases_of(WINDOW).opens_us == BEGINS_US
    assert FRAME.phases_of(WindowId(TARGET, 100, ENDS_US // 100_000 - 1)).closes_us == ENDS_US
