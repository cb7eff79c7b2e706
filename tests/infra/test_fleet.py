"""The play's last step over a fleet: answers for each machine, which leave no trace, and no second set-up."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.infra.container import ROOT, Container, booted, changed_copy
from tests.infra.native import ANSWERS, Play

pytestmark = [pytest.mark.infra, pytest.mark.timeout(1800)]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJDuBRkzBh0qRsdBbRbFhlTJ91xNvzGFoSdZKGHRKmSN owner"
PASSWORD = "fleet-Owner-2718"
FIRST_TASK = "Answer for the owner where a file does"


@pytest.fixture
def fleet(play: Play, tmp_path: Path) -> Callable[..., str]:
    """Run the play's last step on that root as a host of an inventory, and return what it said."""
    host = {
        "ansible_connection": "community.general.chroot",
        "ansible_host": str(play.root),
        "node_answers": "{{ inventory_dir }}/answers/{{ inventory_hostname }}.toml",
        "node_phrases": "{{ inventory_dir }}/phrases",
    }
    inventory = tmp_path / "fleet.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"node-1": host}}}))
    (tmp_path / "answers").mkdir()

    def run(answers: str, *options: str, status: int = 0) -> str:
        (tmp_path / "answers" / "node-1.toml").write_text(answers)
        return answer(inventory, play, *options, status=status)

    return run


def answer(inventory: Path, play: Play, *options: str, status: int = 0) -> str:
    """Run the play's last step on the machines of an inventory, and return what it said."""
    command = [f"{ROOT}/.venv/bin/ansible-playbook", "-i", str(inventory), "-e", f"node_wheelhouse={play.wheelhouse}"]
    done = subprocess.run(
        [*command, *options, "--start-at-task", FIRST_TASK, "site.yml"],
        cwd=ROOT / "ansible",
        env=os.environ | {"ANSIBLE_NOCOLOR": "1", "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_answers_are_for_one_machine_and_leave_no_trace(fleet: Callable[..., str], play: Play, tmp_path: Path) -> None:
    answers = ANSWERS.format(password=PASSWORD, key=KEY).replace('mode = "devnet"', 'mode = "none"')
    assert "must be a directory" in re.sub(r"\s+", " ", fleet(answers, status=2))
    phrases = tmp_path / "phrases"
    phrases.mkdir()

    wrong = fleet(answers, "-v", status=2)
    assert re.search("error: .*join.mode", wrong)
    assert PASSWORD not in wrong
    assert (phrases / "node-1.txt").stat().st_mode & 0o777 == 0o600
    assert not (play.root / "run" / "bpci-answers.toml").exists()


def test_a_machine_that_is_set_up_is_left_alone(fleet: Callable[..., str], play: Play, tmp_path: Path) -> None:
    (tmp_path / "phrases").mkdir()
    complete = play.root / "var" / "lib" / "bpci" / "setup" / "complete"
    complete.touch()
    try:
        assert re.search(r"changed=0 .*failed=0", fleet(ANSWERS.format(password=PASSWORD, key=KEY)))
    finally:
        complete.unlink()
    assert list((tmp_path / "phrases").iterdir()) == []


@pytest.mark.long
def test_a_fleet_of_machines_is_set_up_by_one_play(
    play: Play, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = ("node-1", "node-2")
    for directory in ("answers", "phrases"):
        (tmp_path / directory).mkdir()
    with ExitStack() as stack:
        hosts, machines = {}, {}
        for name in names:
            copy = stack.enter_context(changed_copy(play.copy.lower, changes=play.copy.changes))
            log = tmp_path_factory.mktemp(name) / "console.log"
            machine = stack.enter_context(booted(copy.root, log=log, own_network=True))
            text = ANSWERS.format(password=PASSWORD, key=KEY).replace('"native"', f'"{name}"')
            (tmp_path / "answers" / f"{name}.toml").write_text(text)
            machines[name], hosts[name] = machine, {"ansible_nsenter_pid": machine.leader}
        common = {
            "ansible_connection": "community.docker.nsenter",
            "node_answers": "{{ inventory_dir }}/answers/{{ inventory_hostname }}.toml",
            "node_phrases": "{{ inventory_dir }}/phrases",
        }
        inventory = tmp_path / "fleet.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
        said = answer(inventory, play)
        assert len(re.findall(r"failed=0 ", said)) == len(names)

        shown = {name: set_up_by_now(machines[name]) for name in names}
        assert {status["node"]["name"] for status in shown.values()} == set(names)
        assert len({status["node"]["did"] for status in shown.values()}) == len(names)
        phrases = {(tmp_path / "phrases" / f"{name}.txt").read_text() for name in names}
        assert len(phrases) == len(names)
        for phrase in phrases:
            assert len(re.findall(r"\b\d{1,2} [a-z]{3,8}\b", phrase)) == 24
            assert phrase.splitlines()[2] not in said

        again = answer(inventory, play)
        assert len(re.findall(r"changed=0 .*failed=0", again)) == len(names)
        assert {(tmp_path / "phrases" / f"{name}.txt").read_text() for name in names} == phrases


def set_up_by_now(machine: Container) -> Any:
    """Return what the node of a machine that was set up says, of which answers stand nowhere any more."""
    machine.run("test -e /var/lib/bpci/setup/complete && ! ls /run/bpci-answers.toml")
    return json.loads(machine.run("bpci node status --json"))


def test_the_example_names_answers_for_each_machine() -> None:
    command = [f"{ROOT}/.venv/bin/ansible-inventory", "-i", f"{ROOT}/ansible/inventory/fleet.example.yml", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["community"]["hosts"] == ["node-1", "node-2"]
    assert {host["node_answers"] for host in found["_meta"]["hostvars"].values()} == {
        "{{ inventory_dir }}/answers/{{ inventory_hostname }}.toml"
    }
