"""``registry.heartbeat``: a node says that it lives, how it fares, and as which instance.

Whether a node is live follows from the heights of its heartbeats alone. On a ledger where nothing happens no block is
made, and nobody falls silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.context import Context, Event
from bpci_node.chain.forms import DIGEST, Spec
from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.registration import ACTIVE, INSTANCE, NodeRecord
from bpci_node.chain.registry import own_node
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import RefusedError
from bpci_node.primitives.record import load_record, save_record

LIVE, SILENT, UNSEEN = "live", "silent", "unseen"


@dataclass(frozen=True, slots=True)
class Beat:
    """Body of ``registry.heartbeat``."""

    health: Annotated[bytes, Spec(DIGEST, "Digest of what the node says of its health; the text stays outside.")]
    instance: Annotated[int, Spec(INSTANCE, "The instance that speaks.")]


@dataclass(frozen=True, slots=True)
class BeatRecord:
    """The last heartbeat of a node as the state holds it."""

    height: int
    """Height of the block that holds it."""
    time_ms: int
    """Time of that block, Unix milliseconds."""
    instance: int
    """The instance that spoke."""
    health: bytes
    """Digest of what it said of its health, 32 bytes."""
    count: int
    """How many heartbeats the node has sent, at least 1."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "height": self.height,
            "time_ms": self.time_ms,
            "instance": self.instance,
            "health": self.health,
            "count": self.count,
        }


def load_beat(state: View, account: str) -> BeatRecord | None:
    """Return the last heartbeat of a node, ``None`` if it never sent one."""
    data = state.get(_entry(account))
    if data is None:
        return None
    stored = load_record(data)
    return BeatRecord(stored["height"], stored["time_ms"], stored["instance"], stored["health"], stored["count"])


def beat(state: Overlay, context: Context, body: Beat) -> list[Event]:
    """Take a heartbeat.

    Raises:
        RefusedError: as :func:`own_node`; another instance than the registered one (``registry.instance``), or too
            soon after the last one (``registry.heartbeat_rate``).
    """
    record = own_node(state, context)
    if body.instance != record.instance:
        raise RefusedError(
            f"instance {record.instance} of this identity is registered",
            code="registry.instance",
            hint="Raise the instance only if the other machine is gone.",
            least=record.instance,
        )
    last, interval = load_beat(state, context.sender), load_parameter(state, "heartbeat_interval")
    if last is not None and context.height < last.height + interval:
        raise RefusedError(
            f"the next heartbeat may come at height {last.height + interval}",
            code="registry.heartbeat_rate",
            height=last.height + interval,
        )
    count = 1 if last is None else last.count + 1
    found = BeatRecord(context.height, context.time_ms, body.instance, body.health, count)
    state.put(_entry(context.sender), save_record(found.as_map()))
    return [Event("registry.node_alive", {"account": context.sender, "instance": body.instance})]


def liveness_of(state: View, record: NodeRecord, height: int) -> str:
    """Return ``live``, ``silent`` or ``unseen`` for an active node after block ``height``, else its status."""
    if record.status != ACTIVE:
        return record.status
    last = load_beat(state, record.account)
    # A node that registered again has yet to show itself.
    if last is None or last.height < record.registered_height:
        return UNSEEN
    return LIVE if height <= last.height + load_parameter(state, "heartbeat_patience") else SILENT


def _entry(account: str) -> bytes:
    return b"heartbeat/" + account.encode("ascii")
