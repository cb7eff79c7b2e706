"""The shapes of the API: what requests must look like, and what the OpenAPI document shows of replies.

Byte strings are ``0x`` hexadecimal in JSON and byte strings in CBOR; amounts are decimal strings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from bpci_node.errors import FormatError
from bpci_node.network.wire import bytes_of
from bpci_node.runtime.drain import MAX_SECONDS

MAX_BATCH = 5_000
"""Raw transactions of one batch."""
MAX_LOOKUP = 10_000
"""Entries of one look-up."""
MAX_MEASURE_BYTES = 16 << 20
"""Bytes of one measured transfer."""


def bytes_from(value: Any) -> bytes:
    """Return bytes from a byte string of CBOR, or its view in JSON.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, bytes):
        return value
    try:
        return bytes_of(value, what="it")
    except FormatError as error:
        raise ValueError(error.message) from error


def _hash(value: bytes) -> bytes:
    if len(value) != 32:
        raise ValueError("it must have 32 bytes")
    return value


_HEX_FORM = r"^0x([0-9a-f]{2})*$"
HEX_SCHEMA = WithJsonSchema({"type": "string", "pattern": _HEX_FORM})
Bytes = Annotated[bytes, BeforeValidator(bytes_from), HEX_SCHEMA]
Hash = Annotated[bytes, BeforeValidator(bytes_from), AfterValidator(_hash), HEX_SCHEMA]
Hex = Annotated[str, Field(pattern=_HEX_FORM)]
Amount = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,38})$")]
Target = Annotated[str, Field(pattern=r"^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$")]
Version = Literal[1]


class Strict(BaseModel):
    """A request: exactly these members, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Problem(BaseModel):
    """An error, RFC 9457."""

    type: str = Field(examples=["urn:bpci:error:entry.duplicate"])
    title: str = Field(description="What happened, one sentence.")
    status: int
    code: str = Field(description="Stable code; the list is in docs/spec/errors.md.")
    hint: str | None = Field(None, description="What to do next.")
    details: dict[str, Any] | None = None


class ChallengeRequest(Strict):
    """For whom a challenge is wanted."""

    node_key: str = Field(max_length=128, description="did:key of the asking node.")


class Challenge(BaseModel):
    """A challenge of the registry, good for ten minutes and for this key."""

    challenge: Hex
    signature: Hex


class CommandRequest(Strict):
    """A signed command, in JSON; in CBOR the body is the signed command itself."""

    command: Bytes


class CommandReply(BaseModel):
    """What became of a command."""

    height: int
    results: list[dict[str, Any]]


class ReachRequest(Strict):
    """Where the registry should try to reach the asking node."""

    port: int = Field(ge=1024, le=65535)


class ReachReply(BaseModel):
    """Whether the asking node answered there with its own key."""

    reachable: bool


class UploadReply(BaseModel):
    """What arrived."""

    bytes: int


class EntryRequest(Strict):
    """One raw transaction."""

    v: Version = 1
    target: Target
    raw: Bytes


class EntryReceipt(BaseModel):
    """A signed receipt: the entry is durable."""

    receipt: Hex = Field(description="docs/spec/mempool.md, canonical CBOR.")


class BatchRequest(Strict):
    """Raw transactions, in CBOR."""

    v: Version
    target: Target
    raws: list[Bytes] = Field(min_length=1, max_length=MAX_BATCH)


class BatchResult(BaseModel):
    """A receipt, or why there is none."""

    receipt: Hex | None = None
    error: Problem | None = None


class BatchReply(BaseModel):
    """One result for each raw transaction, in their order."""

    v: Version
    results: list[BatchResult]


class CancelRequest(Strict):
    """A signed cancellation; in CBOR its one encoding."""

    v: Version
    ledger_id: str = Field(max_length=128)
    target: Target
    txid: Hash
    arrival_seq: int = Field(ge=1, le=2**63 - 1)
    signature: Bytes = Field(description="65 bytes of an Ethereum sender (EIP-712), 64 of a native one (Ed25519).")


class CancelReply(BaseModel):
    """The entry has left its pool, durably."""

    txid: Hex
    arrival_seq: int
    state: Literal["cancelled"]


class LookupRequest(Strict):
    """Entries to look up, in CBOR."""

    v: Version
    target: Target
    txids: list[Hash] = Field(min_length=1, max_length=MAX_LOOKUP)


class EntryPlace(BaseModel):
    """Where an accepted entry is."""

    state: Literal["pooled", "sealed", "replaced", "cancelled", "evicted", "spent", "won"]
    arrival_seq: int
    bundle: int | None = Field(description="Sequence of the bundle that holds it.")


class LookupReply(BaseModel):
    """One place for each txid, null for one that was never accepted here."""

    v: Version
    results: list[EntryPlace | None]


class EntryStatus(EntryPlace):
    """An accepted entry, with its receipt."""

    target: str
    txid: Hex
    sender: Hex
    arrival_ms: int
    receipt: Hex


class NodeStatus(BaseModel):
    """Who answers."""

    did: str
    account: str
    name: str
    type: str
    registered: bool


class LedgerStatus(BaseModel):
    """Which ledger the node keeps or belongs to."""

    id: str
    mode: Literal["embedded", "network"]
    height: int | None = Field(description="Of the last block that this node has executed.")
    root: Hex | None
    lag: int | None = Field(description="Blocks that are known to be made and are not here; null if none is known.")
    heard_ms: int | None = Field(description="When a node of the network answered last; null: never, or none is asked.")
    stopped: Problem | None = Field(description="Why no block is taken any more; null while they are.")


class GuardStatus(BaseModel):
    """Whether the node may seal and order, as its registry and its ledger have it."""

    state: Literal["unconfigured", "configured", "proved", "expired", "deactivated"]
    expires_ms: int | None = Field(description="End of the activation token; null: there is no good one.")
    reason: Hex | None = Field(description="Digest of why the guardians deactivated the ledger; null: they did not.")
    failure: str | None = Field(description="Code with which the registry last gave no token; null: it gave one.")


class TargetStatus(BaseModel):
    """What waits for one target."""

    count: int
    bytes: int
    arrivals: int
    forgotten: int = Field(description="Entries that left and arrived up to this number may be forgotten.")
    base_fee_wei: Amount
    gas_limit: int
    funding: Literal["checked", "unchecked"]


class Status(BaseModel):
    """What anyone may know of a node."""

    v: Version
    version: str
    node: NodeStatus
    ledger: LedgerStatus
    guard: GuardStatus
    targets: dict[str, TargetStatus]
    time_ms: int


class Network(BaseModel):
    """The network file."""

    v: Version
    ledger_id: str
    genesis_hash: Hex
    registry_key: str
    urls: list[str]


class RegisteredNode(BaseModel):
    """A node as the ledger holds it."""

    v: Version
    account: str
    did: str
    node_key: Hex
    node_type: str
    flags: dict[str, bool]
    capabilities: list[str]
    endpoints: list[str]
    report_digest: Hex
    instance: int
    status: Literal["active", "retired"]
    registered_height: int
    updated_height: int


class NodeReply(BaseModel):
    """A node and the registry's certificate of it."""

    node: RegisteredNode
    certificate: Hex | None = Field(description="null for a retired node")


class NodesReply(BaseModel):
    """One page of nodes in order of their accounts."""

    nodes: list[RegisteredNode]
    next: str | None = Field(description="Give it as 'after' for the next page.")


class AccountReply(BaseModel):
    """An account."""

    v: Version
    id: str
    nonce: int
    keys: list[dict[str, Any]]


class BlockReply(BaseModel):
    """A block with its commands and their results."""

    block: dict[str, Any]
    digest: Hex
    signed_block: Hex
    commands: list[str]
    results: list[dict[str, Any]]


class Readiness(BaseModel):
    """Why a node is not ready; empty when it is."""

    ready: bool
    obstacles: list[Problem]


class SealRequest(Strict):
    """What to seal."""

    target: Target
    gas_limit: int | None = Field(None, ge=21_000, le=2**63 - 1)
    base_fee: Amount | None = None


class DrainRequest(Strict):
    """Within how many seconds the node is to be stopped."""

    seconds: int = Field(ge=0, le=MAX_SECONDS)


class RegisterRequest(Strict):
    """The hardware report that is named, and what is registered otherwise than the configuration says."""

    report_digest: Hash | None = None
    challenge: Bytes | None = None
    challenge_sig: Bytes | None = None
    node_type: Literal["bpi-community", "bpci-enterprise", "hybrid"] | None = None
    flags: list[Literal["app_hosting", "validator", "bank_sponsored", "community_operated"]] | None = None


class RegisterReply(BaseModel):
    """The certificate."""

    account: str
    certificate: Hex
