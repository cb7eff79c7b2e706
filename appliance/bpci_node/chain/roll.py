"""Who votes: the network's holders of stake, or the members of one DAO. Ballots of each are kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bpci_node.chain.state import View


@dataclass(frozen=True, slots=True)
class Roll:
    """Whose votes count, what they weigh, and where what concerns them is kept."""

    weight_at: Callable[[View, str, int], int]
    """Returns the weight of an account in a vote that began after the block of that height; 0: it has no vote."""
    dao: str | None = None
    """The DAO, by its id; ``None``: the network."""

    def entry(self, noun: str, name: str = "") -> bytes:
        """Return the state key of something of this roll's: ``noun/name``, ``dao-noun/<dao>/name`` for a DAO."""
        parts = [noun] if self.dao is None else [f"dao-{noun}", self.dao]
        return "/".join([*parts, name] if name else parts).encode("ascii")
