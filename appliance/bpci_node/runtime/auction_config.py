"""What a node's configuration says of auctions: a validator's keys, and how much its auctions may take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bpci_node.runtime.table import TableReader

MAINNET, TESTNET = "mainnet", "testnet"
_KEY_FORM = r"credential:[A-Za-z0-9._-]+|file:/.+"
_KEY_EXPECTED = "credential:NAME or file:/path"


@dataclass(frozen=True, slots=True)
class ValidatorSection:
    """Where a validator's keys come from: ``credential:NAME`` or ``file:/path``, 32 raw bytes each."""

    bls: str
    """BLS12-381 secret, big-endian."""
    vrf: str
    """Seed of the VRF's key (RFC 8032)."""
    ml_dsa: str
    """Seed of the ML-DSA-44 key (FIPS 204)."""


@dataclass(frozen=True, slots=True)
class AuctionSection:
    """How much auctions may take of a validator."""

    mode: str = MAINNET
    """``mainnet``: bonds and payments are on the ledger. ``testnet``: nothing is reserved or moved, and what would have
    been paid is recorded in the node's own database; all validators of a network have the same mode."""
    commits_per_second: int = 100_000
    """Commits that the windows of one target and class take: a window of 10 ms a hundredth of it. Further ones are
    refused, not delayed."""
    peer_requests_per_second: int = 2_000
    """Sustained rate of requests for a notary from one source address; twice as many in a burst."""
    subscribers: int = 256
    """Open subscriptions to the stream."""
    subscribers_per_source: int = 16
    """Open subscriptions of one source address."""


def read_validator(reader: TableReader, *, is_there: bool) -> ValidatorSection | None:
    """Read the table ``[validator]``; a node without one is no validator."""
    if not is_there:
        return None
    bls, vrf, ml_dsa = (reader.text(name, None, _KEY_FORM, _KEY_EXPECTED) for name in ("bls", "vrf", "ml_dsa"))
    reader.done()
    return ValidatorSection(bls, vrf, ml_dsa)


def read_auction(reader: TableReader) -> AuctionSection:
    """Read the table ``[auction]``."""
    default = AuctionSection()
    section = AuctionSection(
        mode=reader.text("mode", default.mode, f"{MAINNET}|{TESTNET}", f"{MAINNET} or {TESTNET}"),
        commits_per_second=reader.integer("commits_per_second", 1, 10_000_000, default.commits_per_second),
        peer_requests_per_second=reader.integer(
            "peer_requests_per_second", 1, 1_000_000, default.peer_requests_per_second
        ),
        subscribers=reader.integer("subscribers", 1, 100_000, default.subscribers),
        subscribers_per_source=reader.integer("subscribers_per_source", 1, 100_000, default.subscribers_per_source),
    )
    reader.done()
    return section


def dump_tables(validator: ValidatorSection | None, auction: AuctionSection) -> dict[str, Any]:
    """Return the tables that are written for these sections."""
    keys = {} if validator is None else {"validator": asdict(validator)}
    return keys | {"auction": asdict(auction)}
