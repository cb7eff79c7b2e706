"""What a proposal may carry: actions of the guardians' quorum, and the change of a parameter, which only it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from bpci_node.chain import authority_terms, emergency, faucet, targets, transfer, voucher
from bpci_node.chain.action import Action
from bpci_node.chain.context import Context, Event
from bpci_node.chain.epochs import LENGTH, plan_length
from bpci_node.chain.forms import Spec, choice, integer
from bpci_node.chain.guardians import store_parameter
from bpci_node.chain.parameters import PARAMETERS
from bpci_node.chain.state import Overlay
from bpci_node.errors import FormatError


@dataclass(frozen=True, slots=True)
class ParameterChange:
    """Body of the action ``governance.set_parameter``."""

    name: Annotated[str, Spec(choice(*PARAMETERS), "A governed parameter.")]
    value: Annotated[int, Spec(integer(), "Its value, within its range.")]


def check_change(body: ParameterChange) -> None:
    """Check that the value is within the parameter's range.

    Raises:
        FormatError: it is not (``format.body``).
    """
    rule = PARAMETERS[body.name]
    if not rule.low <= body.value <= rule.high:
        raise FormatError(f"{body.name} is from {rule.low} to {rule.high}", code="format.body")


def set_parameter(state: Overlay, context: Context, body: ParameterChange) -> list[Event]:
    """Change a governed parameter; another length of epochs is in force from the epoch after the next on."""
    if body.name == LENGTH:
        plan_length(state, context.ledger_ms, body.value)
    store_parameter(state, body.name, body.value)
    return [Event("governance.parameter_set", {"name": body.name, "value": body.value})]


_ACTIONS = (
    Action("asset.mint", transfer.Minting, transfer.mint_asset),
    Action("auction.halt", emergency.Cause, emergency.stop),
    Action("auction.resume", emergency.Cause, emergency.go_on),
    Action("auction.set_target", targets.TargetChange, targets.set_target, targets.check_change),
    Action("authority.grant", voucher.Candidate, authority_terms.grant_authority),
    Action("authority.revoke", authority_terms.AuthorityEnd, authority_terms.revoke_authority),
    Action("faucet.set_operator", faucet.Appointment, faucet.set_operator),
    Action("governance.set_parameter", ParameterChange, set_parameter, check_change),
    Action("wallet.distribute", transfer.Distribution, transfer.distribute),
    Action("wallet.spend", transfer.Spending, transfer.spend),
)
ACTIONS: Mapping[str, Action] = MappingProxyType({action.name: action for action in _ACTIONS})
"""Every kind of action, by name."""
