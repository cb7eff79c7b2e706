"""The shapes of what the API says of auctions; see :mod:`bpci_node.gateway.models`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from bpci_node.gateway.models import Hex, Version


class AuctionHalt(BaseModel):
    """A halt: no window that opens in it takes commits, or is settled."""

    from_us: int = Field(description="Since when, ledger time.")
    until_us: int | None = Field(description="Up to when; null: it lasts.")


class AuctionOverview(BaseModel):
    """What is auctioned now, and by whom; docs/spec/auction.md."""

    v: Version
    ledger_id: str = Field(description="What commits and requests for bonds are signed for; in play, no ledger's.")
    mode: str = Field(description="`mainnet`, or `testnet`: nothing is reserved or moved.")
    time_us: int = Field(description="Ledger time of this validator: microseconds since genesis.")
    halt: AuctionHalt | None = Field(description="The guardians' last halt of the auctions; null: there never was one.")
    epoch: int
    begins_us: int
    ends_us: int
    seat: int | None = Field(description="This validator's seat in the epoch's committee.")
    committee: list[dict[str, Any]] = Field(description="`{account, endpoints}` by seat; the first one coordinates.")
    targets: list[dict[str, Any]] = Field(description="The terms of each target.")
    chains: dict[str, Any] = Field(description="Last final header of each target: `{sequence, digest}`.")
    last_event: int = Field(description="Number of the stream's last event.")


class CommitteeReply(BaseModel):
    """The committee of an epoch, as the ledger's state here has it."""

    v: Version
    committee: dict[str, Any] = Field(description="`{v, epoch, seats}`; docs/spec/ledger.md.")


class LinesReply(BaseModel):
    """What is reserved for a bidder."""

    v: Version
    epoch: int
    lines: list[dict[str, Any]] = Field(description="`{target, tier, reserved, free}`.")


class AuctionBatchReply(BaseModel):
    """What became of each item of a batch, in its order."""

    v: Version
    results: list[dict[str, Any]] = Field(description="`{receipt}` (canonical CBOR) or `{problem}`.")


class SetReply(BaseModel):
    """A certified set of commits."""

    v: Version
    commit_set: Hex = Field(description="Canonical CBOR.")
    certificate: dict[str, Any]
    commit_ids: list[Hex] = Field(description="In the order of the set.")


class WindowReply(BaseModel):
    """Where a window stands."""

    v: Version
    window: list[Any] = Field(description="Target, class in milliseconds, index.")
    epoch: int
    stage: str = Field(description="`open`, `certified`, `proposed`, `final` or `void`.")
    header: Hex | None = Field(description="Canonical CBOR, once there is one.")
    certificate: dict[str, Any] | None = Field(description="Of the header, once it is final.")


class BundlesReply(BaseModel):
    """Bundles of a target, in the order of its chain."""

    v: Version
    bundles: list[dict[str, Any]] = Field(description="`{sequence, digest, bytes}`.")


class AuctionBundleReply(BaseModel):
    """A bundle of version 2."""

    v: Version
    bundle: Hex = Field(description="Canonical CBOR; docs/spec/bundle.md.")


class AuctionEventsReply(BaseModel):
    """What the stream told."""

    v: Version
    first: int = Field(description="Number of the first event that is kept, 0 if there is none.")
    last: int
    events: list[dict[str, Any]] = Field(description="`{v, sequence, kind, target, data}`.")


class MessageReply(BaseModel):
    """A notary's answer to another validator; docs/spec/auction.md."""
