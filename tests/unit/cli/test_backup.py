from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bpci_node.cli import backup_restore
from bpci_node.cli.backup import command
from bpci_node.errors import ProofError, StorageError
from bpci_node.host.restic import Snapshot
from bpci_node.primitives.derivation import derive_keys
from bpci_node.runtime.backup import config, restoring
from bpci_node.runtime.backup.contents import LedgerMark, Manifest
from bpci_node.runtime.backup.verify import Proof
from bpci_node.setup import keystore
from bpci_node.setup.system import System

PHRASE, OTHER = "abandon " * 23 + "art", "zoo " * 23 + "vote"


def test_a_wrong_phrase_takes_no_key_away_and_what_was_set_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore, "can_seal", lambda _system: False)  # the key of this host is no concern of tests
    repository, key = tmp_path / "repository", tmp_path / "etc/bpci/keys/backup-key.key"
    key.parent.mkdir(parents=True)

    def init(phrase: str) -> None:
        file = tmp_path / "phrase"
        file.write_text(phrase)
        words = ["init", "--to", str(repository), "--phrase-file", str(file), "--root", str(tmp_path), "--json"]
        command.main(words, standalone_mode=False)

    init(PHRASE)
    mine = derive_keys(PHRASE).backup_key
    assert key.read_bytes() == mine
    settings = tmp_path / "etc/bpci/backup.toml"
    settings.write_text(settings.read_text().replace("daily = 7", "daily = 90"))
    with pytest.raises(ProofError) as caught:
        init(OTHER)
    assert (caught.value.code, key.read_bytes()) == ("backup.key", mine)
    init(PHRASE)
    assert config.load(settings).retention.daily == 90


@pytest.mark.parametrize("name", ["init", "now", "drill", "restore"])
def test_a_machine_elsewhere_is_named_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A backup of 'machine' instead would hold paths that its manifest does not know.
    (tmp_path / "machine").mkdir()
    monkeypatch.chdir(tmp_path)
    given = ["--root", "machine", *(["--to", "/mnt/disk/bpci"] if name == "init" else [])]
    with command.commands[name].make_context(name, given) as context:
        assert context.params["root"] == tmp_path / "machine"


class Fetched:
    """Backups whose newest is of a node that never had a block."""

    @contextmanager
    def fetched(self, _snapshot: str) -> Iterator[tuple[Path, Snapshot, Proof]]:
        manifest = Manifest(1, "0.1.0", "", 4, LedgerMark("", is_own=False, height=0, block="", state_root=""), {})
        yield Path("/none"), Snapshot("ab" * 32, 1, "attic"), Proof(manifest, 0, "", 0, 0, 0, 4)


def test_a_restore_that_fails_leaves_the_node_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "etc/bpci/node.toml"
    file.parent.mkdir(parents=True)
    text = 'v = 1\nstate_dir = "/node"\n[node]\nname = "a"\ninstance = 3\n[ledger]\nmode = "network"\n'
    file.write_text(f'{text}network_file = "/n"\n[[targets]]\nid = "eip155:1"\nbase_fee_wei = "1"\n')
    (tmp_path / "node/guard").mkdir(parents=True)
    numbers: list[str] = []

    def full(*_: Any, **__: Any) -> None:
        numbers.extend(line for line in file.read_text().splitlines() if line.startswith("instance"))
        raise StorageError("full", code="storage.full")

    monkeypatch.setattr(restoring, "put_in_place", full)
    with pytest.raises(StorageError):
        backup_restore._replace(
            System(tmp_path),
            Fetched(),  # type: ignore[arg-type]
            "latest",
            takes_over=False,
            yes=True,
            finish=lambda: None,
        )
    assert numbers == ["instance = 5"]
    assert "instance = 3\n" in file.read_text()
