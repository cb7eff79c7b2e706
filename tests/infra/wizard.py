"""A person at a terminal, going through the wizard by keystrokes alone."""

from __future__ import annotations

import re

from image.terminal import Terminal
from tests.infra.appliance import Owner

EMULATED_SECONDS = 240
"""How long a screen may take to come under emulation on a busy machine."""


def go_through(terminal: Terminal, owner: Owner, registry_url: str) -> list[str]:
    """Answer every screen from the first to the last, and return the 24 words that were shown.

    Raises:
        MachineError: a screen did not come; with what came instead.
    """

    def sees(pattern: str, timeout: float = EMULATED_SECONDS) -> re.Match[str]:
        return terminal.wait_for(pattern, timeout)

    sees("Step 1 of 9 · Welcome", 600)
    terminal.press("enter")
    sees("Checks finished")
    terminal.press("enter")
    sees("Step 3 of 9 · Network")
    sees("Way out")
    terminal.press("enter")

    sees("> Login name")
    terminal.press("enter")  # it stands there already
    for name in ("Password", "Password again"):
        sees(f"> {name}(  |$)")
        terminal.type(owner.password)
        terminal.press("tab")
    sees("> Web password")
    terminal.press("tab")
    sees("> Add a key")
    terminal.type(owner.public_key)
    terminal.press("enter")
    sees("Added")
    terminal.press("enter")

    sees(r"> \(•\) A new identity")
    terminal.press("enter")
    sees("Write these 24 words")
    sees(r" 24 [a-z]+$")
    sees("Enter I have written them down")
    words = {int(number): word for number, word in re.findall(r"\b(\d{1,2}) +([a-z]{3,8})\b", terminal.text())}
    assert sorted(words) == list(range(1, 25)), terminal.text()
    terminal.press("enter")
    sees("Type these words")
    sees("Esc Show the words again")  # the last line: all that is asked for stands above it
    for position in re.findall(r"Word (\d+)", terminal.text()):
        sees(f"> Word {position}( |$)")
        terminal.type(words[int(position)])
        terminal.press("enter")

    sees("> Node's name")
    terminal.press("enter")  # this small machine is no community node, and is told so
    sees("does not meet that profile")
    sees(r"> \(•\) Community: 8 processors")
    terminal.press("down")
    sees(r"> \(•\) Enterprise: 16 processors")
    terminal.press("down")
    sees(r"> \(•\) Development")
    terminal.press("enter")

    sees(r"Step 7 of 9 · Ledger")
    sees(r"> \(•\) A ledger of its own")
    terminal.press("down")
    sees(r"> \(•\) A network, by its file")
    terminal.press("down")
    sees("    Address")
    terminal.press("tab")
    sees("> Address")
    terminal.type(registry_url)
    terminal.press("enter")
    sees("Enter joins it")
    terminal.press("enter")

    sees("Step 8 of 9 · Review")
    terminal.press("enter")
    sees("set up and registered", 600)
    terminal.press("enter")
    return [words[number] for number in range(1, 25)]
