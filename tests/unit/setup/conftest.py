"""What the tests of set-up share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpci_node.host.check import PASS, Check
from bpci_node.host.result import Measured, Requirement
from bpci_node.setup.answers import Answers
from bpci_node.setup.answers_file import from_document
from tests.unit.setup.simulated import SimulatedMachine

PHRASE = "abandon " * 23 + "art"
PASSWORD = "correct horse battery"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGDgnnqOBb8xKmYvMnVVAtWdwAyIvPqZ0bC0wvP1p5Jb owner@example"
CHECKS = [
    Check(
        "processors",
        "Processors",
        lambda _context: Measured(8, "processors", "8"),
        lambda _profile: Requirement("at least 8", needed=True),
        lambda _measured, _profile: PASS,
    )
]
"""A hardware check whose outcome is the same on every machine that runs the tests."""


@pytest.fixture
def machine() -> Iterator[SimulatedMachine]:
    """A machine in a directory with a short name: Unix sockets have at most 108 characters."""
    with tempfile.TemporaryDirectory(prefix="m") as directory:
        made = SimulatedMachine(Path(directory))
        yield made
        made.stop()


@pytest.fixture
def document() -> dict[str, Any]:
    """A complete answers document."""
    return {
        "v": 1,
        "machine": {"hostname": "attic", "keymap": "de", "timezone": "Europe/Berlin"},
        "network": {"mode": "dhcp"},
        "owner": {"name": "ada", "password": PASSWORD, "ssh_keys": [KEY]},
        "identity": {"mode": "restore", "phrase": PHRASE},
        "node": {"name": "Attic", "type": "hybrid", "hardware_profile": "dev"},
        "join": {"mode": "devnet", "name": "home"},
    }


@pytest.fixture
def answers(document: dict[str, Any]) -> Answers:
    """The answers of the document."""
    return from_document(document, source="answers.toml")
