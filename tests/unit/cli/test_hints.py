"""Commands that alerts, console and wizard tell a person to run exist, and take what stands behind them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from bpci_node.cli.main import cli
from bpci_node.runtime.doctor.catalog import EXAMINATIONS

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "ansible/roles/monitoring/files/usr/share/bpci/monitoring/rules"
TELLING = [*sorted(RULES.glob("*.yml")), *sorted((ROOT / "appliance/bpci_tui").rglob("*.py"))]
COMMAND = re.compile(r"'((?:sudo )?bpci [a-z][^'\n]*)'")


def commands() -> list[str]:
    # A text may be broken into two literals anywhere.
    texts = [re.sub(r"\"\n\s+f?\"", "", path.read_text()) for path in TELLING]
    return sorted({found for text in texts for found in COMMAND.findall(text)})


def test_some_are_found() -> None:
    assert {"sudo bpci hardware report --register", "sudo bpci doctor unit --fix"} <= set(commands())


@pytest.mark.parametrize("told", commands())
def test_a_command_that_a_person_is_told_to_run_exists(told: str) -> None:
    words = shlex.split(told.removeprefix("sudo "))[1:]
    command: click.Command | None = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command, words = command.get_command(click.Context(command), words[0]), words[1:]
    assert command is not None, told
    # Raises what is wrong with options and arguments; nothing is run.
    with command.make_context(told, words) as context:
        checks = context.params["checks"] if told.removeprefix("sudo ").startswith("bpci doctor") else ()
    assert set(checks) <= {examination.id for examination in EXAMINATIONS}
