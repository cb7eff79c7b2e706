"""Numbers of the state with enough of their past that a vote counts as of its start."""

from __future__ import annotations

from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.record import load_record, save_record

MAX_PAST = 32
"""Blocks that changed a number which are remembered; before the oldest of them it counts as 0."""


def note(state: Overlay, key: bytes, height: int, value: int) -> int:
    """Write that the number at ``key`` is ``value`` from the block at ``height`` on, and return what it was before."""
    past = _past(state, key)
    last = past[-1][1] if past else 0
    if value != last:
        earlier = past[:-1] if past and past[-1][0] == height else past
        kept = [*earlier, (height, value)][-MAX_PAST:]
        state.put(key, save_record({"v": 1, "past": [list(item) for item in kept]}))
    return last


def value_at(state: View, key: bytes, height: int) -> int:
    """Return what the number at ``key`` was after the block at ``height``."""
    return next((value for since, value in reversed(_past(state, key)) if since <= height), 0)


def newest(state: View, key: bytes) -> int:
    """Return what the number at ``key`` is now."""
    past = _past(state, key)
    return past[-1][1] if past else 0


def _past(state: View, key: bytes) -> list[tuple[int, int]]:
    data = state.get(key)
    return [] if data is None else [(item[0], item[1]) for item in load_record(data)["past"]]
