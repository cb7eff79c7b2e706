"""A person at an 80×24 serial console, going through the wizard by keystrokes alone."""

from __future__ import annotations

import re

from image.console import Console
from tests.infra.appliance import Owner

EMULATED_SECONDS = 240
"""How long a screen may take to come under emulation on a busy machine."""


def go_through(console: Console, owner: Owner, registry_url: str) -> list[str]:
    """Answer every screen from the first to the last, and return the 24 words that were shown.

    Raises:
        MachineError: a screen did not come; with what came instead.
    """

    def sees(pattern: str, timeout: float = EMULATED_SECONDS) -> re.Match[str]:
        return console.wait_for(pattern, timeout)

    sees("Step 1 of 9 · Welcome", 600)
    console.press("enter")
    sees("Checks finished")
    console.press("enter")
    sees("Step 3 of 9 · Network")
    sees("Way out")
    console.press("enter")

    sees("> Login name")
    console.press("enter")  # it stands there already
    for name in ("Password", "Password again"):
        sees(f"> {name}(  |$)")
        console.type(owner.password)
        console.press("tab")
    sees("> Web password")
    console.press("tab")
    sees("> Add a key")
    console.type(owner.public_key)
    console.press("enter")
    sees("Added")
    console.press("enter")

    sees(r"> \(•\) A new identity")
    console.press("enter")
    sees("Write these 24 words")
    sees(r" 24 [a-z]+$")
    sees("Enter I have written them down")
    words = {int(number): word for number, word in re.findall(r"\b(\d{1,2}) +([a-z]{3,8})\b", console.text())}
    assert sorted(words) == list(range(1, 25)), console.text()
    console.press("enter")
    sees("Type these words")
    sees("Esc Show the words again")  # the last line: all that is asked for stands above it
    for position in re.findall(r"Word (\d+)", console.text()):
        sees(f"> Word {position}( |$)")
        console.type(words[int(position)])
        console.press("enter")

    sees("> Node's name")
    console.press("enter")  # this small machine is no community node, and is told so
    sees("does not meet that profile")
    sees(r"> \(•\) Community: 8 processors")
    console.press("down")
    sees(r"> \(•\) Enterprise: 16 processors")
    console.press("down")
    sees(r"> \(•\) Development")
    console.press("enter")

    sees(r"Step 7 of 9 · Ledger")
    sees(r"> \(•\) A ledger of its own")
    console.press("down")
    sees(r"> \(•\) A network, by its file")
    console.press("down")
    sees("    Address")
    console.press("tab")
    sees("> Address")
    console.type(registry_url)
    console.press("enter")
    sees("Enter joins it")
    console.press("enter")

    sees("Step 8 of 9 · Review")
    console.press("enter")
    sees("set up and registered", 600)
    console.press("enter")
    return [words[number] for number in range(1, 25)]
