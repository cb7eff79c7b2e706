"""``faucet.*``: grants out of the genesis's pool, on networks where BPI is worth nothing.

The pool is the governance wallet ``faucet``, so grants end where the genesis's allocation to it ends. Its operator
decides who is given something, within what is checked here: a wallet once, a registered node up to the maximum of its
type, both by governed parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from bpci_node.chain.account import account_id_of
from bpci_node.chain.assets import credit, debit, find_asset
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, AMOUNT, Spec, choice
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.guardians import load_parameter, require_quorum
from bpci_node.chain.parameters import NATIVE
from bpci_node.chain.registration import ACTIVE, load_node
from bpci_node.chain.state import Overlay, View
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import AccessError, RefusedError
from bpci_node.primitives.record import load_record, save_record

POOL = "faucet"
"""The governance wallet that pays."""
WALLET, NODE = PURPOSES = ("wallet", "node")
"""As what somebody is given something."""
PARAMETER_OF = {
    WALLET: "faucet_wallet",
    "bpi-community": "faucet_community",
    "bpci-enterprise": "faucet_enterprise",
    "hybrid": "faucet_hybrid",
}
"""The governed parameter with the most that a wallet, or a node of a type, is given."""

_OPERATOR_ENTRY = b"faucet-operator"


@dataclass(frozen=True, slots=True)
class Grant:
    """Body of ``faucet.grant``."""

    to: Annotated[str, Spec(ACCOUNT, "Who receives it; as a wallet, the account need not exist yet.")]
    purpose: Annotated[str, Spec(choice(*PURPOSES), "As what.")]
    amount: Annotated[int, Spec(AMOUNT, "How much, smallest unit of BPI.")]


@dataclass(frozen=True, slots=True)
class Appointment:
    """Body of ``faucet.set_operator``."""

    operator: Annotated[str, Spec(ACCOUNT, "Who grants from now on.")]


@dataclass(frozen=True, slots=True)
class Granted:
    """What one account was given so far, smallest unit of BPI."""

    wallet: int = 0
    """As a wallet, at one time."""
    node: int = 0
    """As a node, all grants together."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored."""
        return {"v": 1, "wallet": self.wallet, "node": self.node}


def grant(state: Overlay, context: Context, body: Grant) -> list[Event]:
    """Pay a grant out of the pool.

    Raises:
        RefusedError: on the mainnet (``faucet.mainnet``), as :func:`allowance_of`, more than is left to it
            (``faucet.amount``) or than is in the pool (``asset.balance``), or a ledger without BPI (``asset.unknown``).
        AccessError: not sent by the operator (``faucet.operator``).
    """
    require_test_network(context.genesis)
    if context.sender != load_operator(state, context.genesis):
        raise AccessError("only the faucet's operator grants", code="faucet.operator")
    find_asset(state, NATIVE)
    allowance = allowance_of(state, body.to, body.purpose)
    if body.amount > allowance:
        raise RefusedError(
            f"at most {allowance} is left to this {body.purpose}", code="faucet.amount", most=str(allowance)
        )
    debit(state, WALLETS[POOL], NATIVE, body.amount)
    credit(state, body.to, NATIVE, body.amount)
    earlier = load_granted(state, body.to)
    if body.purpose == WALLET:
        changed = replace(earlier, wallet=body.amount)
    else:
        changed = replace(earlier, node=earlier.node + body.amount)
    state.put(_entry(body.to), save_record(changed.as_map()))
    return [Event("faucet.granted", {"to": body.to, "purpose": body.purpose, "amount": body.amount})]


def set_operator(state: Overlay, context: Context, body: Appointment) -> list[Event]:
    """Appoint the faucet's operator.

    Raises:
        AccessError: too few guardians signed (``access.quorum``).
    """
    require_quorum(state, context)
    state.put(_OPERATOR_ENTRY, save_record({"v": 1, "account": body.operator}))
    return [Event("faucet.operator_set", {"account": body.operator})]


def require_test_network(genesis: Genesis) -> None:
    """Check that grants may be given on this network at all.

    Raises:
        RefusedError: it is the mainnet (``faucet.mainnet``).
    """
    if genesis.parameters is not None and genesis.parameters.network == "mainnet":
        raise RefusedError("there is no faucet on the mainnet", code="faucet.mainnet")


def load_operator(state: View, genesis: Genesis) -> str:
    """Return the account that grants: the registry's, unless the guardians appointed another."""
    data = state.get(_OPERATOR_ENTRY)
    return account_id_of(genesis.registry_key) if data is None else str(load_record(data)["account"])


def load_granted(state: View, account: str) -> Granted:
    """Return what an account was given so far."""
    data = state.get(_entry(account))
    if data is None:
        return Granted()
    stored = load_record(data)
    return Granted(stored["wallet"], stored["node"])


def allowance_of(state: View, account: str, purpose: str) -> int:
    """Return the most that an account may be given now as a wallet, or as a node; smallest unit of BPI.

    Raises:
        RefusedError: the wallet had its grant (``faucet.granted``), or there is no active node (``faucet.node``).
    """
    given = load_granted(state, account)
    if purpose == WALLET:
        if given.wallet:
            raise RefusedError("this wallet had its grant", code="faucet.granted")
        return load_parameter(state, PARAMETER_OF[WALLET])
    record = load_node(state, account)
    if record is None or record.status != ACTIVE:
        raise RefusedError(
            "this account has no active node", code="faucet.node", hint="Register the node first, or ask as a wallet."
        )
    return max(load_parameter(state, PARAMETER_OF[record.node_type]) - given.node, 0)


def _entry(account: str) -> bytes:
    return b"faucet/" + account.encode("ascii")
