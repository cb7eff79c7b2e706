import json
import re
from typing import Any

import pytest

from bpci_node.errors import BpciError
from bpci_node.network.client import NodeClient
from bpci_node.setup.answers import Answers
from bpci_node.setup.unattended import Teller, make_plan, set_up
from tests.unit.setup.conftest import CHECKS, PASSWORD, PHRASE
from tests.unit.setup.simulated import SimulatedMachine


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phrases: list[str] = []

    @property
    def teller(self) -> Teller:
        return Teller(self.lines.append, self.phrases.append)


def go(machine: SimulatedMachine, answers: Answers, lines: Lines | None = None) -> dict[str, Any]:
    plan = make_plan(machine.system, answers, lambda _name: b"")
    teller = (lines or Lines()).teller
    return set_up(machine.system, plan, answers.identity.phrase, teller, checks=CHECKS, **machine.run_options)


def test_answers_become_a_registered_node(machine: SimulatedMachine, answers: Answers) -> None:
    lines = Lines()
    done = go(machine, answers, lines)
    with NodeClient(machine.url) as client:
        status = client.status()
        record = client.node(done["did"])["node"]
    print(done, lines.lines, status, record)
    assert 0
