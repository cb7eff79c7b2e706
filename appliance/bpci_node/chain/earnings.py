"""What an account has earned with its seats in committees, as the state keeps it: provable by one entry.

Pay goes to the account's balance at once (:mod:`bpci_node.chain.settlement`), where it mixes with everything else; the
sums here only grow, and move nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.record import load_record, save_record


@dataclass(frozen=True, slots=True)
class Earnings:
    """Pay of one account in one asset."""

    total: int
    """All of it, smallest unit, at least 0."""
    parts: int
    """Parts of settlements that it came with; a window has one or more."""
    epoch: int
    """The latest epoch that it was paid for."""
    in_epoch: int
    """What it was paid for that epoch, smallest unit."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "total": self.total,
            "parts": self.parts,
            "epoch": self.epoch,
            "in_epoch": self.in_epoch,
        }


def earnings_of(state: View, account: str, asset: str) -> Earnings | None:
    """Return what an account has earned in an asset, ``None`` if it was never paid in it."""
    data = state.get(earnings_entry(account, asset))
    if data is None:
        return None
    stored = load_record(data)
    return Earnings(stored["total"], stored["parts"], stored["epoch"], stored["in_epoch"])


def note_pay(state: Overlay, account: str, asset: str, epoch: int, amount: int) -> None:
    """Add pay for an epoch; of an epoch before the latest one it counts in the total alone."""
    if amount == 0:
        return
    known = earnings_of(state, account, asset) or Earnings(0, 0, epoch, 0)
    in_epoch = amount if epoch > known.epoch else known.in_epoch + (amount if epoch == known.epoch else 0)
    record = Earnings(known.total + amount, known.parts + 1, max(epoch, known.epoch), in_epoch)
    state.put(earnings_entry(account, asset), save_record(record.as_map()))


def earnings_entry(account: str, asset: str) -> bytes:
    """Return the state key of what an account has earned in an asset."""
    return f"auction-earned/{account}/{asset}".encode("ascii")
