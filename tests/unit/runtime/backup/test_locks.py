"""Locks that a crash left in a repository, by the real restic."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from bpci_node.errors import LimitError
from bpci_node.host.restic import Place, Restic, Retention

KEY = bytes(32)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    restic(tmp_path).create()
    return tmp_path / "repository"


def restic(directory: Path) -> Restic:
    place = Place(str(directory / "repository"), "the repository")
    return Restic(place, KEY, cache=directory / "cache")


def locks(repository: Path) -> list[Path]:
    """The locks that count: while one is being written, its name has an ending."""
    return [lock for lock in (repository / "locks").iterdir() if "-tmp-" not in lock.name]


def left_behind(repository: Path, *, number: int = 1) -> subprocess.Popen[bytes]:
    """A backup that was killed in the middle; until somebody waits for it, its number stays taken."""
    reader, writer = os.pipe()
    environment = os.environ | {"RESTIC_PASSWORD": KEY.hex(), "RESTIC_CACHE_DIR": str(repository.parent / "cache")}
    process = subprocess.Popen(
        ["restic", "--repo", repository, "backup", "--quiet", "--stdin"], stdin=reader, env=environment
    )
    os.close(reader)
    end = time.monotonic() + 60
    while len(locks(repository)) < number:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.kill()
    os.close(writer)
    return process


def test_a_lock_goes_even_if_its_process_has_a_successor_of_the_same_number(repository: Path) -> None:
    process = left_behind(repository)
    try:
        restic(repository.parent).thin_out(Retention(last=1, daily=0, weekly=0, monthly=0))
    finally:
        process.wait()
    assert locks(repository) == []


def test_beside_a_lock_of_another_machine_nobody_is_sent_a_signal(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = left_behind(repository)
    holders = iter([{"hostname": "elsewhere", "pid": 1}, {"hostname": os.uname().nodename, "pid": process.pid}])
    monkeypatch.setattr(Restic, "_lock", lambda _self, _name: next(holders))
    other = left_behind(repository, number=2)
    try:
        with pytest.raises(LimitError) as caught:
            restic(repository.parent).check(1)
    finally:
        process.wait()
        other.wait()
    assert caught.value.code == "backup.locked"
    assert len(locks(repository)) == 2
