from pathlib import Path

import pytest

from bpci_node.errors import RefusedError, StorageError
from bpci_node.store import vote_guard
from bpci_node.store.vote_guard import VoteGuard

SLOT, FIRST, SECOND = b"s" * 32, b"a" * 32, b"b" * 32


def slot(number: int) -> bytes:
    return number.to_bytes(32)


def test_a_second_vote_for_one_window_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    guard = VoteGuard(tmp_path / "votes")
    guard.remember(SLOT, FIRST, 100)
    guard.remember(SLOT, FIRST, 100)
    for current in (guard, VoteGuard(tmp_path / "votes")):
        current.remember(SLOT, FIRST, 100)
        with pytest.raises(RefusedError) as caught:
            current.remember(SLOT, SECOND, 100)
        assert caught.value.code == "sign.conflict"


def test_a_vote_cut_off_by_a_power_cut_is_forgotten_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    guard = VoteGuard(path)
    guard.remember(slot(1), FIRST, 100)
    whole = path.read_bytes()
    guard.remember(slot(2), FIRST, 101)
    for size in (1, 40, 75):
        path.write_bytes(whole + path.read_bytes()[len(whole) :][:size])
        again = VoteGuard(path)
        with pytest.raises(RefusedError):
            again.remember(slot(1), SECOND, 100)
        again.remember(slot(2), SECOND, 101)


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "votes"
    guard = VoteGuard(path)
    guard.remember(slot(1), FIRST, 100)
    guard.remember(slot(2), FIRST, 100)
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError) as caught:
        VoteGuard(path)
    assert caught.value.code == "storage.guard"
    path.write_bytes(b"something else")
    with pytest.raises(StorageError):
        VoteGuard(path)


def test_what_is_forgotten_is_never_voted_on_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_guard, "MAX_RECORDS", 10)
    guard = VoteGuard(tmp_path / "votes")
    for number in range(25):
        guard.remember(slot(number), FIRST, 1_000 + number)
    for current in (guard, VoteGuard(tmp_path / "votes")):
        with pytest.raises(RefusedError):
            current.remember(slot(0), SECOND, 1_000)
        with pytest.raises(RefusedError):
            current.remember(slot(24), SECOND, 1_024)
        current.remember(slot(24), FIRST, 1_024)
