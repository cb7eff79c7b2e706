"""What a devnet is made of on disk: a directory with the first node's files, and one for each node that follows it."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bpci_node.cli.local import socket_of
from bpci_node.errors import UsageError

if TYPE_CHECKING:
    from bpci_node.runtime.config import KeysSection, LedgerSection, NodeConfig

MAX_NODES = 16
RPC_PORT, DASHBOARD_PORT, FAUCET_PORT = 8545, 8080, 3000
TARGET, BASE_FEE_WEI, FEE_BIN_WEI = "eip155:1", 45_000_000, 10_000_000
"""The chain whose entries it pools and auctions."""
DEVELOPER_COINS = 1_000_000
"""BPI that the developer's account has from the beginning."""
EPOCH_MS = 10_000
"""Length of an epoch of auctions: short, so that a seat comes within a minute."""
HEARTBEAT_SECONDS = 5
"""Often enough that a person who looks sees every node; each is still due by the ledger's height alone."""
_OWN_FILES = (
    "phrase.txt",
    "node.key",
    "registry.key",
    "developer.key",
    "genesis.cbor",
    "network.json",
    "node.toml",
    "node.log",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of a devnet on loopback; node n listens on ``base`` + n - 1."""

    base: int
    dashboard: int
    """Where the first node's pages are as well; 0: on its API's port alone."""
    faucet: int
    """Where its faucet's page is the first one; 0: nowhere else."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one node of a devnet."""

    home: Path
    """The devnet's directory."""
    number: int
    """1 for the node that sequences."""

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self.home if self.number == 1 else self.home / f"node-{self.number}"

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.directory / "node.toml"

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self.directory / "state"

    @property
    def log(self) -> Path:
        """Its log."""
        return self.directory / "node.log"

    @property
    def socket(self) -> Path:
        """Its owner's socket."""
        return socket_of(self.directory)

    def load(self) -> NodeConfig:
        """Return its configuration.

        Raises:
            UsageError: it can't be read (``config.*``).
        """
        from bpci_node.runtime.config import load

        return load(self.config)


def nodes_of(home: Path) -> list[Place]:
    """Return the places of the nodes that the devnet in ``home`` has, the first one first; none without a devnet."""
    places = [Place(home, number) for number in range(1, MAX_NODES + 1)]
    return [place for place in places if place.config.exists()]


def ports_of(home: Path) -> Ports | None:
    """Return the ports that the devnet in ``home`` had last, ``None`` if there is none."""
    try:
        api = Place(home, 1).load().api
    except UsageError:
        return None
    return Ports(api.port, api.dashboard_port, api.faucet_port)


def write_files(home: Path, port: int, *, ports: Ports | None = None) -> None:
    """Write the first node's keys and the ledger's genesis, once, and its configuration, anew.

    Args:
        port: of its API.
        ports: further ports that its pages are on.
    """
    from bpci_node.chain.account import account_id_of
    from bpci_node.chain.defaults import DECIMALS, community_target, default_parameters
    from bpci_node.chain.genesis import Genesis
    from bpci_node.chain.parameters import Allocation
    from bpci_node.primitives.keys import LocalSigner, derive_keys, new_phrase
    from bpci_node.runtime.config import KeysSection, LedgerSection, dump

    phrase_file, genesis_file = home / "phrase.txt", home / "genesis.cbor"
    if not phrase_file.exists():
        phrase, developer_key = new_phrase(os.urandom(32)), os.urandom(32)
        keys = derive_keys(phrase)
        _write_secret(home / "node.key", keys.node)
        _write_secret(home / "registry.key", keys.registry)
        _write_secret(home / "developer.key", developer_key)
        registry_key = LocalSigner(keys.registry).public_key
        parameters = default_parameters(registry_key)
        developer = account_id_of(LocalSigner(developer_key).public_key)
        funded = Allocation(developer, "BPI", DEVELOPER_COINS * 10**DECIMALS, None)
        genesis = Genesis(
            "devnet",
            registry_key,
            time.time_ns() // 1_000_000,
            replace(
                parameters,
                allocations=(*parameters.allocations, funded),
                values={"auction_epoch_ms": EPOCH_MS},
                targets=(community_target(TARGET, base_fee_wei=BASE_FEE_WEI, fee_bin_wei=FEE_BIN_WEI),),
            ),
        )
        genesis_file.write_bytes(genesis.encode())
        # Last, so that an interrupted first start makes a new phrase instead of keeping one without its keys.
        _write_secret(phrase_file, phrase.encode() + b"\n")
    config = _config_of(
        Place(home, 1),
        ports or Ports(port, 0, 0),
        # A devnet of an earlier version began without a file.
        LedgerSection(
            "embedded",
            "devnet",
            genesis_file=genesis_file if genesis_file.exists() else None,
            heartbeat_seconds=HEARTBEAT_SECONDS,
        ),
        KeysSection(f"file:{home / 'node.key'}", f"file:{home / 'registry.key'}"),
    )
    Place(home, 1).config.write_text(dump(config))


def validators_of(home: Path) -> list[Place]:
    """Return the places of the devnet's validators."""
    return [place for place in nodes_of(home) if place.load().validator is not None]


def write_follower(place: Place, ports: Ports, *, is_validator: bool = False) -> None:
    """Write a following node's keys, once, and its configuration, anew; the network file is there.

    Args:
        is_validator: let it serve in auctions; a node that was one stays one.
    """
    from bpci_node.cli.mining_place import MiningPlace, make_keys
    from bpci_node.runtime.config import KeysSection, LedgerSection, dump
    from bpci_node.setup.system import System

    place.directory.mkdir(mode=0o700, exist_ok=True)
    key_file = place.directory / "node.key"
    if not key_file.exists():
        _write_secret(key_file, os.urandom(32))
    is_validator = is_validator or (place.config.exists() and place.load().validator is not None)
    config = _config_of(
        place,
        Ports(ports.base, 0, 0),
        LedgerSection("network", network_file=place.home / "network.json", heartbeat_seconds=HEARTBEAT_SECONDS),
        KeysSection(f"file:{key_file}"),
    )
    if is_validator:
        config = replace(config, node=replace(config.node, flags=(*config.node.flags, "validator")))
        config = make_keys(MiningPlace(place.config, config, System()), None).config
    place.config.write_text(dump(config))


def remove_devnet(home: Path) -> None:
    """Remove what a devnet wrote, and its directory if nothing else is in it; none of its nodes runs.

    Raises:
        UsageError: a file can't be removed (``usage.file``).
    """
    try:
        for place in nodes_of(home):
            place.socket.unlink(missing_ok=True)
            if place.number > 1:
                shutil.rmtree(place.directory)
        if (home / "state").exists():
            shutil.rmtree(home / "state")
        for name in _OWN_FILES:
            (home / name).unlink(missing_ok=True)
        (home / "devnet.lock").unlink(missing_ok=True)
        if not any(home.iterdir()):
            home.rmdir()
    except OSError as error:
        raise UsageError(f"cannot remove {error.filename}: {error.strerror}", code="usage.file") from error


def _config_of(place: Place, ports: Ports, ledger: LedgerSection, keys: KeysSection) -> NodeConfig:
    from bpci_node.runtime.config import ApiSection, LimitsSection, NodeConfig, NodeSection, OwnerSection, TargetSection
    from bpci_node.runtime.faucet_section import FaucetSection

    port = ports.base + place.number - 1
    place.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return NodeConfig(
        state_dir=place.state,
        node=NodeSection(
            name="devnet" if place.number == 1 else f"devnet {place.number}",
            flags=("community_operated",),
            endpoints=(f"http://127.0.0.1:{port}",),
        ),
        api=ApiSection("127.0.0.1", port, dashboard_port=ports.dashboard, faucet_port=ports.faucet),
        owner=OwnerSection(socket=place.socket, group=""),
        ledger=ledger,
        keys=keys,
        targets=(TargetSection(id=TARGET, base_fee_wei=BASE_FEE_WEI, fee_bin_wei=FEE_BIN_WEI),),
        limits=LimitsSection(requests_per_second=1000),
        # On loopback there is nobody to be kept from taking it all.
        faucet=FaucetSection(enabled=place.number == 1, work_bits=12, grants_per_source=10_000),
    )


def _write_secret(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
