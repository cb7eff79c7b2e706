from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.errors import UsageError
from bpci_node.runtime.auction_config import AuctionSection, ValidatorSection
from bpci_node.runtime.config import (
    JournalSection,
    LedgerSection,
    LimitsSection,
    NodeConfig,
    NodeSection,
    TargetSection,
    dump,
    load,
    parse,
)
from bpci_node.runtime.key_files import read_key

WHOLE = """
v = 1
state_dir = "/var/lib/bpci/node"
[node]
name = "Zoë's node"
type = "hybrid"
flags = ["validator"]
capabilities = ["auction"]
endpoints = ["http://192.0.2.5:8545"]
[api]
listen = "::"
port = 9000
[owner]
socket = "/run/bpci/owner.sock"
group = ""
[ledger]
mode = "embedded"
name = "devnet"
[keys]
node = "credential:node-key"
registry = "file:/etc/bpci/keys/registry.key"
[[targets]]
id = "eip155:1"
base_fee_wei = "45000000"
fee_bin_wei = "10000000"
gas_limit = 30000000
"""

VALIDATOR = """
[validator]
bls = "file:/k/bls"
vrf = "file:/k/vrf"
ml_dsa = "credential:ml-dsa"
"""


def refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(text, source="node.toml")
    assert caught.value.details["file"] == "node.toml"
    return caught.value


def test_every_key_is_read() -> None:
    config = parse(WHOLE, source="node.toml")
    assert config.node == NodeSection(
        "Zoë's node", "hybrid", ("validator",), ("auction",), ("http://192.0.2.5:8545",), 0
    )
    assert (config.api.listen, config.api.port) == ("::", 9000)
    assert config.owner.group == ""
    assert config.targets == (TargetSection("eip155:1", 45_000_000, 10_000_000, 30_000_000),)
    assert config.limits == LimitsSection()
    assert config.journal == JournalSection()


def test_a_node_with_keys_of_a_validator_is_one_and_any_other_is_none() -> None:
    assert parse(WHOLE, source="node.toml").validator is None
    assert parse(WHOLE, source="node.toml").auction == AuctionSection()
    text = WHOLE + VALIDATOR + "[auction]\ncommits_per_second = 9\npeer_requests_per_second = 5\nsubscribers = 3\n"
    config = parse(text, source="node.toml")
    assert config.validator == ValidatorSection("file:/k/bls", "file:/k/vrf", "credential:ml-dsa")
    assert config.auction == AuctionSection(commits_per_second=9, peer_requests_per_second=5, subscribers=3)
    assert parse(dump(config), source="x") == config


def test_what_is_written_is_read_back(make_config: Callable[..., NodeConfig], tmp_path: Path) -> None:
    embedded = make_config()
    network = replace(
        embedded,
        ledger=LedgerSection("network", network_file=Path("/etc/bpci/network.json")),
        keys=replace(embedded.keys, registry=None),
    )
    for config in (embedded, network, parse(WHOLE, source="x")):
        path = tmp_path / "node.toml"
        path.write_text(dump(config))
        assert load(path) == config


@pytest.mark.parametrize(
    ("old", "new", "code", "key"),
    [
        ('name = "Zoë\'s node"', "", "config.key", "node.name"),
        ('name = "Zoë\'s node"', 'name = ""', "config.value", "node.name"),
        ('type = "hybrid"', 'type = "other"', "config.value", "node.type"),
        ('flags = ["validator"]', 'flags = ["admin"]', "config.value", "node.flags"),
        ('endpoints = ["http://192.0.2.5:8545"]', 'endpoints = ["ftp://x"]', "config.value", "node.endpoints"),
        ('listen = "::"', 'listen = "localhost"', "config.value", "api.listen"),
        ("port = 9000", "port = 70000", "config.value", "api.port"),
        ("port = 9000", "port = true", "config.value", "api.port"),
        ("port = 9000", "prot = 9000", "config.key", "api.prot"),
        ('socket = "/run/bpci/owner.sock"', 'socket = "owner.sock"', "config.value", "owner.socket"),
        ('socket = "/run/bpci/owner.sock"', f'socket = "/{"x" * 120}"', "config.value", "owner.socket"),
        ('mode = "embedded"', 'mode = "network"', "config.key", "ledger.network_file"),
        ('name = "devnet"', 'name = "Dev Net"', "config.value", "ledger.name"),
        ('node = "credential:node-key"', 'node = "node-key"', "config.value", "keys.node"),
        ('registry = "file:/etc/bpci/keys/registry.key"', "", "config.value", "keys.registry"),
        ('id = "eip155:1"', 'id = "ethereum"', "config.value", "targets[0].id"),
        ('base_fee_wei = "45000000"', "base_fee_wei = 45000000", "config.value", "targets[0].base_fee_wei"),
        ('fee_bin_wei = "10000000"', 'fee_bin_wei = "0"', "config.value", "targets[0].fee_bin_wei"),
        ("[[targets]]", "[targets]", "config.value", "targets"),
        ("[[targets]]", "[limits]\nper_sender = 0\n[[targets]]", "config.value", "limits.per_sender"),
        ("[[targets]]", "[journal]\nkeep_days = 0\n[[targets]]", "config.value", "journal.keep_days"),
        ("[[targets]]", "[journal]\nkeep_weeks = 1\n[[targets]]", "config.key", "journal.keep_weeks"),
        ("[[targets]]", '[validator]\nbls = "file:/k/bls"\n[[targets]]', "config.key", "validator.vrf"),
        ("[[targets]]", "[auction]\nsubscribers = 0\n[[targets]]", "config.value", "auction.subscribers"),
        ("[[targets]]", "[auction]\nwindows = 1\n[[targets]]", "config.key", "auction.windows"),
        ("[[targets]]", "[limits]\nreplacement_percent = 0\n[[targets]]", "config.value", "limits.replacement_percent"),
        ('id = "eip155:1"', 'id = "eip155:1"\nregion = 256', "config.value", "targets[0].region"),
        ('id = "eip155:1"', 'id = "eip155:1"\nqlock_ms = 30', "config.value", "targets[0].qlock_ms"),
        ('id = "eip155:1"', 'id = "eip155:1"\nstate = "http://x"', "config.value", "targets[0].state"),
        ("v = 1", "v = 2", "config.value", "v"),
        ("v = 1", "", "config.key", "v"),
        ("v = 1", "v = 1\nextra = 1", "config.key", "extra"),
        ('state_dir = "/var/lib/bpci/node"', 'state_dir = "here"', "config.value", "state_dir"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_was_expected(old: str, new: str, code: str, key: str) -> None:
    assert old in WHOLE
    error = refusal(WHOLE.replace(old, new, 1))
    assert (error.code, error.details["key"]) == (code, key)
    assert key in error.message


def test_a_target_named_twice_is_refused() -> None:
    again = WHOLE + '[[targets]]\nid = "eip155:1"\nbase_fee_wei = "1"\n'
    assert refusal(again).details["key"] == "targets"


def test_text_that_is_not_toml_is_refused() -> None:
    assert refusal("v = = 1").code == "config.syntax"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "absent.toml")
    assert caught.value.code == "config.file"
    assert "absent.toml" in caught.value.message


def test_a_key_file_is_32_private_bytes(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(b"k" * 32)
    path.chmod(0o600)
    assert read_key(f"file:{path}", key="keys.node") == b"k" * 32
    path.chmod(0o400)
    assert read_key(f"file:{path}", key="keys.node") == b"k" * 32


@pytest.mark.parametrize(("size", "mode"), [(31, 0o600), (33, 0o600), (32, 0o644), (32, 0o640)])
def test_a_key_file_of_other_size_or_open_to_others_is_refused(tmp_path: Path, size: int, mode: int) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(b"k" * size)
    path.chmod(mode)
    with pytest.raises(UsageError) as caught:
        read_key(f"file:{path}", key="keys.node")
    assert caught.value.code == "config.key_file"
    assert "kkk" not in caught.value.message


def test_credentials_come_from_the_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "node-key").write_bytes(b"c" * 32)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_key("credential:node-key", key="keys.node") == b"c" * 32
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(UsageError) as caught:
        read_key("credential:node-key", key="keys.node")
    assert caught.value.hint
