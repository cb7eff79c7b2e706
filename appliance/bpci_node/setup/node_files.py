"""The node's own files, as set-up writes them: configuration and network file."""

from __future__ import annotations

import json
from pathlib import Path

from bpci_node.network.file import NetworkFile
from bpci_node.runtime.config import (
    DEFAULT_PORT,
    KeysSection,
    LedgerSection,
    NodeConfig,
    NodeSection,
    TargetSection,
    dump,
)
from bpci_node.setup.answers import Answers

CONFIG = "/etc/bpci/node.toml"
NETWORK = "/etc/bpci/network.json"
STATE_DIR = "/var/lib/bpci/node"

ETHEREUM = TargetSection(id="eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000)
"""The chain that a new node auctions for: its bins are finer than the default, below which most of its bids lie."""


def own_endpoints(addresses: list[str]) -> tuple[str, ...]:
    """Return base URLs of this machine's addresses, at most two: what is registered unless the owner names others."""
    return tuple(f"http://{f'[{item}]' if ':' in item else item}:{DEFAULT_PORT}" for item in addresses[:2])


def config_text(answers: Answers, *, endpoints: tuple[str, ...], instance: int) -> str:
    """Return the node's configuration."""
    node, is_devnet = answers.node, answers.join.mode == "devnet"
    ledger = (
        LedgerSection("embedded", answers.join.name)
        if is_devnet
        else LedgerSection("network", network_file=Path(NETWORK))
    )
    return dump(
        NodeConfig(
            state_dir=Path(STATE_DIR),
            node=NodeSection(
                name=node.name,
                type=node.type,
                flags=() if node.type == "bpci-enterprise" else ("community_operated",),
                capabilities=node.capabilities,
                endpoints=endpoints,
                instance=instance,
            ),
            ledger=ledger,
            keys=KeysSection(registry="credential:registry-key" if is_devnet else None),
            targets=(ETHEREUM,),
        )
    )


def network_text(network: NetworkFile) -> str:
    """Return the network file as it is kept."""
    return json.dumps(network.as_json(), indent=2) + "\n"
