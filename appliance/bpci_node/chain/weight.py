"""Voting weights: what an account has bonded, with enough of its past that a vote counts as of a proposal's start.

Weights are written at the end of a block, so what is bonded in the block of a proposal does not count in its vote.
"""

from __future__ import annotations

from collections.abc import Mapping

from bpci_node.chain.past import note, value_at
from bpci_node.chain.roll import Roll
from bpci_node.chain.stake import load_stake
from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.record import load_record, save_record

_STAKE = b"stake/"
_TOTAL = b"weight-total"


def record_weights(state: Overlay, writes: Mapping[bytes, bytes | None], height: int) -> None:
    """Write the weights of accounts whose stakes a block changed.

    Args:
        writes: what the block's commands wrote; ``state`` shows it.
    """
    total = before = load_total(state)
    for key in sorted(key for key in writes if key.startswith(_STAKE)):
        account = key.removeprefix(_STAKE).decode("ascii")
        bonded = load_stake(state, account).bonded
        total += bonded - note(state, _entry(account), height, bonded)
    if total != before:
        state.put(_TOTAL, save_record({"v": 1, "total": total}))


def load_total(state: View) -> int:
    """Return the weight of all accounts after the last block."""
    data = state.get(_TOTAL)
    return 0 if data is None else int(load_record(data)["total"])


def weight_at(state: View, account: str, height: int) -> int:
    """Return the weight of an account after the block at ``height``, smallest units of BPI."""
    return value_at(state, _entry(account), height)


NETWORK = Roll(weight_at)
"""The network's holders of stake."""


def _entry(account: str) -> bytes:
    return f"weight/{account}".encode("ascii")
