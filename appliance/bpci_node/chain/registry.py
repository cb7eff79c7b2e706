"""The registry of nodes: handlers of ``registry.*`` commands, and look-ups by account, key name and type.

A node is registered under the account that registers it: one account, one node, one key. Its key signs every
``registry.*`` command itself, which proves that whoever registers a key holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from bpci_node.chain.account import load_key_use
from bpci_node.chain.challenge import verify_challenge
from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import ACCOUNT_FORM, Empty, Spec, optional
from bpci_node.chain.registration import (
    ACTIVE,
    INSTANCE,
    NODE_TYPES,
    REGION,
    RETIRED,
    SUSPENDED,
    NodeRecord,
    NodeRegistration,
    load_node,
    node_entry,
    store_node,
    type_entry,
)
from bpci_node.chain.state import Overlay, State, View
from bpci_node.errors import FormatError, NotFoundError, RefusedError
from bpci_node.primitives.keys import public_key_of

MAX_PAGE = 1000
"""Most nodes of one answer."""


@dataclass(frozen=True, slots=True)
class InstanceRaise:
    """Body of ``registry.raise_instance``."""

    instance: Annotated[int, Spec(INSTANCE, "The instance that may sign from now on.")]


@dataclass(frozen=True, slots=True)
class Move:
    """Body of ``registry.move_node``."""

    region: Annotated[str | None, Spec(optional(REGION), "Where the node stands; null: it says nothing.")]


def register_node(state: Overlay, context: Context, body: NodeRegistration) -> list[Event]:
    """Register the node of the sender.

    Raises:
        RefusedError: signed by another key than the node's (``registry.node_key``), registered already
            (``registry.duplicate``), retired at this or a higher instance (``registry.instance``), or a challenge
            that is another key's (``registry.challenge``), expired or another ledger's.
        ProofError: the registry did not sign the challenge (``proof.signature``).
        FormatError: the challenge is none.
    """
    _require_possession(context, body)
    earlier = load_node(state, context.sender)
    require_unregistered(earlier, body.instance)
    _write(state, context, body, registered_height=context.height)
    return [_event("registry.node_registered", context.sender, body.instance)]


def update_node(state: Overlay, context: Context, body: NodeRegistration) -> list[Event]:
    """Replace the registration of the sender's node; its key may be another current one of the account.

    Raises:
        RefusedError: as :func:`register_node`, but not registered (``registry.unknown``) or retired
            (``registry.retired``) instead of registered already; the instance may stay or rise, never fall
            (``registry.instance``).
        ProofError: the registry did not sign the challenge (``proof.signature``).
        FormatError: the challenge is none.
    """
    _require_possession(context, body)
    earlier = active_node(state, context.sender)
    if body.instance < earlier.instance:
        raise _instance_too_low(earlier.instance)
    _write(state, context, body, registered_height=earlier.registered_height, region=earlier.region)
    return [_event("registry.node_updated", context.sender, body.instance)]


def retire_node(state: Overlay, context: Context, _body: Empty) -> list[Event]:
    """Retire the sender's node. Any key of the account may do it.

    Raises:
        RefusedError: not registered (``registry.unknown``), or retired already (``registry.retired``).
    """
    record = active_node(state, context.sender)
    changed = replace(record, status=RETIRED, updated_height=context.height)
    store_node(state, changed, version=context.version)
    return [_event("registry.node_retired", context.sender, record.instance)]


def raise_instance(state: Overlay, context: Context, body: InstanceRaise) -> list[Event]:
    """Make a higher instance of the sender's node the one that may sign.

    Raises:
        RefusedError: as :func:`own_node`; or not higher than the registered one (``registry.instance``).
    """
    record = own_node(state, context)
    if body.instance <= record.instance:
        raise _instance_too_low(record.instance + 1)
    changed = replace(record, instance=body.instance, updated_height=context.height)
    store_node(state, changed, version=context.version)
    return [_event("registry.instance_raised", context.sender, body.instance)]


def move_node(state: Overlay, context: Context, body: Move) -> list[Event]:
    """Say in which region the sender's node stands.

    Raises:
        RefusedError: as :func:`own_node`.
    """
    record = own_node(state, context)
    changed = replace(record, region=body.region, updated_height=context.height)
    store_node(state, changed, version=context.version)
    return [_event("registry.node_moved", context.sender, record.instance)]


def replace_node_key(state: Overlay, context: Context, old: bytes, new: bytes | None) -> None:
    """Let the registration of the sender's node follow a key that its owner replaces by ``new``.

    Raises:
        RefusedError: ``old`` is an active node's key and nothing takes its place (``registry.node_key``).
    """
    record = load_node(state, context.sender)
    if record is None or record.status == RETIRED or record.node_key != old:
        return
    if new is None:
        raise RefusedError(
            "this key is the node's own",
            code="registry.node_key",
            hint="Name a new key in the same command, or retire the node first.",
        )
    store_node(state, replace(record, node_key=new, updated_height=context.height), version=context.version)


def find_node(state: View, name: str) -> NodeRecord:
    """Return the node that ``name`` names: an account id, or the ``did:key`` of a current key of its account.

    Raises:
        NotFoundError: no such node (``registry.unknown``).
        FormatError: neither an account id nor a key's name (``format.did``).
    """
    account: str | None = name
    if ACCOUNT_FORM.fullmatch(name) is None:
        use = load_key_use(state, public_key_of(name))
        account = use.account if use is not None and use.revoked_height is None else None
    record = None if account is None else load_node(state, account)
    if record is None:
        raise NotFoundError("no node of that name is registered here", code="registry.unknown")
    return record


def list_nodes(
    state: State, *, node_type: str | None = None, status: str | None = None, after: str = "", limit: int = 100
) -> list[NodeRecord]:
    """Return nodes in order of their account ids.

    Args:
        node_type: only nodes of this type.
        status: only ``active`` or only ``retired`` ones.
        after: only accounts greater than this one: the last of the page before.
        limit: most nodes returned, 1 to 1000.
    Raises:
        FormatError: no such type (``format.node_type``), or ``after`` is no account id (``format.account``).
    """
    if node_type not in (None, *NODE_TYPES):
        raise FormatError(f"a node's type is one of {', '.join(NODE_TYPES)}", code="format.node_type")
    if after and ACCOUNT_FORM.fullmatch(after) is None:
        raise FormatError("a page begins after an account id", code="format.account")
    prefix = node_entry("") if node_type is None else type_entry(node_type, "")
    start = prefix + after.encode("ascii") if after else b""
    found: list[NodeRecord] = []
    for entry, _ in state.entries(prefix, after=start):
        record = load_node(state, entry.removeprefix(prefix).decode("ascii"))
        if record is not None and status in (None, record.status):
            found.append(record)
            if len(found) >= min(limit, MAX_PAGE):
                break
    return found


def _require_possession(context: Context, body: NodeRegistration) -> None:
    if body.node_key != context.key:
        raise RefusedError("a registration is signed by the key that it registers", code="registry.node_key")
    challenge = verify_challenge(
        body.challenge,
        body.challenge_sig,
        registry_key=context.genesis.registry_key,
        ledger_id=context.ledger_id,
        time_ms=context.time_ms,
    )
    if challenge.node_key != context.key:
        raise RefusedError("the challenge was issued to another key", code="registry.challenge")


def active_node(state: View, account: str) -> NodeRecord:
    """Return the active node of ``account``.

    Raises:
        RefusedError: it has none (``registry.unknown``, ``registry.retired``, ``registry.suspended``).
    """
    record = load_node(state, account)
    if record is None:
        raise RefusedError("this account has no registered node", code="registry.unknown")
    if record.status == SUSPENDED:
        raise _suspended(record)
    if record.status != ACTIVE:
        raise RefusedError(
            "this node has retired", code="registry.retired", hint="Register it again with a higher instance number."
        )
    return record


def own_node(state: View, context: Context) -> NodeRecord:
    """Return the active node of the sender, which signs with its own key.

    Raises:
        RefusedError: as :func:`active_node`; or signed by another key of the account (``registry.node_key``).
    """
    record = active_node(state, context.sender)
    if record.node_key != context.key:
        raise RefusedError("this command is signed by the node's own key", code="registry.node_key")
    return record


def require_unregistered(earlier: NodeRecord | None, instance: int) -> None:
    """Check that a node may be registered at this instance, given what is there.

    Raises:
        RefusedError: registered already (``registry.duplicate``), suspended (``registry.suspended``), or retired at
            this or a higher instance (``registry.instance``).
    """
    if earlier is None:
        return
    if earlier.status == SUSPENDED:
        raise _suspended(earlier)
    if earlier.status == ACTIVE:
        raise RefusedError(
            "this node is registered already",
            code="registry.duplicate",
            hint="Send registry.update_node to change its registration.",
        )
    if instance <= earlier.instance:
        raise _instance_too_low(earlier.instance + 1)


def _suspended(record: NodeRecord) -> RefusedError:
    until = 0 if record.suspension is None else record.suspension.until_height
    return RefusedError(
        f"this node is suspended up to height {until}",
        code="registry.suspended",
        hint="Its owner may end the suspension after that height; the registry may at any time.",
        until_height=until,
    )


def _write(
    state: Overlay, context: Context, body: NodeRegistration, *, registered_height: int, region: str | None = None
) -> None:
    record = NodeRecord(
        account=context.sender,
        node_key=body.node_key,
        node_type=body.node_type,
        flags=body.flags,
        capabilities=body.capabilities,
        endpoints=body.endpoints,
        report_digest=body.report_digest,
        instance=body.instance,
        status=ACTIVE,
        registered_height=registered_height,
        updated_height=context.height,
        region=region,
    )
    store_node(state, record, version=context.version)


def _instance_too_low(least: int) -> RefusedError:
    return RefusedError(
        f"a higher instance of this identity is registered; the next one is at least {least}",
        code="registry.instance",
        hint="Another machine runs under this identity, or did: raise the instance number only if it is gone.",
        least=least,
    )


def _event(kind: str, account: str, instance: int) -> Event:
    return Event(kind, {"account": account, "instance": instance})
