"""Registrations of nodes: what a node says of itself, and what the ledger keeps of it.

The report behind ``report_digest`` stays outside the ledger; its digest and the registry's challenge, over which it
was made, are what the ledger sees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from bpci_node.chain.endpoint import MAX_CHARACTERS, is_endpoint
from bpci_node.chain.forms import (
    DIGEST,
    PUBLIC_KEY,
    SIGNATURE,
    Form,
    Spec,
    blob_up_to,
    body_map,
    choice,
    flags,
    integer,
    text,
    texts,
)
from bpci_node.chain.state import Overlay, View
from bpci_node.primitives.derivation import MAX_INSTANCE
from bpci_node.primitives.fields import Fields
from bpci_node.primitives.keys import did_of
from bpci_node.primitives.record import load_record, save_record

NODE_TYPES = ("bpi-community", "bpci-enterprise", "hybrid")
"""Kinds of nodes: light registration, full registration, both."""

FLAGS = ("app_hosting", "validator", "bank_sponsored", "community_operated")
"""Names of the flags of a node, each true or false."""

MAX_CAPABILITIES, MAX_ENDPOINTS = 16, 8

ACTIVE, SUSPENDED, RETIRED = "active", "suspended", "retired"

REGION_FORM = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")
"""A region: 1 to 16 characters, such as ``eu-central``."""
CAPABILITY_FORM = re.compile(r"[a-z0-9.-]{1,40}")
_ANY_TEXT = re.compile(rf"[\x21-\x7e]{{1,{MAX_CHARACTERS}}}")


def _read_endpoints(fields: Fields, name: str) -> tuple[str, ...]:
    endpoints = fields.texts(name, _ANY_TEXT, "URLs", MAX_ENDPOINTS)
    for position, endpoint in enumerate(endpoints, start=1):
        if not is_endpoint(endpoint):
            raise fields.wrong(f"needs URLs such as http://192.0.2.5:8545 in {name!r}; number {position} is none")
    return endpoints


ENDPOINTS = Form(f"list of at most {MAX_ENDPOINTS} different URLs", _read_endpoints, list)


CAPABILITIES = texts(CAPABILITY_FORM, "names of 1 to 40 characters `a-z 0-9 . -`", MAX_CAPABILITIES)
REGION = text(REGION_FORM, "1 to 16 characters `a-z 0-9 -`")
INSTANCE = integer(0, MAX_INSTANCE)


@dataclass(frozen=True, slots=True)
class NodeRegistration:
    """Body of ``registry.register_node`` and ``registry.update_node``: the whole description, every time."""

    node_type: Annotated[str, Spec(choice(*NODE_TYPES), "Light registration, full registration, or both.")]
    node_key: Annotated[bytes, Spec(PUBLIC_KEY, "The node's Ed25519 key; it must be the key that signs the command.")]
    flags: Annotated[dict[str, bool], Spec(flags(FLAGS), "What kind of node it is.")]
    capabilities: Annotated[
        tuple[str, ...],
        Spec(CAPABILITIES, "What it can do."),
    ]
    endpoints: Annotated[tuple[str, ...], Spec(ENDPOINTS, "Where it is reached: URLs in the form below.")]
    report_digest: Annotated[bytes, Spec(DIGEST, "Digest of the signed hardware report.")]
    challenge: Annotated[bytes, Spec(blob_up_to(512), "The registry's challenge over which the report was made.")]
    challenge_sig: Annotated[bytes, Spec(SIGNATURE, "The registry's signature of it.")]
    instance: Annotated[int, Spec(INSTANCE, "Instance of the identity; a re-created identity raises it.")]

    def as_body(self) -> dict[str, Any]:
        """Return the body of the command."""
        return body_map(self)


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why a node is suspended, and for how long."""

    cause: bytes
    """Digest of the statement of the cause, 32 bytes."""
    until_height: int
    """After this height its owner may end the suspension."""

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored."""
        return {"cause": self.cause, "until_height": self.until_height}


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
    """``active``, ``suspended`` or ``retired``."""
    registered_height: int
    """Height of the block that registered it."""
    updated_height: int
    """Height of the block that changed it last."""
    region: str | None = None
    """Where it says it stands, ``None`` if it says nothing."""
    suspension: Suspension | None = None
    """There exactly when it is suspended."""

    @property
    def did(self) -> str:
        """The ``did:key`` name of its key."""
        return did_of(self.node_key)

    def as_map(self) -> dict[str, Any]:
        """Return the map that is stored, and of which JSON is a view."""
        # The lowest version that holds it, so that what version 1 wrote stays as it is.
        is_old = self.region is None and self.suspension is None
        suspension = None if self.suspension is None else self.suspension.as_map()
        stored = {
            "v": 1 if is_old else 2,
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
        return stored if is_old else stored | {"region": self.region, "suspension": suspension}


def load_node(state: View, account_id: str) -> NodeRecord | None:
    """Return the record of the node of that account, ``None`` if it never registered."""
    data = state.get(node_entry(account_id))
    if data is None:
        return None
    stored = load_record(data)
    suspension = stored.get("suspension")
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
        region=stored.get("region"),
        suspension=None if suspension is None else Suspension(suspension["cause"], suspension["until_height"]),
    )


def store_node(state: Overlay, record: NodeRecord, *, version: int) -> None:
    """Write ``record``, and its place in the indexes.

    Args:
        version: of the block: version 1 knows the index of types alone.
    """
    earlier = load_node(state, record.account)
    wanted = index_entries(record, version=version)
    if earlier is not None:
        for entry in index_entries(earlier, version=version):
            if entry not in wanted:
                state.delete(entry)
    for entry in wanted:
        state.put(entry, b"")
    state.put(node_entry(record.account), save_record(record.as_map()))


def index_entries(record: NodeRecord, *, version: int = 2) -> list[bytes]:
    """Return the state keys that list ``record``, each of them once, in a fixed order."""
    entries = [type_entry(record.node_type, record.account)]
    if version == 1:
        return entries
    facets = [("status", record.status)]
    facets += [("capability", name) for name in record.capabilities]
    facets += [("flag", name) for name in FLAGS if record.flags[name]]
    facets += [] if record.region is None else [("region", record.region)]
    return entries + [f"node-{facet}/{value}/{record.account}".encode("ascii") for facet, value in facets]


def node_entry(account_id: str) -> bytes:
    """Return the state key of a node's record."""
    return b"node/" + account_id.encode("ascii")


def type_entry(node_type: str, account_id: str) -> bytes:
    """Return the state key that says which type a node is of, so that a type can be listed; its value is empty."""
    return f"node-type/{node_type}/{account_id}".encode("ascii")
