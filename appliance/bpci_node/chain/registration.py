"""Registrations of nodes: what a node says of itself, and what the ledger keeps of it.

The report behind ``report_digest`` stays outside the ledger; its digest and the registry's challenge, over which it
was made, are what the ledger sees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bpci_node.chain.endpoint import MAX_CHARACTERS, is_endpoint
from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.derivation import MAX_INSTANCE
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.keys import did_of

NODE_TYPES = ("bpi-community", "bpci-enterprise", "hybrid")
"""Kinds of nodes: light registration, full registration, both."""

FLAGS = ("app_hosting", "validator", "bank_sponsored", "community_operated")
"""Names of the flags of a node, each true or false."""

MAX_CAPABILITIES, MAX_ENDPOINTS = 16, 8

ACTIVE, RETIRED = "active", "retired"

_NODE_TYPE_FORM = re.compile("|".join(NODE_TYPES))
_CAPABILITY_FORM = re.compile(r"[a-z0-9.-]{1,40}")
_ANY_TEXT = re.compile(rf"[\x21-\x7e]{{1,{MAX_CHARACTERS}}}")
_BODY = (
    "node_type",
    "node_key",
    "flags",
    "capabilities",
    "endpoints",
    "report_digest",
    "challenge",
    "challenge_sig",
    "instance",
)
_FORMAT = "format.body"


@dataclass(frozen=True, slots=True)
class NodeRegistration:
    """Body of ``registry.register_node`` and ``registry.update_node``: the whole description, every time."""

    node_type: str
    """One of :data:`NODE_TYPES`."""
    node_key: bytes
    """The node's Ed25519 key, 32 bytes; it must be the key that signs the command."""
    flags: dict[str, bool]
    """Every flag of :data:`FLAGS`."""
    capabilities: tuple[str, ...]
    """At most 16 different names of 1 to 40 characters ``a-z 0-9 . -``."""
    endpoints: tuple[str, ...]
    """At most 8 different URLs of at most 200 characters."""
    report_digest: bytes
    """Digest of the signed hardware report, 32 bytes."""
    challenge: bytes
    """The registry's challenge over which the report was made, encoded."""
    challenge_sig: bytes
    """The registry's signature of it, 64 bytes."""
    instance: int
    """Instance of the identity, 0 to 2**31 - 1; a re-created identity raises it."""

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return {
            "node_type": self.node_type,
            "node_key": self.node_key,
            "flags": dict(self.flags),
            "capabilities": list(self.capabilities),
            "endpoints": list(self.endpoints),
            "report_digest": self.report_digest,
            "challenge": self.challenge,
            "challenge_sig": self.challenge_sig,
            "instance": self.instance,
        }


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node as the state holds it."""

    account: str
    """The node's id: the account that registered it."""
    node_key: bytes
    """Its Ed25519 key, 32 bytes."""
    node_type: str
    """One of :data:`NODE_TYPES`."""
    flags: dict[str, bool]
    """Every flag of :data:`FLAGS`."""
    capabilities: tuple[str, ...]
    """As registered."""
    endpoints: tuple[str, ...]
    """As registered."""
    report_digest: bytes
    """Digest of its latest hardware report, 32 bytes."""
    instance: int
    """Instance of the identity that may sign for it."""
    status: str
    """``active`` or ``retired``."""
    registered_height: int
    """Height of the block that registered it."""
    updated_height: int
    """Height of the block that changed it last."""

    @property
    def did(self) -> str:
        """The ``did:key`` name of its key."""
        return did_of(self.node_key)

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        return {
            "v": 1,
            "account": self.account,
            "node_key": self.node_key,
            "node_type": self.node_type,
            "flags": dict(self.flags),
            "capabilities": list(self.capabilities),
            "endpoints": list(self.endpoints),
            "report_digest": self.report_digest,
            "instance": self.instance,
            "status": self.status,
            "registered_height": self.registered_height,
            "updated_height": self.updated_height,
        }


def parse_registration(body: dict[str, Any]) -> NodeRegistration:
    """Return the registration that a command's body holds.

    Raises:
        FormatError: a missing or unknown field, or one outside its form (``format.body``).
    """
    fields = Fields(body, _BODY, what="the body of a registration", code=_FORMAT)
    flags = Fields(fields.raw("flags"), FLAGS, what="the flags of a node", code=_FORMAT)
    endpoints = fields.texts("endpoints", _ANY_TEXT, "URLs", MAX_ENDPOINTS)
    for position, endpoint in enumerate(endpoints, start=1):
        if not is_endpoint(endpoint):
            raise fields.wrong(f"needs URLs such as http://192.0.2.5:8545 in 'endpoints'; number {position} is none")
    return NodeRegistration(
        node_type=fields.text("node_type", _NODE_TYPE_FORM, f"one of {', '.join(NODE_TYPES)}"),
        node_key=fields.blob("node_key", 32),
        flags={name: flags.flag(name) for name in FLAGS},
        capabilities=fields.texts("capabilities", _CAPABILITY_FORM, "names of a-z, 0-9, . and -", MAX_CAPABILITIES),
        endpoints=endpoints,
        report_digest=fields.blob("report_digest", 32),
        challenge=fields.blob_up_to("challenge", 512),
        challenge_sig=fields.blob("challenge_sig", 64),
        instance=fields.integer("instance", high=MAX_INSTANCE),
    )


def load_node(state: View, account_id: str) -> NodeRecord | None:
    """Return the record of the node of that account, ``None`` if it never registered."""
    data = state.get(node_entry(account_id))
    if data is None:
        return None
    stored = decode(data)
    return NodeRecord(
        account=stored["account"],
        node_key=stored["node_key"],
        node_type=stored["node_type"],
        flags=stored["flags"],
        capabilities=tuple(stored["capabilities"]),
        endpoints=tuple(stored["endpoints"]),
        report_digest=stored["report_digest"],
        instance=stored["instance"],
        status=stored["status"],
        registered_height=stored["registered_height"],
        updated_height=stored["updated_height"],
    )


def store_node(state: Overlay, record: NodeRecord) -> None:
    """Write ``record``, and its place in the index of types."""
    earlier = load_node(state, record.account)
    if earlier is not None and earlier.node_type != record.node_type:
        state.delete(type_entry(earlier.node_type, record.account))
    state.put(type_entry(record.node_type, record.account), b"")
    state.put(node_entry(record.account), encode(record.as_map()))


def node_entry(account_id: str) -> bytes:
    """Return the state key of a node's record."""
    return b"node/" + account_id.encode("ascii")


def type_entry(node_type: str, account_id: str) -> bytes:
    """Return the state key that says which type a node is of, so that a type can be listed; its value is empty."""
    return f"node-type/{node_type}/{account_id}".encode("ascii")
