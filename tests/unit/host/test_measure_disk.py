import errno
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.errors import BpciError
from bpci_node.host import measure_disk as disk
from bpci_node.host.measure_disk import DiskBounds, measure_disk, reserve_of, room_for
from bpci_node.host.space import Space, read_space

GB = 10**9
SHORT = DiskBounds(seconds=0.2, written_bytes=96 << 20, file_bytes=64 << 20, other_seconds=0.1)
SPACE = Space(Path("/data"), 1, 100 * GB, 40 * GB, 5 * GB, 0, 0, is_read_only=False)


def refused(call: object) -> str:
    with pytest.raises(BpciError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.hint or caught.value.code == "storage.io"
    return caught.value.code


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Where tests run, temporary files may lie in memory; what is tested here is not whether they do.
    monkeypatch.setattr(disk, "_require_disk", lambda _directory: None)
    return tmp_path


def test_a_measured_disk_has_figures_of_writing_and_flushing_and_no_file_has_a_name_meanwhile(directory: Path) -> None:
    names: list[str] = []

    def tell(_text: str) -> None:
        names.extend(item.name for item in directory.iterdir())

    found = measure_disk(directory, SHORT, tell)
    assert names == []
    assert list(directory.iterdir()) == []
    assert found["file"] == 64 << 20
    assert 0 < found["written"] <= 96 << 20
    assert found["flush_median"] <= found["flush_99"] <= found["flush_999"]
    assert min(found["write_best"], found["write_sustained"]) > 0
    if found["direct"]:
        assert found["read"] > 0
        assert found["random_read"] > 0
    else:
        assert "read" not in found


def test_without_a_way_past_the_kernel_s_cache_nothing_is_said_of_reading(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = disk.fcntl.fcntl

    def no_direct(file: int, command: int, *arguments: int) -> int:
        if command == disk.fcntl.F_SETFL and arguments and arguments[0] & disk.os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(file, command, *arguments)

    monkeypatch.setattr(disk.fcntl, "fcntl", no_direct)
    found = measure_disk(directory, replace(SHORT, written_bytes=8 << 20), lambda _text: None)
    assert found["direct"] == 0
    assert not {"read", "random_read", "random_write"} & set(found)


def test_the_file_is_a_quarter_of_the_free_room_at_most_and_a_reserve_stays() -> None:
    assert room_for(SPACE, DiskBounds()) == 8 << 30
    assert room_for(replace(SPACE, available_bytes=4 * GB), DiskBounds()) == GB // (1 << 20) * (1 << 20)
    assert reserve_of(SPACE) == 1 << 30
    assert refused(lambda: room_for(replace(SPACE, available_bytes=200 << 20), DiskBounds())) == "host.measure_room"
    tight = replace(SPACE, available_bytes=(1 << 30) + (100 << 20))
    assert refused(lambda: room_for(tight, DiskBounds())) == "host.measure_room"


def test_a_run_ends_early_when_somebody_else_fills_the_disk(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy, calls = read_space(directory), []

    def shrinking(path: Path) -> Space:
        calls.append(path)
        return replace(roomy, size_bytes=100 * GB, available_bytes=40 * GB if len(calls) == 1 else 0)

    monkeypatch.setattr(disk, "read_space", shrinking)
    bounds = DiskBounds(seconds=3600, written_bytes=1 << 50, file_bytes=64 << 20, other_seconds=0.05)
    found = measure_disk(directory, bounds, lambda _text: None)
    assert found["written"] < 1 << 50
    assert len(calls) == 2


def test_a_full_or_failing_disk_is_said_plainly(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, code in ((errno.ENOSPC, "host.measure_room"), (errno.EIO, "storage.io")):

        def fails(_file: int, _at: int, _size: int, number: int = number) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr(disk.os, "posix_fallocate", fails)
        assert refused(lambda: measure_disk(directory, SHORT, lambda _text: None)) == code


def test_memory_is_no_disk() -> None:
    if Path("/dev/shm").is_dir():
        assert refused(lambda: measure_disk(Path("/dev/shm"), SHORT, lambda _text: None)) == "host.measure_place"
