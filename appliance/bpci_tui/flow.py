"""The order of the wizard's screens, and which step of how many each one is."""

from __future__ import annotations

from bpci_tui.draft import Draft

TITLES = {
    "welcome": "Welcome",
    "hardware": "Hardware",
    "network": "Network",
    "wifi": "Network",
    "disk": "Disk",
    "encryption": "Disk",
    "diskkey": "Disk",
    "diskconfirm": "Disk",
    "owner": "Owner",
    "identity": "Identity",
    "phrase": "Identity",
    "confirm": "Identity",
    "restore": "Identity",
    "node": "Node",
    "join": "Ledger",
    "review": "Review",
    "apply": "Apply",
    "done": "Done",
}
"""Screens by name, with the title of their step; several screens may share one."""


def screens(draft: Draft, *, offers_disk: bool, encryption: str = "") -> list[str]:
    """Return the names of the screens in their order, as the answers so far have it.

    Args:
        encryption: ``ask``: data can be encrypted; ``new``: that was done at this start, and its key is to be shown.
    """
    asks = ["phrase", "confirm"] if draft.identity == "create" else ["restore"]
    identity = [] if draft.kept_did else asks
    disk = ["disk"] if offers_disk else []
    air = ["wifi"] if draft.network_mode == "wifi" else []
    if encryption == "ask":
        disk.append("encryption")
    shows_key = encryption == "new" if draft.disk is None else draft.encrypt
    if shows_key:
        disk += ["diskkey", "diskconfirm"]
    before = ["welcome", "hardware", "network", *air, *disk, "owner", "identity", *identity]
    return [*before, "node", "join", "review", "apply", "done"]


def place(name: str, *, offers_disk: bool, encryption: str = "") -> str:
    """Return the title line of a screen, such as ``Step 3 of 10 · Network``: the same wherever one comes from."""
    if name == "done":
        return TITLES[name]
    steps = list(dict.fromkeys(TITLES.values()))[:-1]
    if not offers_disk and not encryption:
        steps.remove(TITLES["disk"])
    return f"Step {steps.index(TITLES[name]) + 1} of {len(steps)} · {TITLES[name]}"
