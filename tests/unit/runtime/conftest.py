"""Configurations and nodes in one process, with real stores, keys and ledgers."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.runtime.config import (
    ApiSection,
    KeysSection,
    LedgerSection,
    NodeConfig,
    NodeSection,
    OwnerSection,
    TargetSection,
)


def _key(path: Path) -> str:
    if not path.exists():
        path.write_bytes(os.urandom(32))
        path.chmod(0o600)
    return f"file:{path}"


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., NodeConfig]:
    """Return a configuration under the test's directory; keyword arguments replace its members."""

    def make(name: str = "one", **changes: object) -> NodeConfig:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        embedded = changes.get("ledger", LedgerSection()).network_file is None
        defaults = {
            "state_dir": home / "state",
            "node": NodeSection(name=name, endpoints=("http://127.0.0.1:8545",)),
            "api": ApiSection("127.0.0.1", 0),
            "owner": OwnerSection(home / "owner.sock", ""),
            "ledger": LedgerSection("embedded", "testnet"),
            "keys": KeysSection(_key(home / "node.key"), _key(home / "registry.key") if embedded else None),
            "targets": (TargetSection("eip155:1", 45_000_000, 10_000_000),),
        }
        return NodeConfig(**(defaults | changes))

    return make
