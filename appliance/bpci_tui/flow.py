"""The order of the wizard's screens, and which step of how many each one is."""

from __future__ import annotations

from bpci_tui.draft import Draft

TITLES = {
    "welcome": "Welcome",
    "hardware": "Hardware",
    "network": "Network",
    "wifi": "Network",
    "disk": "Disk",
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


def screens(draft: Draft, *, offers_disk: bool) -> list[str]:
    """Return the names of the screens in their order, as the answers so far have it."""
    asks = ["phrase", "confirm"] if draft.identity == "create" else ["restore"]
    identity = [] if draft.kept_did else asks
    disk = ["disk"] if offers_disk else []
    air = ["wifi"] if draft.network_mode == "wifi" else []
    before = ["welcome", "hardware", "network", *air, *disk, "owner", "identity", *identity]
    return [*before, "node", "join", "review", "apply", "done"]


def place(name: str, *, offers_disk: bool) -> str:
    """Return the title line of a screen, such as ``Step 3 of 10 · Network``: the same wherever one comes from."""
    if name == "done":
        return TITLES[name]
    steps = list(dict.fromkeys(TITLES.values()))[:-1]
    if not offers_disk:
        steps.remove(TITLES["disk"])
    return f"Step {steps.index(TITLES[name]) + 1} of {len(steps)} · {TITLES[name]}"
