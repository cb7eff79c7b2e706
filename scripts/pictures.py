"""Draw docs/pictures/wizard*.svg from the wizard itself, at 80×24. Run: .venv/bin/python scripts/pictures.py."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "appliance")]

from bpci_node.setup.turn import Turn  # noqa: E402 - the path is set just above
from bpci_tui.app import Wizard  # noqa: E402
from bpci_tui.services import Services  # noqa: E402
from tests.unit.setup.conftest import CHECKS  # noqa: E402
from tests.unit.setup.simulated import SimulatedMachine  # noqa: E402
from tests.unit.tui.driving import Hands, drive  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"


def main() -> None:
    """Go through the wizard on a machine in a directory, and keep three of its screens."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="m") as directory:
        machine = SimulatedMachine(Path(directory))
        wizard = Wizard(
            Services(
                machine.system,
                Turn(machine.system, "tty1"),
                checks=CHECKS,
                entropy=bytes,
                positions=lambda: (3, 11, 24),
            )
        )

        def draw(name: str) -> None:
            picture = wizard.export_screenshot(title="BPCI Community OS")
            # The reader's own monospaced font will do: a picture of ours fetches nothing.
            (PICTURES / name).write_text(re.sub(r"\s*@font-face \{[^}]*\}", "", picture))
            print(f"docs/pictures/{name}")

        async def acts(hands: Hands) -> None:
            await hands.sees("Keyboard layout")
            draw("wizard.svg")
            await hands.to_identity()
            draw("wizard-identity.svg")
            await hands.press("enter")
            await hands.sees("Write these 24 words")
            await hands.press("enter")
            for word in ("abandon", "abandon", "art"):
                await hands.type(word)
            for title in ("· Node", "· Ledger"):
                await hands.sees(title)
                await hands.press("enter")
            await hands.sees("· Review")
            draw("wizard-review.svg")

        drive(wizard, acts)


if __name__ == "__main__":
    main()
