"""A picture of every screen of the wizard at 80×24. Renewed with ``pytest --snapshot-update``, after looking at it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from bpci_tui.app import Wizard
from tests.unit.setup.simulated import SimulatedMachine
from tests.unit.tui.driving import Hands

DONE = {
    "v": 1,
    "did": "did:key:z6MkooDSo73dMVjrFsEfvUQjFEqYTrER5qDqTJTGkTUq44HM",
    "account": "bpa14uzm2zlnnk3bup5zxlrp53kktget7bde",
    "ledger": "devnet:" + "c9" * 32,
    "addresses": ["192.0.2.7"],
    "urls": ["http://192.0.2.7:8545"],
    "owner": "owner",
    "ssh": True,
    "hardware": {"profile": "dev", "verdict": "pass"},
    "reachable": "no",
    "web": {"urls": ["https://192.0.2.7/"], "fingerprint": ":".join(["AB", "12"] * 16)},
}


async def welcome(hands: Hands) -> None:
    await hands.sees("Keyboard layout")


async def hardware(hands: Hands) -> None:
    await welcome(hands)
    await hands.press("enter")
    await hands.sees("Checks finished")


async def network(hands: Hands) -> None:
    await hardware(hands)
    await hands.press("enter")
    await hands.sees("Way out")
    await hands.press("down", "tab", "tab")
    await hands.type("192.0.2.5")
    await hands.sees("prefix length")


async def wifi(hands: Hands) -> None:
    await hardware(hands)
    await hands.press("enter")
    await hands.sees("Way out")
    await hands.press("down", "down", "enter")
    await hands.sees("Attic WPA2")
    await hands.type("de")
    await hands.sees("Which network?")


async def disk(hands: Hands) -> None:
    await hardware(hands)
    await hands.press("enter")
    await hands.sees("Way out")
    await hands.press("enter")
    await hands.sees("· Disk")
    await hands.press("down")
    await hands.sees("EVERYTHING")


async def owner(hands: Hands) -> None:
    await hands.to_owner()
    await hands.press("enter")
    await hands.type("short")
    await hands.sees("fewer than")


async def identity(hands: Hands) -> None:
    await hands.to_identity()


async def phrase(hands: Hands) -> None:
    await hands.to_identity()
    await hands.press("enter")
    await hands.sees("Write these 24 words")


async def confirm(hands: Hands) -> None:
    await phrase(hands)
    await hands.press("enter")
    await hands.sees("Word 3")
    await hands.type("zebra")
    await hands.sees("not word 3")


async def restore(hands: Hands) -> None:
    await hands.to_identity()
    await hands.press("down", "enter")
    await hands.sees("Recovery phrase")
    await hands.type("aban zoo")
    await hands.sees("this one has 2")


async def node(hands: Hands) -> None:
    await hands.to_node()


async def join(hands: Hands) -> None:
    await hands.to_node()
    await hands.press("enter")
    await hands.sees("· Ledger")
    await hands.press("down", "down", "tab")
    await hands.type("http://127.0.0.1:9")
    await hands.sees("refused the connection")


async def review(hands: Hands) -> None:
    await hands.to_review()


async def apply(hands: Hands) -> None:
    await hands.to_review()
    await hands.press("enter")
    await hands.sees("FAILED")


async def done(hands: Hands) -> None:
    await welcome(hands)
    wizard = hands.pilot.app
    assert isinstance(wizard, Wizard)
    wizard.result = DONE
    wizard.show("done")
    await hands.sees("registered")


QUESTIONS = [welcome, hardware, network, wifi, disk, owner, identity, phrase, confirm, restore, node, join]
SCREENS = [*QUESTIONS, review, apply, done]


@pytest.mark.parametrize("acts", SCREENS, ids=lambda acts: acts.__name__)
def test_screen_looks_as_it_did(
    acts: Callable[[Hands], Awaitable[None]],
    snap_compare: Any,
    make_wizard: Callable[..., Wizard],
    machine: SimulatedMachine,
) -> None:
    if acts is disk:
        machine.boot_from_stick(("nvme0n1", "Samsung SSD 980", 1000), ("sdb", "Old SSD", 8))
    if acts is wifi:
        machine.add_radio()
    machine.failing["useradd"] = "useradd: cannot lock /etc/passwd; try again later."

    async def act(pilot: Pilot[int]) -> None:
        await acts(Hands(pilot))

    assert snap_compare(make_wizard(), terminal_size=(80, 24), run_before=act)
