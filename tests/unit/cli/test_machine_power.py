"""``bpci machine restart`` and ``poweroff``: asked, drained, and only then carried out."""

import pytest
from click.testing import CliRunner

from bpci_node.cli import machine_power
from bpci_node.cli.machine import command
from bpci_node.errors import UsageError
from bpci_node.setup.system import System


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in its order; the service manager's part is not."""
    done: list[str] = []

    monkeypatch.setattr(System, "run", lambda _system, *argv: done.append(" ".join(argv)))
    monkeypatch.setattr(machine_power, "need_root", lambda _why: None)
    monkeypatch.setattr(machine_power, "_drain", lambda: done.append("drained"))
    return done


@pytest.mark.parametrize(("name", "verb"), [("restart", "reboot"), ("poweroff", "poweroff")])
def test_the_node_finishes_before_the_machine_goes_down(calls: list[str], name: str, verb: str) -> None:
    found = CliRunner().invoke(command, [name, "--yes"], standalone_mode=False)
    assert found.exception is None
    assert calls == ["drained", f"systemctl --no-block {verb}"]


def test_without_an_answer_nothing_happens(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = CliRunner().invoke(command, ["restart"], standalone_mode=False)
    assert isinstance(found.exception, UsageError)
    assert found.exception.code == "usage.call"
    monkeypatch.setattr("bpci_node.cli.output.is_interactive", lambda: True)
    found = CliRunner().invoke(command, ["restart"], standalone_mode=False, input="n\n")
    assert isinstance(found.exception, UsageError)
    assert found.exception.code == "usage.declined"
    assert calls == []


def test_it_is_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = CliRunner().invoke(command, ["poweroff", "--yes"], standalone_mode=False)
    assert isinstance(found.exception, UsageError)
    assert found.exception.code == "usage.root"
