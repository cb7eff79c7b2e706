"""The write-ahead log as it stands on the disk: which frames hold, and what SQLite would not read.

SQLite reads a log up to the last transaction before the first frame whose checksum fails, and takes what follows for
the torn end of a transaction that nobody was told of. That is right after a power cut and wrong after damage in the
middle: a later transaction is begun only when the one before it is synced. So a commit that stands behind the readable
part, with another frame of the same log behind it, was acknowledged and is lost.

Source: SQLite file format, section 4.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from struct import Struct, unpack

_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""Magic number, and the order of bytes in which checksums are reckoned."""
_HEADER = Struct(">8I")
_FRAME = Struct(">6I")


@dataclass(frozen=True, slots=True)
class WalFrames:
    """What the headers of a log say, without its checksums."""

    is_header_damaged: bool
    """It is not empty, and its first bytes are not a log's."""
    last: int
    """Number of the last frame of the running log, from 1; 0 if there is none."""
    commits: tuple[int, ...]
    """Numbers of its frames that end a transaction."""

    def lost_behind(self, readable: int) -> bool:
        """Tell whether something that was committed stands behind the first ``readable`` frames."""
        return self.is_header_damaged or self.acknowledged > readable

    @property
    def acknowledged(self) -> int:
        """Number of the last frame of the last transaction that surely was synced, 0 if there is none."""
        return max((number for number in self.commits if number < self.last), default=0)


@dataclass(frozen=True, slots=True)
class WalPages:
    """The pages in a log, by the transactions that count."""

    offsets: dict[int, int]
    """Where the latest image of a page that holds begins in the log, by the page's number."""
    damaged: tuple[int, ...]
    """Pages whose latest image does not hold, ascending."""
    is_broken: bool
    """Whether SQLite would not read all of it: a frame does not hold, and transactions that count stand behind it."""
    page_count: int
    """Pages of the database after the last transaction; 0 if there is none."""
    page_bytes: int
    """Length of a page, bytes; 0 if the log is empty or its header damaged."""


def log_of(path: Path) -> Path:
    """Return the path of the log of the database at ``path``."""
    return path.with_name(path.name + "-wal")


def scan(path: Path) -> WalFrames:
    """Read the headers of the frames in the log of the database at ``path``."""
    commits: list[int] = []
    last = 0
    try:
        file = log_of(path).open("rb")
    except FileNotFoundError:
        return WalFrames(is_header_damaged=False, last=0, commits=())
    with file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size or not any(head):
            # Nothing was ever synced: an empty log, or one that a power cut left without its first write.
            return WalFrames(any(file.read(1 << 16)), 0, ())
        header = _read_header(head)
        if header is None:
            return WalFrames(is_header_damaged=True, last=0, commits=())
        page_bytes, salts = header
        number = 0
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            number += 1
            _, pages_after_commit, *found = _FRAME.unpack(frame)
            if found[:2] == salts:
                last = number
                if pages_after_commit:
                    commits.append(number)
            file.seek(page_bytes, 1)
    return WalFrames(is_header_damaged=False, last=last, commits=tuple(commits))


def frames_in_use(path: Path) -> int:
    """Return how many frames SQLite reads, while a connection to the database at ``path`` is in a transaction.

    Source: SQLite WAL-mode file format, section 2.1: mxFrame of the index's header.
    """
    with path.with_name(path.name + "-shm").open("rb") as file:
        return int.from_bytes(file.read(20)[16:], sys.byteorder)


def read_pages(log: bytes, page_bytes: int) -> WalPages:
    """Check every frame of a log against the one before it, and return what holds.

    A frame's checksum goes on from the one in the header of the frame before, so a damaged page makes SQLite stop, and
    yet does not hide whether the frames behind it hold. A damaged header costs the first frame alone.

    Args:
        page_bytes: length of a page, for a log whose header is damaged.
    """
    if len(log) < _HEADER.size + _FRAME.size + page_bytes:
        return WalPages({}, (), is_broken=False, page_count=0, page_bytes=0)
    header = _read_header(log[: _HEADER.size])
    if header is None:
        salts = list(_FRAME.unpack_from(log, _HEADER.size)[2:4])
        order = _guess_order(log, page_bytes)
    else:
        page_bytes, salts = header
        order = _MAGIC[int.from_bytes(log[:4], "big")]
    before = _HEADER.unpack_from(log)[6:]
    frames: list[tuple[int, int, int, bool]] = []
    length = _FRAME.size + page_bytes
    last = end = readable = 0
    is_whole = is_transaction_whole = True
    for number, at in enumerate(range(_HEADER.size, len(log) - length + 1, length), start=1):
        page, pages_after_commit, salt_1, salt_2, *checksum = _FRAME.unpack_from(log, at)
        is_ours = [salt_1, salt_2] == salts
        covered = log[at : at + 8] + log[at + _FRAME.size : at + length]
        holds = is_ours and tuple(checksum) == _checksum(covered, order, before)
        before = tuple(checksum)
        is_transaction_whole = is_transaction_whole and holds
        is_whole = is_whole and holds
        frames.append((page, pages_after_commit, at + _FRAME.size, holds))
        last = number if is_ours else last
        if is_ours and pages_after_commit:
            # The last transaction of all counts if it is whole; one before it was synced before the next began.
            end = number if is_transaction_whole else end
            readable = number if is_whole else readable
            is_transaction_whole = True
    commits = (number for number, (_, size, _, holds) in enumerate(frames, start=1) if size and holds)
    end = max([end, *(number for number in commits if number < last)])
    offsets: dict[int, int] = {}
    damaged: set[int] = set()
    page_count = 0
    for page, pages_after_commit, offset, holds in frames[:end]:
        if holds:
            offsets[page] = offset
            damaged.discard(page)
            page_count = pages_after_commit or page_count
        else:
            damaged.add(page)
    is_broken = end > (readable if header else 0)
    return WalPages(offsets, tuple(sorted(damaged)), is_broken, page_count, page_bytes)


def _read_header(head: bytes) -> tuple[int, list[int]] | None:
    """Return the length of a page and the two salts, ``None`` if these bytes begin no log."""
    magic, _, page_bytes, _, *salts, check_1, check_2 = _HEADER.unpack(head)
    if magic not in _MAGIC or page_bytes & (page_bytes - 1) or not 512 <= page_bytes <= 65536:
        return None
    if _checksum(head[:24], _MAGIC[magic], (0, 0)) != (check_1, check_2):
        return None
    return page_bytes, salts


def _guess_order(log: bytes, page_bytes: int) -> str:
    """Return the order of bytes with which the second frame holds."""
    first, second = _HEADER.size, _HEADER.size + _FRAME.size + page_bytes
    frame = log[second : second + _FRAME.size + page_bytes]
    start = _FRAME.unpack_from(log, first)[4:]
    data = frame[:8] + frame[_FRAME.size :]
    is_big = len(frame) == _FRAME.size + page_bytes and _checksum(data, ">", start) == _FRAME.unpack_from(frame)[4:]
    return ">" if is_big else "<"


def _checksum(data: bytes, order: str, start: tuple[int, ...]) -> tuple[int, int]:
    """Go on with a checksum over ``data``. Source: SQLite file format, section 4.2."""
    first, second = start
    words = unpack(f"{order}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return first, second
