"""Whether a write-ahead log holds more than SQLite reads from it.

SQLite reads a log up to the last transaction before the first frame whose checksum fails, and takes what follows for
the torn end of a transaction that nobody was told of. That is right after a power cut and wrong after damage in the
middle: a later transaction is begun only when the one before it is synced. So a commit that stands behind the readable
part, with another frame of the same log behind it, was acknowledged and is lost.

Source: SQLite file format, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from struct import Struct

_MAGIC = (0x377F0682, 0x377F0683)
_HEADER = Struct(">6I")
_FRAME = Struct(">4I")
HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24


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
        return self.is_header_damaged or any(readable < number < self.last for number in self.commits)


def scan(path: Path) -> WalFrames:
    """Read the frames' headers of the log of the database at ``path``."""
    log = path.with_name(path.name + "-wal")
    commits: list[int] = []
    last = 0
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return WalFrames(is_header_damaged=False, last=0, commits=())
    with file:
        head = file.read(HEADER_BYTES)
        if len(head) < HEADER_BYTES or not any(head):
            # Nothing was ever synced: an empty log, or one that a power cut left without its first write.
            return WalFrames(bool(any(file.read(1 << 16))), 0, ())
        magic, _, page_bytes, _, *salts = _HEADER.unpack_from(head)
        if magic not in _MAGIC or page_bytes & (page_bytes - 1) or not 512 <= page_bytes <= 65536:
            return WalFrames(is_header_damaged=True, last=0, commits=())
        number = 0
        while len(frame := file.read(FRAME_HEADER_BYTES)) == FRAME_HEADER_BYTES:
            number += 1
            _, size_after_commit, *found = _FRAME.unpack_from(frame)
            if found == salts:
                last = number
                if size_after_commit:
                    commits.append(number)
            file.seek(page_bytes, 1)
    return WalFrames(is_header_damaged=False, last=last, commits=tuple(commits))
