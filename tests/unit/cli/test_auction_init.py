import json
from pathlib import Path

import pytest

from bpci_node.cli.main import main
from bpci_node.runtime.config import (
    ApiSection,
    KeysSection,
    LedgerSection,
    NodeConfig,
    NodeSection,
    OwnerSection,
    TargetSection,
    dump,
    load,
)


def call(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["auction", "init", "--mempool-type", "mx-verkle", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    made = NodeConfig(
        state_dir=tmp_path / "state",
        node=NodeSection(name="one", endpoints=("http://192.0.2.5:8545",)),
        api=ApiSection("127.0.0.1", 8545),
        owner=OwnerSection(tmp_path / "owner.sock", ""),
        ledger=LedgerSection("embedded", "testnet"),
        keys=KeysSection(f"file:{tmp_path / 'node.key'}", f"file:{tmp_path / 'registry.key'}"),
        targets=(TargetSection("eip155:1", 45_000_000, 10_000_000),),
    )
    path.write_text(dump(made))
    return path


def test_a_target_and_limits_are_written_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = load(config)
    wanted = ("--config", config, "--target", "eip155:10", "--base-fee", "1000000", "--commits-per-second", "500")
    status, out, _ = call(*wanted, "--json", capsys=capsys)
    assert (status, json.loads(out)["is_changed"]) == (0, True)
    after = load(config)
    assert [item.id for item in after.targets] == [*(item.id for item in before.targets), "eip155:10"]
    assert (after.targets[-1].base_fee_wei, after.auction.commits_per_second) == (1_000_000, 500)
    assert (after.node, after.api, after.ledger) == (before.node, before.api, before.ledger)
    text = config.read_text()
    status, out, _ = call(*wanted, "--json", capsys=capsys)
    assert (status, json.loads(out)["is_changed"], config.read_text()) == (0, False, text)


def test_what_is_there_stays_but_what_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = load(config).targets[0]
    status, out, _ = call("--config", config, "--target", target.id, "--gas-limit", "12000000", capsys=capsys)
    assert status == 0
    assert "start the node anew" in out
    found = load(config).targets[0]
    assert (found.gas_limit, found.base_fee_wei, found.fee_bin_wei) == (
        12_000_000,
        target.base_fee_wei,
        target.fee_bin_wei,
    )
    assert "as it was" in call("--config", config, capsys=capsys)[1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--target", "eip155:10"), "--base-fee"),
        (("--base-fee", "5"), "--target"),
        (("--target", "nonsense", "--base-fee", "5"), "targets"),
    ],
    ids=["no-fee", "no-target", "no-chain"],
)
def test_what_is_missing_or_wrong_changes_nothing(
    config: Path, arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = config.read_text()
    status, out, err = call("--config", config, *arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert reason in err
    assert config.read_text() == text


def test_joining_a_committee_needs_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["notary", "join-committee", "--config", str(tmp_path / "none.toml"), "--json"])
    assert caught.value.code == 2
    assert json.loads(capsys.readouterr().err)["code"] == "config.file"
