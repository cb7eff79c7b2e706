"""What the tests of the wizard share."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bpci_node.setup.turn import Turn
from bpci_tui.app import Wizard
from tests.unit.setup.simulated import SimulatedMachine
from tests.unit.tui.driving import services_of


@pytest.fixture
def machine() -> Iterator[SimulatedMachine]:
    with tempfile.TemporaryDirectory(prefix="m") as directory:
        made = SimulatedMachine(Path(directory))
        yield made
        made.stop()


@pytest.fixture
def make_wizard(machine: SimulatedMachine) -> Iterator[Callable[..., Wizard]]:
    """Make a wizard on the machine: the same checks, phrase and questions every time."""
    turns: list[Turn] = []

    def make(console: str = "ttyS0") -> Wizard:
        turn = Turn(machine.system, console)
        turns.append(turn)
        return Wizard(services_of(machine, turn))

    yield make
    for turn in turns:
        turn.give_up()
