import json
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError
from bpci_node.host.report import report_digest
from bpci_node.host.result import Judgement, Verdict
from bpci_node.network import file as network_file
from bpci_node.network.client import NodeClient
from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner, did_of
from bpci_node.setup import journal, keystore, steps
from bpci_node.setup.answers import Answers
from bpci_node.setup.answers_file import from_document
from bpci_node.setup.ledger_steps import REPORT
from bpci_node.setup.run import Step
from bpci_node.setup.turn import COMPLETE, JOURNAL
from bpci_node.setup.unattended import Teller, make_plan, read_from, set_up
from tests.unit.setup.conftest import CHECKS, KEY, PASSWORD, PHRASE
from tests.unit.setup.simulated import SimulatedMachine


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phrases: list[str] = []
        self.disk_keys: list[str] = []

    @property
    def teller(self) -> Teller:
        return Teller(self.lines.append, self.phrases.append, self.disk_keys.append)


def go(
    machine: SimulatedMachine, answers: Answers, lines: Lines | None = None, files: dict[str, bytes] | None = None
) -> dict[str, Any]:
    plan = make_plan(machine.system, answers, read_from(files or {}, "answers.toml"))
    teller = (lines or Lines()).teller
    return set_up(machine.system, plan, answers.identity.phrase, teller, checks=CHECKS, **machine.run_options)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def secrets_in(root: Path, *secrets: bytes) -> list[Path]:
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_relative_to(root / "n")]
    return [path for path in files if any(secret in path.read_bytes() for secret in secrets)]


def test_answers_become_a_registered_node(machine: SimulatedMachine, answers: Answers) -> None:
    done = go(machine, answers)
    root = machine.root
    assert done["did"] == did_of(LocalSigner(derive_keys(PHRASE).node).public_key)
    assert done["urls"] == ["http://192.0.2.7:8545"]
    assert done["hardware"] == {"profile": "dev", "verdict": "pass"}
    assert (root / "etc/hostname").read_text() == "attic\n"
    assert "127.0.1.1\tattic" in (root / "etc/hosts").read_text()
    assert (root / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")
    assert 'XKBLAYOUT="de"' in (root / "etc/default/keyboard").read_text()
    assert (root / "home/ada/.ssh/authorized_keys").read_text() == KEY + "\n"
    assert machine.ran("systemctl", "enable", "ssh.service")
    assert mode(root / "etc/bpci/settings.toml") == 0o600
    assert mode(root / "etc/bpci/keys/node-key.cred") == 0o400
    assert (root / COMPLETE.lstrip("/")).exists()
    with NodeClient(machine.url) as client:
        status, record = client.status(), client.node(done["did"])["node"]
    assert status["node"]["registered"]
    assert (status["node"]["name"], record["node_type"]) == ("Attic", "hybrid")
    assert record["report_digest"] == "0x" + report_digest((root / REPORT.lstrip("/")).read_bytes()).hex()


def test_no_secret_is_written_anywhere(machine: SimulatedMachine, answers: Answers) -> None:
    lines = Lines()
    go(machine, answers, lines)
    keys = derive_keys(PHRASE)
    assert secrets_in(machine.root, PHRASE.strip().encode(), PASSWORD.encode(), keys.node, keys.registry) == []
    said = "\n".join(lines.lines)
    assert PASSWORD not in said
    assert "abandon" not in said
    for argv, stdin in machine.calls:
        assert PASSWORD not in " ".join(argv)
        assert PASSWORD.encode() not in stdin
    assert answers.owner.password_hash not in (machine.root / JOURNAL.lstrip("/")).read_text()


def test_a_new_identity_shows_its_phrase_once_and_keeps_it_nowhere(
    machine: SimulatedMachine, document: dict[str, Any]
) -> None:
    document["identity"] = {"mode": "create"}
    lines = Lines()
    done = go(machine, from_document(document, source="a"), lines)
    [phrase] = lines.phrases
    assert done["did"] == did_of(LocalSigner(derive_keys(phrase).node).public_key)
    assert secrets_in(machine.root, phrase.encode()) == []


@pytest.mark.parametrize(
    "stop", ["settings", "machine", "network", "owner", "node", "ssh", "start", "hardware", "register", "finish"]
)
def test_killed_before_a_step_it_goes_on_there(
    machine: SimulatedMachine, answers: Answers, stop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    kill_at(monkeypatch, stop, done)
    with pytest.raises(KeyboardInterrupt):
        go(machine, answers)
    kept = journal.load(machine.system)
    assert kept is not None
    assert kept.plan is not None
    assert kept.done == done
    assert secrets_in(machine.root, PHRASE.strip().encode(), PASSWORD.encode()) == []
    monkeypatch.undo()
    lines = Lines()
    result = set_up(machine.system, kept.plan, "", lines.teller, checks=CHECKS, **machine.run_options)
    assert result["did"] == did_of(LocalSigner(derive_keys(PHRASE).node).public_key)
    assert lines.phrases == []
    assert [line for line in lines.lines if line.endswith("done before")] != []
    assert (machine.root / COMPLETE.lstrip("/")).exists()


def test_killed_before_the_plan_is_forgotten_the_machine_is_set_up(
    machine: SimulatedMachine, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = journal.Journal.save

    def save_or_die(kept: journal.Journal) -> None:
        if kept.plan is None:
            raise KeyboardInterrupt
        save(kept)

    monkeypatch.setattr(journal.Journal, "save", save_or_die)
    with pytest.raises(KeyboardInterrupt):
        go(machine, answers)
    assert (machine.root / COMPLETE.lstrip("/")).exists()


def kill_at(monkeypatch: pytest.MonkeyPatch, stop: str, done: list[str]) -> None:
    """Let the run die, as by a signal, before the step ``stop``; ``done`` then has what came before."""
    every = steps.steps_for

    def watched(plan: Any) -> tuple[Step, ...]:
        def act(step: Step) -> Callable[..., None]:
            def do(run: Any) -> None:
                if step.id == stop:
                    raise KeyboardInterrupt
                step.do(run)
                done.append(step.id)

            return do

        return tuple(Step(step.id, step.title, act(step), step.holds, step.remedy) for step in every(plan))

    monkeypatch.setattr("bpci_node.setup.unattended.steps_for", watched)


def test_a_failed_step_is_journalled_with_what_to_do(machine: SimulatedMachine, answers: Answers) -> None:
    machine.failing["useradd"] = "useradd: cannot lock /etc/passwd; try again later."
    with pytest.raises(BpciError) as caught:
        go(machine, answers)
    assert caught.value.code == "host.command"
    kept = journal.load(machine.system)
    assert kept is not None
    assert kept.failure is not None
    assert (kept.failure["step"], kept.failure["hint"]) == ("owner", "Choose another login name, and try again.")
    assert not (machine.root / COMPLETE.lstrip("/")).exists()
    del machine.failing["useradd"]
    assert go(machine, answers)["account"].startswith("bpa1")


def test_an_owner_who_was_renamed_after_a_failure_leaves_no_account(
    machine: SimulatedMachine, document: dict[str, Any]
) -> None:
    passwd = machine.root / "etc/passwd"
    passwd.write_text(passwd.read_text() + "carol:x:1001:1001::/home/carol:/bin/bash\n")
    machine.failing["systemctl restart bpci-node"] = "Job for bpci-node.service failed."
    for name in ("carol", "ada", "bob"):
        document["owner"]["name"] = name
        with pytest.raises(BpciError):
            go(machine, from_document(document, source="a"))
    machine.failing.clear()
    go(machine, from_document(document, source="a"))
    # Carol was there before, and is not set-up's to take away.
    assert [line.split(":")[0] for line in passwd.read_text().splitlines()] == ["root", "carol", "bob"]
    assert machine.ran("userdel", "--force", "--remove", "ada")
    assert "made_owner" not in (machine.root / JOURNAL.lstrip("/")).read_text()


def test_after_an_interruption_a_new_identity_stays_the_one_that_was_shown(
    machine: SimulatedMachine, document: dict[str, Any]
) -> None:
    document["identity"] = {"mode": "create"}
    answers = from_document(document, source="a")
    machine.failing["hostname"] = "hostname: you must be root"
    first, second = Lines(), Lines()
    with pytest.raises(BpciError):
        go(machine, answers, first)
    machine.failing.clear()
    done = go(machine, from_document(document, source="a"), second)
    assert second.phrases == []
    assert done["did"] == did_of(LocalSigner(derive_keys(first.phrases[0]).node).public_key)


def test_without_systemd_creds_keys_are_plain_files_of_root(machine: SimulatedMachine, answers: Answers) -> None:
    machine.has_creds = False
    go(machine, answers)
    path = machine.root / "etc/bpci/keys/node-key.key"
    assert path.read_bytes() == derive_keys(PHRASE).node
    assert mode(path) == 0o400
    drop_in = (machine.root / "etc/systemd/system/bpci-node.service.d/credentials.conf").read_text()
    assert "LoadCredential=node-key:/etc/bpci/keys/node-key.key" in drop_in


def test_a_node_joins_the_network_of_another(
    machine: SimulatedMachine, answers: Answers, document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = SimulatedMachine(tmp_path_factory.mktemp("m"))
    try:
        go(other, answers)
        with NodeClient(other.url) as client:
            network = client.network()
        document["identity"] = {"mode": "create"}
        document["join"] = {"mode": "network", "network_url": other.url}
        done = go(machine, from_document(document, source="a"))
        assert done["ledger"] == network.ledger_id
        with NodeClient(other.url, network=network) as client:
            assert client.node(done["did"])["node"]["status"] == "active"
        assert done["reachable"] == "no"  # its node listens on another port here than the one that is registered
        assert not keystore.is_there(machine.system, keystore.REGISTRY_KEY)
    finally:
        other.stop()


def test_a_restored_identity_takes_the_next_instance_number(
    machine: SimulatedMachine, answers: Answers, document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = SimulatedMachine(tmp_path_factory.mktemp("m"))
    try:
        go(other, answers)
        with NodeClient(other.url) as client:
            found = client.network()
        network = json.dumps(
            network_file.NetworkFile(found.ledger_id, found.genesis_hash, found.registry_key, (other.url,)).as_json()
        )
        document["join"] = {"mode": "network", "network_file": "home.json"}
        done = go(machine, from_document(document, source="a"), files={"home.json": network.encode()})
        with NodeClient(other.url) as client:
            assert client.node(done["did"])["node"]["instance"] == 1
        assert "instance = 1" in (machine.root / "etc/bpci/node.toml").read_text()
    finally:
        other.stop()


def test_an_unreachable_registry_says_so_and_leaves_set_up_open(
    machine: SimulatedMachine, document: dict[str, Any]
) -> None:
    document["join"] = {"mode": "network", "network_url": "http://127.0.0.1:9"}
    with pytest.raises(BpciError) as caught:
        go(machine, from_document(document, source="a"))
    assert caught.value.code.startswith("unreachable.")
    assert caught.value.hint
    assert caught.value.status == 3
    assert not (machine.root / COMPLETE.lstrip("/")).exists()
    assert not (machine.root / "etc/bpci/node.toml").exists()


def test_a_network_without_an_address_names_the_cable(machine: SimulatedMachine, document: dict[str, Any]) -> None:
    machine.addresses = []
    (machine.root / "sys/class/net/eth0/carrier").write_text("0\n")
    document["join"] = {"mode": "network", "network_url": "http://192.0.2.9:8545"}
    with pytest.raises(BpciError, match="no network address") as caught:
        go(machine, from_document(document, source="a"))
    assert "no cable" in str(caught.value.hint)


def test_a_machine_below_its_profile_is_not_registered(machine: SimulatedMachine, answers: Answers) -> None:
    failing = replace(CHECKS[0], judge=lambda _measured, _profile: Judgement(Verdict.FAIL, "Buy one."))
    plan = make_plan(machine.system, answers, lambda _name: b"")
    with pytest.raises(BpciError) as caught:
        set_up(machine.system, plan, PHRASE, Lines().teller, checks=[failing], **machine.run_options)
    assert caught.value.code == "host.requirements"
    assert "Processors 8 (at least 8)" in caught.value.message


def test_installing_puts_everything_on_the_other_disk_and_goes_on_there(
    machine: SimulatedMachine, document: dict[str, Any]
) -> None:
    machine.boot_from_stick(("nvme0n1", "Samsung SSD 980", 1000))
    document["disk"] = {"install_to": "Samsung SSD 980:1000"}
    done = go(machine, from_document(document, source="a"))
    assert (done["restart"], done["disk"]) == (True, "nvme0n1")
    assert not (machine.root / "etc/bpci").exists()
    target = machine.root / "target"
    assert mode(target / "etc/bpci/keys/node-key.key") == 0o400
    assert secrets_in(machine.root, PHRASE.strip().encode(), PASSWORD.encode()) == []

    # The machine restarts from that disk: what was its data is now this machine's own.
    for name in ("etc", "var"):
        for path in (target / name).rglob("*"):
            if path.is_file():
                place = machine.root / path.relative_to(target)
                place.parent.mkdir(parents=True, exist_ok=True)
                path.rename(place)
    kept = journal.load(machine.system)
    assert kept is not None
    assert kept.plan is not None
    assert kept.goes_on == "unattended"
    there = set_up(machine.system, kept.plan, "", Lines().teller, checks=CHECKS, **machine.run_options)
    assert there["did"] == done["did"]
    assert not (machine.root / "etc/bpci/keys/node-key.key").exists()
    assert (machine.root / "etc/bpci/keys/node-key.cred").exists()


def test_a_disk_that_was_let_go_of_is_written_anew_by_another_run(
    machine: SimulatedMachine, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, keys = machine.root / "target", list[bytes]()

    def unmount(_argv: object, _stdin: bytes) -> None:
        keys.append((target / "etc/bpci/keys/node-key.key").read_bytes())
        shutil.rmtree(target)
        target.mkdir()

    monkeypatch.setattr(machine, "_umount", unmount, raising=False)
    machine.boot_from_stick(("nvme0n1", "Samsung SSD 980", 1000))
    document["disk"] = {"install_to": "Samsung SSD 980:1000"}
    document["identity"] = {"mode": "create"}
    for _ in range(2):
        go(machine, from_document(document, source="a"))
    assert len(keys) == len(set(keys)) == 2
    assert sum("install-disk" in argv[0] for argv, _ in machine.calls) == 2


def test_a_disk_that_can_not_be_written_is_named(machine: SimulatedMachine, document: dict[str, Any]) -> None:
    machine.boot_from_stick(("nvme0n1", "Samsung SSD 980", 1000))
    machine.failing["install-disk"] = "error: /dev/nvme0n1 is in use: nvme0n1p1\nhint: unmount what is on it"
    document["disk"] = {"install_to": "Samsung SSD 980:1000"}
    with pytest.raises(BpciError, match="failed: /dev/nvme0n1 is in use: nvme0n1p1") as caught:
        go(machine, from_document(document, source="a"))
    assert caught.value.hint == "unmount what is on it"
