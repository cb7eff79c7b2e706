"""The wizard on a real terminal: a VT220 without colour, 80×24, as on a serial line."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys
from pathlib import Path
from bpci_node.setup.turn import Turn
from bpci_tui.app import Wizard
from bpci_tui.services import Services
from tests.unit.setup.conftest import CHECKS
from tests.unit.setup.simulated import SimulatedMachine
machine = SimulatedMachine(Path(sys.argv[1]))
wizard = Wizard(Services(machine.system, Turn(machine.system, "ttyS0"), checks=CHECKS, on_console=False))
sys.exit(wizard.run(mouse=False))
"""


class Terminal:
    def __init__(self, child: "pexpect.spawn[bytes]") -> None:
        self.child, self.screen = child, pyte.Screen(80, 24)
        self.stream = pyte.ByteStream(self.screen)

    def sees(self, text: str, seconds: float = 30) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.stream.feed(self.child.read_nonblocking(65536, timeout=0.1))
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                break
            shown = "\n".join(self.screen.display)
            if text in shown:
                return shown
        raise AssertionError(f"no {text!r} on\n" + "\n".join(self.screen.display))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    children = []

    def start(**environment: str) -> Terminal:
        child = pexpect.spawn(
            sys.executable,
            ["-c", PROGRAM, str(tmp_path)],
            dimensions=(24, 80),
            cwd=str(ROOT),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'appliance'}", **environment},
        )
        children.append(child)
        return Terminal(child)

    yield start
    for child in children:
        child.close(force=True)


@pytest.mark.parametrize("environment", [{"TERM": "vt220"}, {"TERM": "vt220", "NO_COLOR": "1"}, {"TERM": "linux"}])
def test_a_person_goes_forward_and_back_on_it(terminal: Callable[..., Terminal], environment: dict[str, str]) -> None:
    there = terminal(**environment)
    shown = there.sees("Keyboard layout")
    assert "Step 1 of 9 · Welcome" in shown.splitlines()[0]
    assert "> (•) English (US)" in there.sees("> (•)")
    there.child.send("\x1b[B")
    there.sees("> (•) English (UK)")
    there.child.send("\r")
    there.sees("Checks finished")
    there.child.send("\r")
    there.sees("Step 3 of 9 · Network")
    there.sees("Way out")
    there.child.send("\x1b")
    there.sees("Step 2 of 9 · Hardware")
    there.child.send("\x11")  # Ctrl+Q leaves, where there is something to return to
    there.child.expect(pexpect.EOF)
    there.child.close()
    assert there.child.exitstatus == 130
