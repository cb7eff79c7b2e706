"""What the first block of a ledger writes before any command: the genesis's part of the state."""

from __future__ import annotations

from bpci_node.chain.account import account_id_of
from bpci_node.chain.assets import create_asset, credit
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.guardians import store_guardians, store_parameter
from bpci_node.chain.state import Overlay, State
from bpci_node.chain.targets import store_terms
from bpci_node.chain.vesting import VestingRecord, store_grant


def first_writes(genesis: Genesis) -> dict[bytes, bytes | None]:
    """Return state keys and values that are there before the first command; none in a genesis of version 1.

    The n-th allocation that vests, counted from 0 over all allocations, is the grant of that number, 16 bytes.
    """
    parameters = genesis.parameters
    if parameters is None:
        return {}
    state = Overlay(State.of())
    for rule in parameters.assets:
        create_asset(state, rule, parameters.supply(rule.id))
    for number, allocation in enumerate(parameters.allocations):
        if allocation.vesting is None:
            credit(state, allocation.to, allocation.asset, allocation.amount)
        else:
            record = VestingRecord(allocation.asset, allocation.amount, 0, allocation.vesting)
            store_grant(state, allocation.to, number.to_bytes(16), record)
    store_guardians(state, tuple(account_id_of(key) for key in genesis.guardians), genesis.threshold)
    for name in sorted(parameters.written):
        store_parameter(state, name, parameters.value(name))
    for terms in parameters.targets:
        store_terms(state, terms.target, terms, 0)
    return state.writes
