"""State keys in ascending order, for listing by prefix: persistent, as the tree beside it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

MAX_RUN = 512
"""Most keys of one run; one more, and it is cut in half."""


class KeyIndex:
    """One version of the index. Never changes: :meth:`update` returns another, which shares the runs it left alone."""

    __slots__ = ("_firsts", "_length", "_runs")

    def __init__(self, runs: list[list[bytes]], length: int) -> None:
        self._runs, self._length = runs, length
        self._firsts = [run[0] for run in runs]

    @classmethod
    def of(cls, keys: Iterable[bytes]) -> KeyIndex:
        """Return the index of these different keys, which may come in any order."""
        ordered = sorted(keys)
        half = MAX_RUN // 2
        return cls([ordered[at : at + half] for at in range(0, len(ordered), half)], len(ordered))

    def __len__(self) -> int:
        return self._length

    def update(self, added: Iterable[bytes], removed: Iterable[bytes]) -> KeyIndex:
        """Return the index with ``added``, none of which it has, and without ``removed``, all of which it has."""
        runs = list(self._runs)
        if not runs:
            runs.append([])
        length, copied = self._length, set[int]()
        for keys, remove in ((removed, True), (added, False)):
            for key in keys:
                at = max(bisect_right(self._firsts, key) - 1, 0)
                if at not in copied:
                    runs[at] = list(runs[at])
                    copied.add(at)
                if remove:
                    del runs[at][bisect_left(runs[at], key)]
                    length -= 1
                else:
                    insort(runs[at], key)
                    length += 1
        for at in sorted(copied, reverse=True):
            run = runs[at]
            if len(run) > MAX_RUN:
                pieces = -(-len(run) // MAX_RUN) * 2
                size = -(-len(run) // pieces)
                runs[at : at + 1] = [run[start : start + size] for start in range(0, len(run), size)]
            elif not run:
                del runs[at]
        return KeyIndex([run for run in runs if run], length)

    def after(self, key: bytes) -> Iterator[bytes]:
        """Yield the keys from ``key`` on, itself included, in ascending order."""
        at = max(bisect_right(self._firsts, key) - 1, 0)
        for number in range(at, len(self._runs)):
            run = self._runs[number]
            start = bisect_left(run, key) if number == at else 0
            for position in range(start, len(run)):
                yield run[position]
