"""Lines: bonds that the ledger holds reserved for an epoch, and how many of them are in use.

A line is a target, an account, a tier and a count. Every commit takes one slot of a line, for good: what becomes of the
bond behind it is settled on the ledger.
"""

from __future__ import annotations

from bpci_node.auction.commit import Commit
from bpci_node.errors import LimitError


class Lines:
    """The lines of one epoch."""

    __slots__ = ("_free",)

    def __init__(self) -> None:
        self._free: dict[tuple[str, str, int], int] = {}

    def open(self, target: str, account: str, tier: int, count: int) -> None:
        """Add ``count`` slots that the ledger says are reserved, at least 1."""
        key = (target, account, tier)
        self._free[key] = self._free.get(key, 0) + count

    def free(self, target: str, account: str, tier: int) -> int:
        """Return how many slots are left."""
        return self._free.get((target, account, tier), 0)

    def require(self, commit: Commit, count: int = 1) -> None:
        """Check that slots are left for a commit.

        Raises:
            LimitError: none, or fewer than ``count`` (``commit.no_slot``).
        """
        if self._free.get((commit.window.target, commit.account, commit.tier), 0) < count:
            raise LimitError(
                f"no bond of tier {commit.tier} is reserved for this commit",
                code="commit.no_slot",
                hint="Ask the coordinator for another line, and wait until the ledger has it.",
            )

    def take(self, commit: Commit) -> None:
        """Use one slot.

        Raises:
            LimitError: none is left (``commit.no_slot``).
        """
        self.require(commit)
        self._free[commit.window.target, commit.account, commit.tier] -= 1
