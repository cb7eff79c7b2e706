"""``registry.suspend_node`` and ``registry.resume_node``: the registry, or a quorum of the guardians, takes a node out.

A suspended node has no certificate, and can neither change, retire nor register again until it is resumed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from bpci_node.chain.account import account_id_of
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT, DIGEST, Spec, integer
from bpci_node.chain.guardians import require_quorum
from bpci_node.chain.registration import ACTIVE, RETIRED, SUSPENDED, Suspension, load_node, store_node
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import AccessError, RefusedError


@dataclass(frozen=True, slots=True)
class SuspensionOrder:
    """Body of ``registry.suspend_node``."""

    node: Annotated[str, Spec(ACCOUNT, "The node's account.")]
    cause: Annotated[bytes, Spec(DIGEST, "Digest of the statement of the cause.")]
    until_height: Annotated[int, Spec(integer(1), "After this height its owner may end the suspension.")]


@dataclass(frozen=True, slots=True)
class Resumption:
    """Body of ``registry.resume_node``."""

    node: Annotated[str, Spec(ACCOUNT, "The node's account.")]


def require_registry(state: View, context: Context) -> None:
    """Check that the registry speaks, or a quorum of the guardians.

    Raises:
        AccessError: neither (``access.quorum``).
    """
    if context.sender != account_id_of(context.genesis.registry_key):
        require_quorum(state, context)


def suspend_node(state: Overlay, context: Context, body: SuspensionOrder) -> list[Event]:
    """Suspend a node, or state cause and height of its suspension anew.

    Raises:
        AccessError: neither the registry nor a quorum signed it (``access.quorum``).
        RefusedError: no such node (``registry.unknown``), it has retired (``registry.retired``), or the height has
            passed (``registry.until``).
    """
    require_registry(state, context)
    record = load_node(state, body.node)
    if record is None:
        raise RefusedError("this account has no registered node", code="registry.unknown")
    if record.status == RETIRED:
        raise RefusedError("this node has retired", code="registry.retired")
    if body.until_height <= context.height:
        raise RefusedError("a suspension lasts beyond the block that begins it", code="registry.until")
    suspension = Suspension(body.cause, body.until_height)
    changed = replace(record, status=SUSPENDED, suspension=suspension, updated_height=context.height)
    store_node(state, changed, version=context.version)
    fields: dict[str, str | int | bytes] = {
        "account": body.node,
        "cause": body.cause,
        "until_height": body.until_height,
    }
    return [Event("registry.node_suspended", fields)]


def resume_node(state: Overlay, context: Context, body: Resumption) -> list[Event]:
    """End a suspension: the registry or the guardians at any time, the node's owner once its height has passed.

    Raises:
        RefusedError: the node is not suspended (``registry.not_suspended``).
        AccessError: neither the registry nor a quorum signed it, and it is too early for the owner, or the sender is
            not the owner (``access.quorum``).
    """
    record = load_node(state, body.node)
    if record is None or record.suspension is None:
        raise RefusedError("this node is not suspended", code="registry.not_suspended")
    is_over = context.height > record.suspension.until_height
    if not (is_over and context.sender == body.node):
        try:
            require_registry(state, context)
        except AccessError as error:
            if context.sender != body.node:
                raise
            raise AccessError(
                f"this node is suspended up to height {record.suspension.until_height}",
                code="access.quorum",
                hint="Its owner may end the suspension after that height.",
                until_height=record.suspension.until_height,
            ) from error
    changed = replace(record, status=ACTIVE, suspension=None, updated_height=context.height)
    store_node(state, changed, version=context.version)
    return [Event("registry.node_resumed", {"account": body.node})]
