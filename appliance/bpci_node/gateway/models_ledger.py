"""The shapes of what the API says of the ledger; see :mod:`bpci_node.gateway.models`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from bpci_node.gateway.models import Amount, Hex, Strict, Version


class TokenRequest(Strict):
    """A question for an activation token; who asks is in the signature."""

    v: Version


class TokenReply(BaseModel):
    """An activation token; docs/spec/ledger.md."""

    v: Version
    token: Hex = Field(description="Signed by the registry, canonical CBOR.")


class GenesisReply(BaseModel):
    """The ledger's genesis; docs/spec/ledger.md."""

    v: Version
    ledger_id: str
    genesis: Hex = Field(description="Canonical CBOR.")


class SyncBlock(BaseModel):
    """A block as a follower takes it."""

    block: Hex = Field(description="The signed block, canonical CBOR.")
    commands: list[Hex] = Field(description="Its signed commands, canonical CBOR, in order.")


class BlocksReply(BaseModel):
    """One page of blocks; docs/spec/ledger-sync.md."""

    v: Version
    first: int = Field(description="Least height of which this node keeps a block, 0 if it has none.")
    checkpoint: Hex | None = Field(description="The sequencer's latest checkpoint that is known here.")
    blocks: list[SyncBlock]


class SnapshotReply(BaseModel):
    """What a snapshot is of."""

    height: int
    digest: Hex
    block: Hex = Field(description="Digest of the block.")
    state_root: Hex
    entries: int
    chunks: int
    bytes: int


class SnapshotsReply(BaseModel):
    """The snapshots that this node offers, in order of their heights."""

    v: Version
    snapshots: list[SnapshotReply]


class ManifestReply(BaseModel):
    """A snapshot's manifest; docs/spec/ledger-sync.md."""

    v: Version
    checkpoint: Hex
    block: Hex
    entries: int
    chunks: list[list[Any]] = Field(description="Digest and length of each chunk.")


class ChunkReply(BaseModel):
    """A snapshot's chunk."""

    v: Version
    entries: list[list[Hex]] = Field(description="Key and value of each entry, in ascending order of keys.")


class AssetReply(BaseModel):
    """An asset; amounts in its smallest unit."""

    v: Version
    id: str
    decimals: int
    cap: Amount
    genesis: Amount
    minted: Amount
    burned: Amount
    supply: Amount


class AssetsReply(BaseModel):
    """The table of assets, in order of their ids."""

    height: int
    assets: list[AssetReply]


class BalancesReply(BaseModel):
    """What an account may spend."""

    height: int
    account: str
    balances: dict[str, Amount] = Field(description="Asset to amount; what it has none of is missing.")


class LedgerEvent(BaseModel):
    """Something that a command brought about."""

    height: int
    position: int = Field(description="Of the command in its block, from 0.")
    number: int = Field(description="Of the event among those of its command, from 0.")
    kind: str
    fields: dict[str, Any] = Field(description="Amounts are decimal strings.")


class EventsReply(BaseModel):
    """One page of events in the order of the ledger."""

    events: list[LedgerEvent]
    next: str | None = Field(description="Give it as 'after' for the next page.")


class StateReply(BaseModel):
    """What stands at a state key, and the proof of it."""

    v: Version
    height: int
    key: Hex
    value: Hex | None = Field(description="null: nothing stands there, which is proved as well.")
    proof: Hex = Field(description="State proof, canonical CBOR.")
    signed_block: Hex = Field(description="To whose state_root the proof leads.")
    checkpoint: Hex | None = Field(description="The sequencer's latest checkpoint that is known here.")
