"""How fast memory is copied: blocks that fit no cache, by one thread and by all.

Copies go through the C library's ``memmove``, outside the interpreter's lock. At most a quarter of what is available
is used; a machine without room for blocks beyond its caches is not measured.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

from bpci_node.host.measure_processor import usable_threads
from bpci_node.host.pace import keep_pace
from bpci_node.host.pressure import read_available
from bpci_node.host.result import CouldNotTellError

MOST_BLOCK = 128 << 20
LEAST_BLOCK = 16 << 20
_PIECE = 8 << 20
"""Bytes of one call, so that a run ends in time."""


def measure_memory(seconds: float, tell: Callable[[str], None], root: Path = Path("/")) -> dict[str, int]:
    """Copy memory and return the figures, :data:`bpci_node.host.figures.CATALOG`.

    Args:
        seconds: length of each of the two runs.
    Raises:
        CouldNotTellError: too little memory is available.
    """
    available = read_available(root)
    threads = usable_threads()
    if available is None:
        raise CouldNotTellError("the kernel does not tell how much memory is left")
    # Two blocks per thread, of a quarter of what is left; where that is too little, fewer threads copy.
    threads = max(1, min(threads, available[0] // 4 // (2 * LEAST_BLOCK)))
    block = min(MOST_BLOCK, available[0] // 4 // (2 * threads)) // _PIECE * _PIECE
    if block < LEAST_BLOCK:
        raise CouldNotTellError("too little memory is free", "End other programs and measure again.")
    tell("memory: one thread copies")
    single = keep_pace([_worker(block)], seconds).per_second
    tell(f"memory: {threads} threads copy")
    together = keep_pace([_worker(block) for _ in range(threads)], seconds).per_second
    return {"threads": threads, "single": single, "all": together, "block": block}


def _worker(block: int) -> Callable[[], int]:
    source, target = ctypes.create_string_buffer(block), ctypes.create_string_buffer(block)
    # Pages that were never written are one and the same page of zeros.
    ctypes.memset(source, 1, block)
    ctypes.memset(target, 2, block)
    copy = ctypes.CDLL(None).memmove
    copy.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    copy.restype = ctypes.c_void_p
    into, out_of, at = ctypes.addressof(target), ctypes.addressof(source), 0

    def work() -> int:
        nonlocal at
        copy(into + at, out_of + at, _PIECE)
        at = (at + _PIECE) % block
        # The buffers live as long as whoever copies between them.
        return _PIECE if len(source) == len(target) else 0

    return work
