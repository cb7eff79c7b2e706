"""Roots of the last blocks' states, kept in the state: what proofs of work are bound to.

A block in which a command succeeds writes the root that the block before it led to, over the one of
:data:`RECENT_BLOCKS` blocks ago.
"""

from __future__ import annotations

from bpci_node.chain.context import Context
from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.record import load_record, save_record

RECENT_BLOCKS = 256
"""How far back a root may lie, in blocks."""


def store_recent(state: Overlay, height: int, root: bytes) -> None:
    """Write the root of the state after block ``height``."""
    state.put(_entry(height), save_record({"v": 1, "height": height, "root": root}))


def recent_root(state: View, context: Context, height: int) -> bytes | None:
    """Return the root of the state after block ``height``; ``None`` if it is not among the last ones."""
    if height == context.height - 1:
        return context.parent_root
    data = state.get(_entry(height))
    if data is None or not 0 < context.height - height <= RECENT_BLOCKS:
        return None
    stored = load_record(data)
    return bytes(stored["root"]) if stored["height"] == height else None


def _entry(height: int) -> bytes:
    return b"recent/" + (height % RECENT_BLOCKS).to_bytes(2)
