from collections.abc import Callable

from bpci_tui.app import Wizard
from tests.unit.setup.simulated import SimulatedMachine
from tests.unit.tui.driving import Hands, drive


def test_x(make_wizard: Callable[..., Wizard], machine: SimulatedMachine) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_review()
        print(hands.text())
        await hands.press("enter")
        print(await hands.sees("· Apply"))
        print(await hands.sees("Done"))
        await hands.press("enter")

    assert drive(make_wizard(), acts) == 0
    assert 0
