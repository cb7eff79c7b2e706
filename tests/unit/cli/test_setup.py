import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner

from bpci_node.cli import console as console_command
from bpci_node.cli import machine as machine_command
from bpci_node.cli import setup as setup_command
from bpci_node.cli.main import main
from bpci_node.setup import system as system_module
from bpci_node.setup.media import ANSWERS, Medium
from bpci_node.setup.system import System
from bpci_node.setup.turn import COMPLETE, Turn
from tests.unit.setup.conftest import KEY, PASSWORD, PHRASE
from tests.unit.setup.simulated import SimulatedMachine

DOCUMENT: dict[str, Any] = {
    "v": 1,
    "owner": {"password": PASSWORD},
    "identity": {"mode": "restore", "phrase": PHRASE},
    "node": {"hardware_profile": "dev"},
    "join": {"mode": "devnet"},
}


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.toml"
    path.write_text(tomli_w.dumps(DOCUMENT))
    return path


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    return SimulatedMachine(tmp_path)


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["setup", *arguments])
    return int(ended.value.code or 0)


def test_a_dry_run_shows_the_plan_and_writes_nothing(answers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(answers.parent.iterdir())
    assert call("--answers", str(answers), "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["plan"]["Ledger"] == "a ledger of its own, devnet"
    assert "Register the node" in shown["steps"]
    assert sorted(answers.parent.iterdir()) == before


def test_malformed_answers_are_a_wrong_call_and_show_no_secret(
    answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers.write_text(tomli_w.dumps(DOCUMENT | {"identity": {"mode": "restore", "phrase": "abandon zebra"}}))
    assert call("--answers", str(answers), "--dry-run") == 2
    said = capsys.readouterr()
    assert f"{answers}: identity.phrase" in said.err
    assert "zebra" not in said.err + said.out


def test_options_that_need_answers_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--dry-run") == 2
    assert "--answers" in capsys.readouterr().err


def test_set_up_needs_root(answers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call("--answers", str(answers)) == 2
    assert "sudo bpci setup" in capsys.readouterr().err


def test_a_machine_that_is_set_up_is_left_alone(
    answers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = System(tmp_path)
    here.write(COMPLETE, "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(system_module, "System", lambda: here)
    assert call("--answers", str(answers)) == 2
    assert "set up already" in capsys.readouterr().err
    assert call("--console") == 0


class Progress:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def medium(document: dict[str, Any]) -> Medium:
    return Medium("/dev/sdb", {ANSWERS: tomli_w.dumps(document).encode()})


def test_answers_on_a_medium_end_with_one_line_for_programs_and_are_deleted(
    machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress()
    forgotten: list[str] = []
    monkeypatch.setattr("bpci_node.setup.console.Progress", lambda _system: progress)
    monkeypatch.setattr("bpci_node.setup.media.forget_answers", lambda _s, device: forgotten.append(device) or True)
    monkeypatch.setattr("bpci_node.setup.unattended.set_up", lambda *_a, **_k: {"v": 1, "did": "did:key:z6Mk"})
    turn = Turn(machine.system, "ttyS0")
    turn.take()
    assert setup_command._unattended(machine.system, turn, medium(DOCUMENT)) == 0
    turn.give_up()
    assert progress.lines[-1] == 'BPCI-SETUP-DONE {"v": 1, "did": "did:key:z6Mk"}'
    assert forgotten == ["/dev/sdb"]


def test_a_failed_run_says_so_in_one_line_and_offers_the_wizard(
    machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, opened = Progress(), []
    monkeypatch.setattr("bpci_node.setup.console.Progress", lambda _system: progress)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    monkeypatch.setattr(setup_command, "_wizard", lambda *_a, **_k: opened.append(True) or 0)
    turn = Turn(machine.system, "ttyS0")
    turn.take()
    setup_command._unattended(machine.system, turn, medium(DOCUMENT | {"join": {"mode": "mainnet"}}))
    word, _, text = progress.lines[-1].partition(" ")
    failure = json.loads(text)
    assert word == "BPCI-SETUP-FAILED"
    assert failure["code"] == "config.value"
    assert "join.mode" in failure["message"]
    assert opened == [True]
    assert PASSWORD not in "\n".join(progress.lines)


def test_keys_alone_open_ssh_and_leave_the_questions_to_the_wizard(machine: SimulatedMachine) -> None:
    assert setup_command._open_for_keys(machine.system, medium({"v": 1, "owner": {"ssh_keys": [KEY]}}))
    assert machine.ran("useradd", "--system", "--uid", "882")
    assert machine.ran("systemctl", "start", "ssh.service")
    assert not setup_command._open_for_keys(machine.system, medium(DOCUMENT))


def test_the_help_of_every_command_has_an_example() -> None:
    for command, arguments in (
        (setup_command.command, []),
        (console_command.command, []),
        (machine_command.command, ["apply"]),
        (machine_command.command, ["remember"]),
    ):
        result = CliRunner().invoke(command, [*arguments, "--help"])
        assert result.exit_code == 0
        assert "Example" in result.output
