"""The guardians' quorum, and the governed parameters: what stands above single accounts until votes do.

Guardians are accounts, so their keys can rotate. Genesis names them; a ledger that began with version 1 has one, the
account of its registry key.
"""

from __future__ import annotations

from bpci_node.chain.account import account_id_of
from bpci_node.chain.context import Context
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.parameters import PARAMETERS
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import AccessError
from bpci_node.primitives.record import load_record, save_record

_GUARDIANS_ENTRY = b"guardians"


def require_quorum(state: View, context: Context) -> None:
    """Check that enough guardians signed the command, its sender among them or not, or that a vote stands for them.

    After ``guardians_last_height`` only a vote does.

    Raises:
        AccessError: too few (``access.quorum``).
    """
    if context.is_voted:
        return
    last_height = load_parameter(state, "guardians_last_height")
    if context.height > last_height:
        raise AccessError(
            f"the guardians decided up to height {last_height}; now a proposal does",
            code="access.quorum",
            hint="Use 'bpci governance propose'.",
        )
    accounts, threshold = load_guardians(state, context.genesis)
    speaking = {context.sender, *context.approvers}
    found = sum(account in speaking for account in accounts)
    if found < threshold:
        raise AccessError(
            f"this needs {threshold} guardians of {len(accounts)}; {found} signed it",
            code="access.quorum",
            hint="Collect their signatures over the same command.",
            needed=threshold,
        )


def is_guardian(state: View, context: Context, account: str) -> bool:
    """Say whether an account is a guardian whose word still counts."""
    if context.height > load_parameter(state, "guardians_last_height"):
        return False
    return account in load_guardians(state, context.genesis)[0]


def load_guardians(state: View, genesis: Genesis) -> tuple[tuple[str, ...], int]:
    """Return the guardians' accounts, ascending, and how many of them make a quorum."""
    data = state.get(_GUARDIANS_ENTRY)
    if data is None:
        return tuple(sorted(account_id_of(key) for key in genesis.guardians)), genesis.threshold
    stored = load_record(data)
    return tuple(stored["accounts"]), stored["threshold"]


def store_guardians(state: Overlay, accounts: tuple[str, ...], threshold: int) -> None:
    """Write the guardians."""
    state.put(_GUARDIANS_ENTRY, save_record({"v": 1, "accounts": sorted(accounts), "threshold": threshold}))


def load_parameter(state: View, name: str) -> int:
    """Return the governed parameter of that name; its default where the ledger began without parameters."""
    data = state.get(b"parameter/" + name.encode("ascii"))
    return PARAMETERS[name].default if data is None else int(load_record(data)["value"])


def store_parameter(state: Overlay, name: str, value: int) -> None:
    """Write a governed parameter."""
    state.put(b"parameter/" + name.encode("ascii"), save_record({"v": 1, "value": value}))
