from collections.abc import Callable

import pytest

from bpci_node.setup import encryption
from bpci_tui import flow
from bpci_tui.app import Wizard
from bpci_tui.draft import Draft
from tests.unit.setup.simulated import SimulatedMachine
from tests.unit.tui.driving import Hands, drive
from tests.unit.tui.test_plain import TO_OWNER, go

MakeWizard = Callable[..., Wizard]


@pytest.fixture(autouse=True)
def appliance(machine: SimulatedMachine) -> None:
    machine.add_tpm()


async def to_disk(hands: Hands) -> None:
    for title, ready in (("Welcome", "Keyboard"), ("Hardware", "Checks finished"), ("Network", "192.0.2.7")):
        await hands.sees(f"· {title}")
        await hands.sees(ready)
        await hands.press("enter")
    await hands.sees("Step 4 of 10 · Disk")


def test_encryption_restarts_the_machine_before_anything_is_written(
    make_wizard: MakeWizard, machine: SimulatedMachine
) -> None:
    async def acts(hands: Hands) -> None:
        await to_disk(hands)
        await hands.sees("> (•) Not encrypted")
        await hands.press("down", "enter")
        await hands.sees("The machine restarts")

    drive(make_wizard(), acts)
    assert machine.system.exists(encryption.REQUEST)
    assert machine.ran("systemctl", "--no-block", "reboot")


def test_without_it_the_wizard_goes_on(make_wizard: MakeWizard, machine: SimulatedMachine) -> None:
    async def acts(hands: Hands) -> None:
        await to_disk(hands)
        await hands.press("enter")
        await hands.sees("Step 5 of 10 · Owner")

    drive(make_wizard(), acts)
    assert not machine.system.exists(encryption.REQUEST)


def test_after_that_restart_the_recovery_key_is_shown_and_kept_nowhere(
    make_wizard: MakeWizard, machine: SimulatedMachine
) -> None:
    machine.system.write(encryption.STATE, "new\n")
    shown = encryption.new_recovery_key(bytes)

    async def acts(hands: Hands) -> None:
        await to_disk(hands)
        await hands.sees("7 cccccccc")
        await hands.press("enter")
        await hands.sees("Group 2")
        await hands.type("cccccccc")
        await hands.type("cccccccd")
        await hands.sees("That is not group 7. Escape shows the key again.")
        await hands.press("backspace")
        await hands.type("c")
        await hands.sees("· Owner")

    wizard = make_wizard()
    drive(wizard, acts)
    assert wizard.draft.answers().encrypt
    assert wizard.draft.disk_key == shown
    assert not any(shown in file.read_text(errors="replace") for file in machine.root.rglob("*") if file.is_file())


def test_a_disk_to_install_to_shows_its_key_at_once() -> None:
    draft = Draft(encrypt=True)
    assert "diskkey" not in flow.screens(draft, offers_disk=True, encryption="ask")
    draft.disk = object()  # type: ignore[assignment]
    assert flow.screens(draft, offers_disk=True, encryption="ask")[3:7] == [
        *("disk", "encryption", "diskkey", "diskconfirm")
    ]


def test_in_plain_lines_it_restarts_the_machine_too(machine: SimulatedMachine) -> None:
    with pytest.raises(SystemExit) as caught:
        go(machine, *TO_OWNER, "encrypted")
    assert caught.value.code == 0
    assert machine.system.exists(encryption.REQUEST)
    assert machine.ran("systemctl", "--no-block", "reboot")


def test_in_plain_lines_a_key_that_was_not_written_down_is_noticed(machine: SimulatedMachine) -> None:
    machine.system.write(encryption.STATE, "new\n")
    _, said, _ = go(machine, *TO_OWNER, "", "cccccccc", "cccccccd", "cccccccc", "CCCCCCCC")
    assert "7 cccccccc" in said
    assert "Not yet: That is not group 7. < shows the key again." in said
    assert "· Owner" in said
