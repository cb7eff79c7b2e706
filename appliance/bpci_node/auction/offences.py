"""What it costs not to reveal: a part of the bond that grows with every earlier time."""

from __future__ import annotations

from bpci_node.primitives.amounts import WHOLE_BPS

STEP_BPS = 2_500
"""What each earlier offence adds, basis points of the bond."""


def forfeit_bps(base_bps: int, earlier: int) -> int:
    """Return the part of the bond that is forfeited, basis points, at most all of it.

    Args:
        base_bps: for the first offence, governed (``auction_forfeit_bps``), 0 to 10,000.
        earlier: offences of the account in the epochs that count.
    """
    return min(WHOLE_BPS, base_bps + STEP_BPS * earlier)


def forfeit_of(bond: int, base_bps: int, earlier: int) -> int:
    """Return what is forfeited of ``bond``, its smallest unit, rounded down; the rest goes back."""
    return bond * forfeit_bps(base_bps, earlier) // WHOLE_BPS
