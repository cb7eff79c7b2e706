"""Backups of a real node into a real restic repository: made while it works, proved, damaged, restored."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bpci_node.auction.bundle import Bundle
from bpci_node.chain.account import account_id_of
from bpci_node.chain.certificate import verify_certificate
from bpci_node.errors import BpciError
from bpci_node.mempool.receipt import EntryReceipt
from bpci_node.primitives.derivation import derive_keys
from bpci_node.runtime.config import NodeConfig
from tests.integration.conftest import COMMAND, ENVIRONMENT, free_port
from tests.integration.test_registry_duties import submit

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
    (machine.root / "etc/bpci/ssh").mkdir()
    (machine.root / "etc/bpci/ssh/ssh_host_ed25519_key").write_text("of this machine")
    (machine.root / "var/lib/bpci/web/access").mkdir(parents=True)
    (machine.root / "var/lib/bpci/web/access/accounts.json").write_text("{}")
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
    assert there == {
        "manifest.json",
        "node.db",
        "etc/bpci/node.toml",
        "etc/bpci/alerts.toml",
        "etc/bpci/backup.toml",
        "var/lib/bpci/web/access/accounts.json",
    }
    assert not list((machine.root / "var/lib/bpci/backup").glob("scratch-*"))


def test_the_earlier_machine_and_the_restored_one_never_sign_two_different_things(
    machine: Machine, start: Callable[..., Any], raws: list[bytes], tmp_path: Path
) -> None:
    registry = start("registry")
    network_path = machine.root / "network.json"
    with registry.client() as client:
        network = client.network()
    network.save(network_path)
    for name in ("old", "new"):
        (machine.root / name).mkdir()
        (machine.root / name / "node.key").write_bytes(KEYS.node)
        (machine.root / name / "node.key").chmod(0o600)
    old = start("old", network_file=network_path)
    machine.adopt(old)
    receipts: list[EntryReceipt] = []
    bundles: list[bytes] = []

    def send(node: Any, part: list[bytes]) -> None:
        with node.client() as client:
            found = [EntryReceipt.decode(item.receipt) for item in client.submit_entries(T, part) if item.receipt]
        assert found
        receipts.extend(found)

    def seals(node: Any) -> str:
        """Seal, and return ``sealed`` or the code of the refusal."""
        with node.owner() as owner:
            try:
                bundles.append(owner.seal(T, gas_limit=500_000))
            except BpciError as error:
                return error.code
        return "sealed"

    with old.owner() as owner:
        owner.register()
    send(old, raws[:20])
    assert seals(old) == "sealed"
    machine.run("now")
    send(old, raws[20:40])
    assert seals(old) == "sealed"  # after the backup: the restored machine knows nothing of it

    second = Machine(tmp_path / "second", machine.repository)
    (second.root / "etc/bpci/backup.toml").write_bytes((machine.root / "etc/bpci/backup.toml").read_bytes())
    (second.root / "network.json").write_bytes(network_path.read_bytes())
    text = (machine.root / "etc/bpci/node.toml").read_text()
    (second.root / "etc/bpci/node.toml").write_text(text.replace("/old/state", "/state"))
    restored = second.run("restore", "--yes")
    assert restored["instance"] == 1

    def of_instance(config: NodeConfig) -> NodeConfig:
        return replace(config, node=replace(config.node, instance=restored["instance"]))

    new = start("new", network_file=network_path, state_dir=second.root / "state", adapt=of_instance)
    send(new, raws[20:60])
    assert seals(new) == "sign.instance"
    send(old, raws[40:60])
    assert seals(old) == "sealed"
    with new.owner() as owner:
        owner.register()
    for _ in range(1200):
        if (outcome := seals(new)) == "sealed":
            break
        assert outcome == "sign.instance"
        time.sleep(0.05)
    send(old, raws[60:80])
    for _ in range(1200):
        if (outcome := seals(old)) == "sign.instance":
            break
        assert outcome in ("sealed", "bundle.empty")
        time.sleep(0.05)
    assert seals(old) == "sign.instance"
    assert seals(new) in ("sealed", "bundle.empty")

    made = [Bundle.decode(data) for data in bundles]
    instances = [
        verify_certificate(
            bundle.certificate or b"", registry_key=network.registry_key, ledger_id=network.ledger_id
        ).instance
        for bundle in made
    ]
    assert set(instances) == {0, 1}
    places = [(number, bundle.header.sequence) for number, bundle in zip(instances, made, strict=True)]
    assert len(set(places)) == len(places)
    numbers = {(receipt.arrival_seq, receipt.running_hash) for receipt in receipts}
    assert len({number for number, _ in numbers}) == len(numbers)


def test_a_killed_backup_and_a_killed_restore_are_begun_again(
    machine: Machine, start: Callable[..., Any], raws: list[bytes]
) -> None:
    node = working(machine, start, raws)
    first = machine.run("now")
    for word, moment in (("now", "saving"), ("now", "copying"), ("drill", "restoring"), ("drill", "reading every")):
        process = machine.start_command(word)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(moment):
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    again = machine.run("now")
    assert machine.run("drill")["snapshot"] == again["snapshot"]
    assert first["snapshot"] in {item["id"] for item in machine.run("list")}
    assert not list((machine.root / "var/lib/bpci/backup").glob("scratch-*"))

    assert node.stop() == 0
    state = node.config.state_dir
    process = machine.start_command("restore", "--yes", "--take-over-ledger")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("computing"):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    found = machine.run("restore", "--yes", "--take-over-ledger")
    assert found["height"] == again["height"]
    assert Path(machine.root / found["earlier_state"]).is_dir()
    assert {path.name for path in state.iterdir()} == {"node.db", "guard"}
    assert [path.name for path in (state / "guard").iterdir()] == ["blocks"]


def test_a_machine_that_remembers_later_blocks_of_its_ledger_goes_on_from_no_earlier_one(
    machine: Machine, start: Callable[..., Any], raws: list[bytes]
) -> None:
    node = working(machine, start, raws)
    early = machine.run("now")
    with node.client() as client:
        nonce = int(client.account(account_id_of(node.signer.public_key))["nonce"])
        submit(client, node.signer, "registry.raise_instance", {"instance": 5}, nonce)
    late = machine.run("now")
    assert late["height"] > early["height"]
    assert machine.run("restore", "--yes", code=1)["code"] == "storage.locked"
    assert node.stop() == 0
    refused = machine.run("restore", "--yes", "--take-over-ledger", "--snapshot", early["snapshot"][:12], code=1)
    assert refused["code"] == "sign.rolled_back"
    moment = datetime.fromtimestamp(machine.run("list")[0]["time_ms"] / 1000 + 0.001, UTC).isoformat()
    assert machine.run("drill", "--snapshot", moment)["snapshot"] == early["snapshot"]
    restored = machine.run("restore", "--yes")
    assert (restored["height"], restored["instance"]) == (late["height"], 6)


def test_what_is_wrong_with_a_repository_is_named(
    machine: Machine, start: Callable[..., Any], raws: list[bytes]
) -> None:
    working(machine, start, raws).stop()
    machine.run("now")
    machine.key(bytes(32))
    for words in (("now",), ("list",), ("drill",)):
        assert machine.run(*words, code=1)["code"] == "backup.key"
    machine.key(KEYS.backup_key)
    away = machine.repository.with_name("away")
    machine.repository.rename(away)
    assert machine.run("now", code=1)["code"] == "backup.absent"
    assert machine.run("status", code=1)["failures"]["backup"]["code"] == "backup.absent"
    away.rename(machine.repository)
    assert machine.run("now")["height"] == machine.run("drill")["height"]
    assert machine.run("status")["failures"] == {}
    packs = [path for path in (machine.repository / "data").rglob("*") if path.is_file()]
    for path in packs:
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
    assert machine.run("drill", code=1)["code"] == "backup.damaged"


def test_the_drill_finds_a_database_that_was_damaged_before_it_was_saved(
    machine: Machine, start: Callable[..., Any], raws: list[bytes]
) -> None:
    node = working(machine, start, raws)
    assert node.stop() == 0
    database = node.config.state_dir / "node.db"
    connection = sqlite3.connect(database)
    (genesis,) = connection.execute("SELECT value FROM meta WHERE key = 'genesis'").fetchone()
    connection.execute("DELETE FROM meta WHERE key = 'genesis'")
    connection.commit()
    machine.run("now")
    assert machine.run("drill", code=1)["code"] == "backup.ledger"
    connection.execute("INSERT INTO meta (key, value) VALUES ('genesis', ?)", (genesis,))
    connection.execute("UPDATE state SET value = x'00' WHERE key = (SELECT max(key) FROM state)")
    connection.commit()
    connection.close()
    machine.run("now")
    assert machine.run("drill", code=1)["code"] == "storage.state_root"
    assert machine.run("status", code=1)["failures"]["drill"]["code"] == "storage.state_root"
    connection = sqlite3.connect(database)
    connection.execute("UPDATE gone SET txid = x'00'")
    connection.commit()
    connection.close()
    settings = machine.root / "etc/bpci/backup.toml"
    settings.write_text(re.sub(r"(?m)^(daily|weekly|monthly) = .*", r"\1 = 0", settings.read_text()))
    settings.write_text(settings.read_text().replace("last = 3", "last = 1"))
    machine.run("now")
    assert machine.run("drill", code=1)["code"] == "backup.database"
    # What may be the last good one does not go by itself.
    assert len(machine.run("list")) == 3
    assert machine.run("prune")["backups"] == 1


def test_a_server_that_only_takes_keeps_what_it_has_and_no_password_is_shown(
    machine: Machine, start: Callable[..., Any], raws: list[bytes]
) -> None:
    working(machine, start, raws)
    served, port, password = machine.root / "served", free_port(), "correct/horse@battery"
    address = f"rest:http://127.0.0.1:{port}/attic"
    credentials = machine.root / "server"

    def credit(word: str) -> None:
        credentials.write_text(f"REST_USERNAME=attic\nREST_PASSWORD={word}\n")
        credentials.chmod(0o600)

    # rclone speaks restic's protocol, append-only as rest-server does; its own password comes by the environment.
    server = subprocess.Popen(
        ["rclone", "serve", "restic", "--append-only", "--addr", f"127.0.0.1:{port}", "--user", "attic", served],
        env=os.environ | {"RCLONE_PASS": password, "RCLONE_CONFIG": os.devnull},
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        credit(password)
        assert machine.run("init", "--to", address, "--credentials", "/server", "--append-only")["new"]
        made = machine.run("now")
        assert machine.run("drill")["snapshot"] == made["snapshot"]
        assert machine.run("prune", code=1)["code"] == "backup.append_only"
        text = (machine.root / "etc/bpci/backup.toml").read_text()
        assert password not in text
        (machine.root / "etc/bpci/backup.toml").write_text(
            text.replace("append_only = true", "append_only = false").replace("last = 3", "last = 1")
        )
        assert machine.run("now", code=1)["code"] == "backup.append_only"
        assert len(machine.run("list")) == 2
        credit("wrong-" + password)
        process = machine.start_command("list")
        shown = "".join(process.communicate(timeout=120))
        assert process.returncode == 3, shown
        assert password not in shown
        assert "horse%40" not in shown
    finally:
        server.kill()
        server.wait()
    credit(password)
    assert machine.run("list", code=3)["code"] == "unreachable.backup"


def test_a_full_disk_is_named_and_the_next_backup_works(
    machine: Machine, start: Callable[..., Any], raws: list[bytes]
) -> None:
    working(machine, start, raws)
    place = machine.root / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    try:
        assert machine.run("init", "--to", str(place / "r"))["new"]
        free = os.statvfs(place)
        (place / "rest").write_bytes(bytes((free.f_bavail - 4) * free.f_frsize))
        assert machine.run("now", code=1)["code"] == "backup.room"
        assert machine.run("status", code=1)["failures"]["backup"]["code"] == "backup.room"
        (place / "rest").unlink()
        made = machine.run("now")
        assert machine.run("drill")["snapshot"] == made["snapshot"]
    finally:
        subprocess.run(["umount", place], check=True)
