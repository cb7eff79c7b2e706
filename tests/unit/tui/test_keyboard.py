"""Keys that come faster than the screens move on."""

from collections.abc import Callable

from textual import events
from textual.widgets import Input

from bpci_tui.app import Wizard
from tests.unit.setup.conftest import PASSWORD
from tests.unit.tui.driving import Hands, drive

MakeWizard = Callable[..., Wizard]


def at_once(hands: Hands, *keys: str) -> None:
    """Put all keys into the terminal's buffer before the wizard looks at the first."""
    driver = hands.pilot.app._driver
    assert driver is not None
    for key in keys:
        driver.send_message(events.Key(key, key if len(key) == 1 else None))


def test_a_password_typed_twice_at_once_lands_in_its_two_fields(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_owner()
        at_once(hands, "enter", *PASSWORD, "tab", *PASSWORD, "enter")
        await hands.sees("· Identity")
        wizard = hands.pilot.app
        assert isinstance(wizard, Wizard)
        assert (wizard.draft.owner, wizard.draft.password, wizard.draft.repeated) == ("owner", PASSWORD, PASSWORD)

    drive(make_wizard(), acts)


def test_what_is_typed_while_the_next_screen_comes_lands_on_it(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_identity()
        at_once(hands, "enter", "enter", *"abandon", "enter", *"abandon")
        await hands.sees("Word 24")
        for _ in range(500):
            await hands.pilot.pause(0.02)
            fields = [field.value for field in hands.pilot.app.screen.query(Input)]
            if fields[:2] == ["abandon", "abandon"]:
                break
        assert fields == ["abandon", "abandon", ""]

    drive(make_wizard(), acts)


def test_the_whole_of_the_questions_can_be_typed_ahead(make_wizard: MakeWizard) -> None:
    async def acts(hands: Hands) -> None:
        await hands.to_owner()
        words = [key for word in ("abandon", "abandon", "art") for key in (*word, "enter")]
        owner = ("enter", *PASSWORD, "enter", *PASSWORD, "enter")
        at_once(hands, *owner, "enter", "enter", *words, "enter", "enter")
        await hands.sees("· Review", 60)

    drive(make_wizard(), acts)
