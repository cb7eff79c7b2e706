"""A machine that comes back from its phrase and its backup."""

from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError, UsageError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.derivation import derive_keys
from bpci_node.runtime.backup import config
from bpci_node.runtime.backup.work import Backups
from bpci_node.runtime.config import load
from bpci_node.setup import keystore
from bpci_node.setup.answers_file import from_document
from bpci_node.setup.restoring import raise_instance
from bpci_node.setup.system import System
from tests.unit.setup.conftest import PHRASE
from tests.unit.setup.simulated import SimulatedMachine
from tests.unit.setup.test_unattended import go


def keep_state_below(machine: SimulatedMachine) -> None:
    """Let the node's state lie where the configuration says, below the machine's root."""
    state = machine.root / "var/lib/bpci/node"
    state.mkdir(parents=True)
    (machine.node_directory / "state").symlink_to(state)


def test_a_clean_machine_comes_back_from_phrase_and_backup_with_its_own_ledger(
    machine: SimulatedMachine, document: dict[str, Any], tmp_path: Path
) -> None:
    keep_state_below(machine)
    first = go(machine, from_document(document, source="a"))
    (machine.root / "etc/bpci/alerts.toml").write_text("v = 1\n")
    key = keystore.open_key(machine.system, keystore.BACKUP_KEY)
    assert key == derive_keys(PHRASE).backup_key
    settings = config.BackupConfig(str(tmp_path / "repository"))
    backups = Backups(settings, key, root=machine.root, say=lambda _text: None)
    backups.restic.create()
    saved = backups.save(load(machine.root / "etc/bpci/node.toml"))
    machine.stop()

    clean = SimulatedMachine(tmp_path / "m")
    keep_state_below(clean)
    document["restore"] = {"repository": settings.repository}
    try:
        with pytest.raises(BpciError) as caught:
            go(clean, from_document(document, source="a"))
        assert caught.value.code == "backup.ledger"
        document["restore"]["take_over_ledger"] = True
        second = go(clean, from_document(document, source="a"))
        with NodeClient(clean.url) as client:
            record = client.node(second["did"])["node"]
        blocks = second["height"]
    finally:
        clean.stop()
    assert (second["did"], second["ledger"]) == (first["did"], first["ledger"])
    assert blocks > saved["height"] >= first["height"]
    assert record["instance"] == 1
    assert (clean.root / "etc/bpci/alerts.toml").read_text() == "v = 1\n"
    assert config.load(clean.root / "etc/bpci/backup.toml").repository == settings.repository


def test_a_backup_belongs_to_a_restored_identity(document: dict[str, Any]) -> None:
    document["identity"] = {"mode": "create"}
    document["restore"] = {"repository": "/mnt/disk"}
    with pytest.raises(UsageError) as caught:
        from_document(document, source="a")
    assert caught.value.details["key"] == "restore.repository"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[node]\nname = "a"\ninstance = 3\n', "instance = 7"),
        ('[node]\nname = "a"\n', "instance = 7"),
    ],
    ids=["there", "absent"],
)
def test_the_number_of_the_instance_is_raised_and_the_rest_stays(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "etc/bpci/node.toml"
    path.parent.mkdir(parents=True)
    rest = '[ledger]\nmode = "network"\nnetwork_file = "/n"\n# mine\n[[targets]]\nid = "eip155:1"\nbase_fee_wei = "1"\n'
    path.write_text(f'v = 1\nstate_dir = "/s"\n{text}{rest}')
    raise_instance(System(tmp_path), 7)
    assert line in path.read_text()
    assert path.read_text().endswith(rest)
    path.write_text("v = 1\n")
    with pytest.raises(UsageError):
        raise_instance(System(tmp_path), 8)
