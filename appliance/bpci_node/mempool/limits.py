"""What one pool holds at most."""

from __future__ import annotations

from dataclasses import dataclass

MAX_REPLACEMENT_PERCENT = 1_000


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of one target's pool, and what it takes to push an entry out. Every count is from 1."""

    entries: int = 100_000
    """Entries that wait."""
    raw_bytes: int = 256 * 1024 * 1024
    """Raw bytes of all of them."""
    per_sender: int = 64
    """Entries of one sender that wait."""
    per_source: int = 50_000
    """Entries from one source that wait; a source is what the caller says it is, and no source is not counted."""
    per_bucket: int = 100_000
    """Entries in one bucket."""
    replacement_percent: int = 10
    """How much more an entry pays than one that leaves because of it, at least, 1 to ``MAX_REPLACEMENT_PERCENT``."""
