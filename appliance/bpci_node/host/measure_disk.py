"""What the disk under a directory does under load: written beyond its caches, read, at random places, and flushed.

All happens in files without a name, so nothing stays behind even if the run is killed. The kernel's cache is passed by
(``O_DIRECT``) where the file system can do that; where not, no figure of reading is given, since it would be memory's.
The file is a quarter of the free room at most, and a reserve always stays free: a run that meets it ends early.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bpci_node.errors import HostError, StorageError
from bpci_node.host.checks.latency import append_times_us, open_nameless, percentile
from bpci_node.host.mounts import mount_of
from bpci_node.host.pace import Pace, keep_pace
from bpci_node.host.space import Space, read_space

BLOCK_BYTES = 1 << 20
PAGE_BYTES = 4096
WRITERS, DEPTH = 4, 16
LEAST_FILE = 64 << 20
RESERVE_BYTES = 1 << 30
RESERVE_PERCENT = 5
_NOISE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class DiskBounds:
    """How far a run goes."""

    seconds: float = 60.0
    """Longest sustained write."""
    written_bytes: int = 32 << 30
    """Most that the sustained write writes, over and over into the same file."""
    file_bytes: int = 8 << 30
    """Largest file."""
    other_seconds: float = 5.0
    """Length of each of the other runs."""


def measure_disk(directory: Path, bounds: DiskBounds, tell: Callable[[str], None]) -> dict[str, int]:
    """Load the disk under ``directory`` and return its figures, :data:`bpci_node.host.figures.CATALOG`.

    Raises:
        StorageError: there is too little room (``host.measure_room``), or the disk fails (``storage.io``).
        HostError: the directory lies in memory, or can't be written (``host.measure_place``).
    """
    try:
        _require_disk(directory)
        size = room_for(read_space(directory), bounds)
        return _measure(directory, size, bounds, tell)
    except PermissionError as error:
        raise HostError(
            f"{directory} may not be written by this user",
            code="host.measure_place",
            hint="Run it as root, or name a directory on the same disk with --data-dir.",
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_room(directory) from error
        raise StorageError(f"{directory} can't be measured: {error.strerror}", code="storage.io") from error


def room_for(space: Space, bounds: DiskBounds) -> int:
    """Return how large the file may be, bytes: a multiple of a block.

    Raises:
        StorageError: there is too little room (``host.measure_room``).
    """
    size = min(bounds.file_bytes, space.available_bytes // 4) // BLOCK_BYTES * BLOCK_BYTES
    if size < LEAST_FILE or space.available_bytes - size < reserve_of(space):
        raise _no_room(space.path)
    return size


def reserve_of(space: Space) -> int:
    """Return what a run leaves free in a file system, bytes."""
    return min(RESERVE_BYTES, space.size_bytes * RESERVE_PERCENT // 100)


def _measure(directory: Path, size: int, bounds: DiskBounds, tell: Callable[[str], None]) -> dict[str, int]:
    tell("disk: durable appends")
    idle = append_times_us(directory, most=2000, seconds=bounds.other_seconds)
    with _file(directory, size) as (file, is_direct):
        written, busy, covered = _sustained(_Target(file, size, is_direct), directory, bounds, tell)
        found = {
            "file": size,
            "direct": int(is_direct),
            "written": written.total,
            "write_best": written.best,
            "write_sustained": written.last,
            "flush_median": percentile(idle, 50),
            "flush_99": percentile(idle, 99),
            "flush_999": sorted(idle)[-(-len(idle) * 999 // 1000) - 1],
        }
        if busy:
            found["flush_busy_99"] = percentile(busy, 99)
        if is_direct and covered >= LEAST_FILE // 2:
            found |= _reads(file, covered, bounds.other_seconds, tell)
            tell("disk: 16 random writes at a time")
            writers = [_random_writer(file, covered, seed) for seed in range(DEPTH)]
            found["random_write"] = keep_pace(writers, bounds.other_seconds).per_second
    return found


@dataclass(frozen=True, slots=True)
class _Target:
    """The file that is written."""

    file: int
    """Its descriptor."""
    size: int
    """Bytes that were set aside for it."""
    is_direct: bool
    """Whether the kernel's cache is passed by."""


def _sustained(
    target: _Target, directory: Path, bounds: DiskBounds, tell: Callable[[str], None]
) -> tuple[Pace, list[int], int]:
    """Write the file over and over; return the pace, the times of durable appends meanwhile, and how much is filled."""
    places = _Places(target.size, bounds.written_bytes)
    # What goes through the kernel's cache counts once it has left it.
    flags = 0 if target.is_direct else os.RWF_DSYNC
    noise = mmap.mmap(-1, _NOISE_BYTES)
    noise.write(os.urandom(_NOISE_BYTES))
    view = memoryview(noise)
    ended = threading.Event()
    busy: list[int] = []

    def write() -> int:
        place = places.next()
        if place is None:
            return 0
        at = place % _NOISE_BYTES
        _write_all(target.file, view[at : at + BLOCK_BYTES], place, flags)
        return BLOCK_BYTES

    def flush() -> None:
        # The journal of a node on this disk would wait as these appends do.
        with suppress(OSError):  # a disk that is full or fails is the writers' to tell
            while not ended.wait(0.05) and len(busy) < 5000:
                busy.extend(append_times_us(directory, most=20, seconds=1.0))

    def tick(done: int, taken: float) -> bool:
        tell(f"disk: sustained write, {done >> 20} MiB in {taken:.0f} of {bounds.seconds:.0f} s")
        space = read_space(directory)
        return space.available_bytes >= reserve_of(space)

    flusher = threading.Thread(target=flush, name="disk-flush", daemon=True)
    flusher.start()
    try:
        pace = keep_pace([write] * WRITERS, bounds.seconds, tick=tick)
    finally:
        ended.set()
        flusher.join()
        view.release()
        noise.close()
    os.fdatasync(target.file)
    return pace, busy, min(target.size, places.given)


def _reads(file: int, covered: int, seconds: float, tell: Callable[[str], None]) -> dict[str, int]:
    tell("disk: sequential read")
    places = _Places(covered, 1 << 62)

    def read() -> Callable[[], int]:
        buffer = mmap.mmap(-1, BLOCK_BYTES)

        def work() -> int:
            place = places.next()
            return 0 if place is None else os.preadv(file, [buffer], place)

        return work

    found = {"read": keep_pace([read() for _ in range(WRITERS)], seconds).per_second}
    tell("disk: random reads, one at a time")
    found["random_read_single"] = keep_pace([_random_reader(file, covered, 0)], seconds).per_second
    tell("disk: 16 random reads at a time")
    readers = [_random_reader(file, covered, seed) for seed in range(DEPTH)]
    found["random_read"] = keep_pace(readers, seconds).per_second
    return found


class _Places:
    """Gives out the blocks of a file one after the other, round and round, to several threads."""

    def __init__(self, size: int, most: int) -> None:
        self._size, self._most = size, most
        self._lock = threading.Lock()
        self.given = 0
        """Bytes that were given out in all."""

    def next(self) -> int | None:
        """Return where the next block begins; ``None`` when enough was given out."""
        with self._lock:
            if self.given >= self._most:
                return None
            place = self.given % self._size
            self.given += BLOCK_BYTES
            return place


def _random_reader(file: int, covered: int, seed: int) -> Callable[[], int]:
    buffer, draw, pages = mmap.mmap(-1, PAGE_BYTES), random.Random(seed), covered // PAGE_BYTES  # noqa: S311 - places

    def work() -> int:
        return 1 if os.preadv(file, [buffer], draw.randrange(pages) * PAGE_BYTES) else 0

    return work


def _random_writer(file: int, covered: int, seed: int) -> Callable[[], int]:
    buffer, draw, pages = mmap.mmap(-1, PAGE_BYTES), random.Random(seed), covered // PAGE_BYTES  # noqa: S311 - places
    buffer.write(os.urandom(PAGE_BYTES))

    def work() -> int:
        return 1 if os.pwritev(file, [buffer], draw.randrange(pages) * PAGE_BYTES) else 0

    return work


@contextmanager
def _file(directory: Path, size: int) -> Iterator[tuple[int, bool]]:
    """Open a file without a name, with room for ``size`` bytes, and say whether it passes the kernel's cache by."""
    file = open_nameless(directory)
    try:
        os.posix_fallocate(file, 0, size)
        flags = fcntl.fcntl(file, fcntl.F_GETFL)
        try:
            fcntl.fcntl(file, fcntl.F_SETFL, flags | os.O_DIRECT)
            with mmap.mmap(-1, PAGE_BYTES) as page:
                os.pwritev(file, [page], 0)  # some file systems take the flag and refuse the writing
            is_direct = True
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            fcntl.fcntl(file, fcntl.F_SETFL, flags)
            is_direct = False
        yield file, is_direct
    finally:
        os.close(file)


def _write_all(file: int, data: memoryview, place: int, flags: int) -> None:
    while data:
        written = os.pwritev(file, [data], place, flags)
        data, place = data[written:], place + written


def _require_disk(directory: Path) -> None:
    mount = mount_of(Path("/"), directory.resolve())
    if mount is not None and mount.kind in ("tmpfs", "ramfs"):
        raise HostError(
            f"{directory} lies in memory, not on a disk",
            code="host.measure_place",
            hint="Name a directory on the disk with --data-dir.",
        )


def _no_room(path: Path) -> StorageError:
    return StorageError(
        f"there is too little room in {path} to measure its disk",
        code="host.measure_room",
        hint=f"Free some: {LEAST_FILE >> 18} MiB and the reserve of {RESERVE_PERCENT} % must be left.",
    )
