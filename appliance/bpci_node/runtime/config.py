"""The node's one configuration file, TOML, read whole and checked before anything starts.

Invariants: unknown keys are errors, not warnings; a message names the file, the key and what was expected. What
:func:`dump` writes, :func:`parse` reads back to an equal value.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import tomli_w

from bpci_node.chain import registration
from bpci_node.errors import UsageError
from bpci_node.mempool.classes import QLOCK_MS
from bpci_node.mempool.limits import MAX_REPLACEMENT_PERCENT, PoolLimits
from bpci_node.primitives.derivation import MAX_INSTANCE
from bpci_node.primitives.names import NAME_FORM
from bpci_node.runtime.auction_config import AuctionSection, ValidatorSection, dump_tables, read_auction, read_validator
from bpci_node.runtime.faucet_section import FaucetSection, read_faucet
from bpci_node.runtime.table import TableReader

NODE_TYPES = registration.NODE_TYPES
NODE_FLAGS = registration.FLAGS
DEFAULT_PORT = 8545
DEFAULT_OWNER_SOCKET = Path("/run/bpci/owner.sock")
DEFAULT_FEE_BIN_WEI = 5_000_000_000
DEFAULT_GAS_LIMIT = 60_000_000
MIB = 1 << 20
POOL_LIMITS = PoolLimits()
NO_STATE = "none"
_RPC = "rpc:"


@dataclass(frozen=True, slots=True)
class NodeSection:
    """What is registered about the node."""

    name: str
    """For people, 1 to 64 printable characters."""
    type: str = "bpi-community"
    """One of ``NODE_TYPES``."""
    flags: tuple[str, ...] = ()
    """Of ``NODE_FLAGS``."""
    capabilities: tuple[str, ...] = ()
    """Free words, at most 16."""
    endpoints: tuple[str, ...] = ()
    """Base URLs at which others reach this node, at most 8."""
    instance: int = 0
    """Number of this instance of the identity, raised after a restore."""


@dataclass(frozen=True, slots=True)
class ApiSection:
    """Where the public API listens."""

    listen: str = "0.0.0.0"  # noqa: S104 - a node's public face; the firewall opens this one port
    """IP address."""
    port: int = DEFAULT_PORT
    """TCP port, 0 lets the system choose."""
    dashboard_port: int = 0
    """A further port of the same address for the node's pages; 0: none."""
    faucet_port: int = 0
    """A further port on which the faucet's page is the first one; 0: none."""


@dataclass(frozen=True, slots=True)
class OwnerSection:
    """The owner's door."""

    socket: Path = DEFAULT_OWNER_SOCKET
    """Path of the Unix socket."""
    group: str = "bpci-owner"
    """Group whose members may use it, beside root and the node's own user; empty for none."""


@dataclass(frozen=True, slots=True)
class LedgerSection:
    """The ledger that this node keeps itself, or belongs to."""

    mode: str = "embedded"
    """``embedded``: this node sequences its own ledger; ``network``: it belongs to one that others keep."""
    name: str = "devnet"
    """Name of the ledger (embedded)."""
    network_file: Path | None = None
    """Network file (network mode)."""
    genesis_file: Path | None = None
    """Genesis that a new ledger begins with (embedded); the program's own defaults without one."""
    snapshot_blocks: int = 10_000
    """After how many blocks a snapshot is made; 0: never by itself."""
    keep_blocks: int = 0
    """How many of the last blocks stay, besides all that follow the latest snapshot; 0: every block."""
    heartbeat_seconds: int = 60
    """Least time between two heartbeats that the node sends by itself; 0: it sends none."""


@dataclass(frozen=True, slots=True)
class KeysSection:
    """Where the node's keys come from: ``credential:NAME`` or ``file:/path``, 32 raw bytes each."""

    node: str = "credential:node-key"
    registry: str | None = None
    """Only in embedded mode."""


@dataclass(frozen=True, slots=True)
class TargetSection:
    """One chain whose block space is auctioned here."""

    id: str
    """CAIP-2, such as ``eip155:1``."""
    base_fee_wei: int
    """Named base fee per gas, wei."""
    fee_bin_wei: int = DEFAULT_FEE_BIN_WEI
    """Width of a fee bin, wei."""
    gas_limit: int = DEFAULT_GAS_LIMIT
    """Gas that one bundle may use."""
    region: int = 0
    """Region of the entries that arrive here, 0 (global) to 255."""
    qlock_ms: int = 100
    """Latency class of the entries that arrive here, one of ``QLOCK_MS``."""
    state: str = NO_STATE
    """Who says what senders have on the chain: ``none``, or ``rpc:URL`` of a node of it (JSON-RPC over HTTP)."""

    @property
    def chain_url(self) -> str | None:
        """URL of the chain's node that is asked, ``None`` for nobody."""
        return None if self.state == NO_STATE else self.state.removeprefix(_RPC)


@dataclass(frozen=True, slots=True)
class LimitsSection:
    """What one source, and all together, may ask of the public API."""

    body_bytes: int = 16 * MIB
    """Longest request body, bytes."""
    requests_per_second: int = 100
    """Sustained rate of one source address; twice as many in a burst."""
    entries_per_second: int = 10_000
    """Sustained rate of entries of one source address, over all its requests; twice as many in a burst."""
    connections: int = 512
    """Open connections, all sources together."""
    connections_per_source: int = 64
    """Open connections of one source address."""
    pool_entries: int = 100_000
    """Entries that wait, per target."""
    pool_bytes: int = 256 * MIB
    """Raw bytes of the entries that wait, per target."""
    per_sender: int = POOL_LIMITS.per_sender
    """Entries of one sender that wait, per target."""
    per_source: int = POOL_LIMITS.per_source
    """Entries from one source address that wait, per target."""
    per_bucket: int = POOL_LIMITS.per_bucket
    """Entries in one bucket."""
    replacement_percent: int = POOL_LIMITS.replacement_percent
    """How much more an entry pays than one that leaves because of it, at least."""


@dataclass(frozen=True, slots=True)
class JournalSection:
    """How long the node keeps what has left its pools."""

    keep_days: int = 30
    """Days for which an entry stays known after it left, and its receipt is answered for."""
    keep_bundles: int = 200_000
    """Bundles that stay, per target: 27 days of one every 12 seconds."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything that the owner decides about a node process."""

    state_dir: Path
    """Directory of the database and the node's other state."""
    node: NodeSection
    api: ApiSection = field(default_factory=ApiSection)
    owner: OwnerSection = field(default_factory=OwnerSection)
    ledger: LedgerSection = field(default_factory=LedgerSection)
    keys: KeysSection = field(default_factory=KeysSection)
    targets: tuple[TargetSection, ...] = ()
    """At least one."""
    limits: LimitsSection = field(default_factory=LimitsSection)
    journal: JournalSection = field(default_factory=JournalSection)
    faucet: FaucetSection = field(default_factory=FaucetSection)
    validator: ValidatorSection | None = None
    """A validator's keys; ``None`` for a node that is none."""
    auction: AuctionSection = field(default_factory=AuctionSection)


def load(path: Path) -> NodeConfig:
    """Read the configuration at ``path``.

    Raises:
        UsageError: ``config.file`` (can't be read), ``config.syntax`` (not TOML), ``config.key`` (missing or unknown
            key), ``config.value`` (wrong value).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot read the configuration {path}: {error.strerror}",
            code="config.file",
            hint="Name it with --config, or run 'bpci setup' to write one.",
            file=str(path),
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", code="config.syntax", file=str(path)) from error
    return parse(text, source=str(path))


def parse(text: str, *, source: str) -> NodeConfig:
    """Read a configuration from its text.

    Args:
        source: what messages call the file.
    Raises:
        UsageError: as :func:`load`.
    """
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{source} is not TOML: {error}", code="config.syntax", hint="Mend the line it names.", file=source
        ) from error
    reader = TableReader(source, "", value)
    reader.integer("v", 1, 1)
    config = NodeConfig(
        state_dir=reader.path("state_dir"),
        node=_node(reader.table("node", required=True)),
        api=_api(reader.table("api")),
        owner=_owner(reader.table("owner")),
        ledger=_ledger(reader.table("ledger")),
        keys=_keys(reader.table("keys")),
        targets=tuple(_target(item) for item in reader.tables("targets")),
        limits=_limits(reader.table("limits")),
        journal=_journal(reader.table("journal")),
        faucet=read_faucet(reader.table("faucet")),
        validator=read_validator(reader.table("validator"), is_there="validator" in value),
        auction=read_auction(reader.table("auction")),
    )
    reader.done()
    _check_whole(config, source)
    return config


def dump(config: NodeConfig) -> str:
    """Return the TOML text of ``config``, every key written out."""
    ledger: dict[str, Any] = {"mode": config.ledger.mode}
    if config.ledger.mode == "embedded":
        ledger["name"] = config.ledger.name
        if config.ledger.genesis_file is not None:
            ledger["genesis_file"] = str(config.ledger.genesis_file)
    else:
        ledger["network_file"] = str(config.ledger.network_file)
    ledger |= {name: getattr(config.ledger, name) for name in ("snapshot_blocks", "keep_blocks", "heartbeat_seconds")}
    keys = {"node": config.keys.node}
    if config.keys.registry is not None:
        keys["registry"] = config.keys.registry
    node = config.node
    return tomli_w.dumps(
        {
            "v": 1,
            "state_dir": str(config.state_dir),
            "node": {
                "name": node.name,
                "type": node.type,
                "flags": list(node.flags),
                "capabilities": list(node.capabilities),
                "endpoints": list(node.endpoints),
                "instance": node.instance,
            },
            "api": asdict(config.api),
            "owner": {"socket": str(config.owner.socket), "group": config.owner.group},
            "ledger": ledger,
            "keys": keys,
            "limits": asdict(config.limits),
            "journal": asdict(config.journal),
            "faucet": config.faucet.as_table(),
            "targets": [
                asdict(target) | {"base_fee_wei": str(target.base_fee_wei), "fee_bin_wei": str(target.fee_bin_wei)}
                for target in config.targets
            ],
            **dump_tables(config.validator, config.auction),
        }
    )


def _node(reader: TableReader) -> NodeSection:
    section = NodeSection(
        name=reader.text("name", None, r"[^\x00-\x1f\x7f]{1,64}", "1 to 64 printable characters"),
        type=reader.choice("type", "bpi-community", NODE_TYPES),
        flags=reader.texts("flags", len(NODE_FLAGS), "|".join(NODE_FLAGS)),
        capabilities=reader.texts("capabilities", registration.MAX_CAPABILITIES, r"[a-z0-9.-]{1,40}"),
        endpoints=reader.urls("endpoints", registration.MAX_ENDPOINTS),
        instance=reader.integer("instance", 0, MAX_INSTANCE, 0),
    )
    reader.done()
    return section


def _api(reader: TableReader) -> ApiSection:
    listen = reader.text("listen", ApiSection().listen)
    try:
        ip_address(listen)
    except ValueError:
        reader.wrong("listen", "an IP address such as 0.0.0.0, 127.0.0.1 or ::")
    section = ApiSection(
        listen=listen,
        port=reader.integer("port", 0, 65535, DEFAULT_PORT),
        dashboard_port=reader.integer("dashboard_port", 0, 65535, 0),
        faucet_port=reader.integer("faucet_port", 0, 65535, 0),
    )
    reader.done()
    return section


def _owner(reader: TableReader) -> OwnerSection:
    section = OwnerSection(
        socket=reader.path("socket", DEFAULT_OWNER_SOCKET),
        group=reader.text("group", "bpci-owner", r"([a-z_][a-z0-9_-]{0,31})?", "the name of a group, or empty"),
    )
    if len(os.fsencode(section.socket)) > 100:
        reader.wrong("socket", "a path of at most 100 bytes (a limit of Unix sockets)")
    reader.done()
    return section


def _ledger(reader: TableReader) -> LedgerSection:
    default = LedgerSection()
    mode = reader.choice("mode", "embedded", ("embedded", "network"))
    name, network_file, genesis_file = default.name, None, None
    if mode == "embedded":
        name = reader.text("name", "devnet", NAME_FORM.pattern, "a-z, 0-9 and -, at most 32")
        genesis_file = reader.optional_path("genesis_file")
    else:
        network_file = reader.path("network_file")
    section = LedgerSection(
        mode,
        name,
        network_file,
        genesis_file,
        snapshot_blocks=reader.integer("snapshot_blocks", 0, 10**9, default.snapshot_blocks),
        keep_blocks=reader.integer("keep_blocks", 0, 10**12, default.keep_blocks),
        heartbeat_seconds=reader.integer("heartbeat_seconds", 0, 86_400, default.heartbeat_seconds),
    )
    reader.done()
    return section


def _keys(reader: TableReader) -> KeysSection:
    form = r"credential:[A-Za-z0-9._-]+|file:/.+"
    expected = "credential:NAME or file:/path"
    registry = reader.text("registry", "", form + "|", expected)
    section = KeysSection(node=reader.text("node", KeysSection().node, form, expected), registry=registry or None)
    reader.done()
    return section


def _target(reader: TableReader) -> TargetSection:
    section = TargetSection(
        id=reader.text("id", None, r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}", "a CAIP-2 chain id such as eip155:1"),
        base_fee_wei=reader.amount("base_fee_wei", None),
        fee_bin_wei=reader.amount("fee_bin_wei", DEFAULT_FEE_BIN_WEI, least=1),
        gas_limit=reader.integer("gas_limit", 21_000, 10**12, DEFAULT_GAS_LIMIT),
        region=reader.integer("region", 0, 255, 0),
        qlock_ms=reader.integer("qlock_ms", min(QLOCK_MS), max(QLOCK_MS), 100),
        state=reader.text("state", NO_STATE, rf"{NO_STATE}|{_RPC}https?://[^\s@]{{1,200}}", "none or rpc:URL"),
    )
    if section.qlock_ms not in QLOCK_MS:
        reader.wrong("qlock_ms", "10, 20, 50 or 100")
    reader.done()
    return section


def _limits(reader: TableReader) -> LimitsSection:
    default = LimitsSection()
    section = LimitsSection(
        body_bytes=reader.integer("body_bytes", 64 * 1024, 1024 * MIB, default.body_bytes),
        requests_per_second=reader.integer("requests_per_second", 1, 1_000_000, default.requests_per_second),
        entries_per_second=reader.integer("entries_per_second", 1, 10_000_000, default.entries_per_second),
        connections=reader.integer("connections", 1, 100_000, default.connections),
        connections_per_source=reader.integer("connections_per_source", 1, 100_000, default.connections_per_source),
        pool_entries=reader.integer("pool_entries", 1, 10**9, default.pool_entries),
        pool_bytes=reader.integer("pool_bytes", 1, 2**50, default.pool_bytes),
        per_sender=reader.integer("per_sender", 1, 10**6, default.per_sender),
        per_source=reader.integer("per_source", 1, 10**9, default.per_source),
        per_bucket=reader.integer("per_bucket", 1, 10**9, default.per_bucket),
        replacement_percent=reader.integer(
            "replacement_percent", 1, MAX_REPLACEMENT_PERCENT, default.replacement_percent
        ),
    )
    reader.done()
    return section


def _journal(reader: TableReader) -> JournalSection:
    default = JournalSection()
    section = JournalSection(
        keep_days=reader.integer("keep_days", 1, 36_500, default.keep_days),
        keep_bundles=reader.integer("keep_bundles", 1, 10**9, default.keep_bundles),
    )
    reader.done()
    return section


def _check_whole(config: NodeConfig, source: str) -> None:
    whole = TableReader(source, "", {})
    if not config.targets:
        whole.wrong("targets", "at least one [[targets]] table")
    if len({target.id for target in config.targets}) != len(config.targets):
        whole.wrong("targets", "each target once")
    if config.ledger.mode == "embedded" and config.keys.registry is None:
        whole.wrong("keys.registry", "the registry's key, because ledger.mode is embedded")
    if config.faucet.enabled and config.faucet.key is None and config.keys.registry is None:
        whole.wrong("faucet.key", "the key of the faucet's operator, because this node has no registry key")
    if config.ledger.keep_blocks and not config.ledger.snapshot_blocks:
        whole.wrong("ledger.snapshot_blocks", "at least 1, because ledger.keep_blocks lets blocks go")
    if config.ledger.mode == "network" and config.keys.registry is not None:
        whole.wrong("keys.registry", "no registry key, because ledger.mode is network")
