"""Backups of a real node into a real restic repository: made while it works, proved, damaged, restored."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.primitives.derivation import derive_keys
from tests.integration.conftest import COMMAND, ENVIRONMENT

T = "eip155:1"
PHRASE = "abandon " * 23 + "art"
KEYS = derive_keys(PHRASE)


class Machine:
    """A machine below a directory, whose node is a process of the fixture ``start``."""

    def __init__(self, root: Path, repository: Path) -> None:
        self.root, self.repository = root, repository
        (root / "etc/bpci/keys").mkdir(parents=True)
        self.key(KEYS.backup_key)

    def key(self, key: bytes) -> None:
        path = self.root / "etc/bpci/keys/backup-key.key"
        path.unlink(missing_ok=True)
        path.write_bytes(key)
        path.chmod(0o400)

    def adopt(self, node: Any) -> None:
        """Let the node's configuration be this machine's; its directories lie below the root."""
        text = (node.home / "node.toml").read_text()
        (self.root / "etc/bpci/node.toml").write_text(text.replace(str(self.root), ""))

    def start_command(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, "backup", *words, "--root", str(self.root)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0) -> Any:
        """Run ``bpci backup`` with ``--json``; return the document, or the problem if ``code`` is not 0."""
        process = self.start_command(*words, "--json")
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        return json.loads(out) if code == 0 or out else json.loads(err[err.index("{") :])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine whose root is the test's directory, with a repository made."""
    made = Machine(tmp_path, tmp_path / "usb" / "repository")
    (tmp_path / "usb").mkdir()
    assert made.run("init", "--to", str(made.repository))["new"]
    return made


def working(machine: Machine, start: Callable[..., Any], raws: list[bytes]) -> Any:
    """Start a node with the phrase's keys that has blocks, entries and a bundle."""
    home = machine.root / "a"
    home.mkdir()
    for name, seed in (("node.key", KEYS.node), ("registry.key", KEYS.registry)):
        (home / name).write_bytes(seed)
        (home / name).chmod(0o600)
    node = start("a")
    machine.adopt(node)
    with node.client() as client, node.owner() as owner:
        owner.register()
        client.submit_entries(T, raws[:40])
        owner.seal(T, gas_limit=1_000_000)
    return node


def test_a_backup_of_a_working_node_is_made_listed_and_proved(
    machine: Machine, start: Callable[..., Any], raws: list[bytes]
) -> None:
    node = working(machine, start, raws)
    (machine.root / "etc/bpci/alerts.toml").write_text("v = 1\n")
    (machine.root / "var/lib/prometheus/node-exporter").mkdir(parents=True)
    assert machine.run("status", code=1)["backup"] is None
    done = machine.run("now")
    with node.client() as client:
        status = client.status()
    assert (done["height"], "0x" + done["state_root"]) == (status["ledger"]["height"], status["ledger"]["root"])
    (listed,) = machine.run("list")
    assert listed["id"] == done["snapshot"]
    drilled = machine.run("drill")
    assert (drilled["height"], drilled["blocks"], drilled["bundles"]) == (done["height"], done["height"], 1)
    figures = (machine.root / "var/lib/prometheus/node-exporter/bpci_backup.prom").read_text()
    assert f"bpci_backup_last_success_timestamp_seconds {done['time_ms'] // 1000}\n" in figures
    assert "bpci_backup_failed 0\n" in figures
    found = machine.run("restore", "--to", str(machine.root / "look"))
    assert found["height"] == done["height"]
    there = {
        str(path.relative_to(machine.root / "look")) for path in (machine.root / "look").rglob("*") if path.is_file()
    }
    assert there == {"manifest.json", "node.db", "etc/bpci/node.toml", "etc/bpci/alerts.toml", "etc/bpci/backup.toml"}
    assert not list((machine.root / "var/lib/bpci/backup").glob("scratch-*"))
