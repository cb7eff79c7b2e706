"""The wizard by keystrokes where ``test_appliance.py`` does not go: on the display with its keyboard, and over SSH."""

from __future__ import annotations

import os
from pathlib import Path

import pexpect
import pytest
import tomli_w

from bpci_node.primitives.derivation import derive_keys
from bpci_node.primitives.keys import LocalSigner, did_of
from image.console import COLUMNS, ROWS, Console
from image.qemu import Hardware, Machine, overlay, ssh_options, volume
from tests.infra.appliance import Appliance, Owner
from tests.infra.conftest import Registry
from tests.infra.display import Display, Font
from tests.infra.offline import Partition
from tests.infra.wizard import go_through

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(3600)]

FONT = "/etc/console-setup/cached_Uni2-Fixed16.psf.gz"


class Session:
    """A line over SSH, with a terminal at its far end."""

    def __init__(self, *arguments: str) -> None:
        self._process = pexpect.spawn("ssh", list(arguments), dimensions=(ROWS, COLUMNS))

    def recv(self, limit: int, /) -> bytes:
        return os.read(self._process.child_fd, limit)

    def sendall(self, data: bytes, /) -> None:
        os.write(self._process.child_fd, data)

    def close(self) -> None:
        self._process.close(force=True)


def check(machine: Machine, owner: Owner, words: list[str]) -> None:
    """See that this owner has a node with these words' keys, registered, and nothing that failed."""
    appliance = Appliance(machine, owner)
    appliance.wait()
    assert did_of(LocalSigner(derive_keys(" ".join(words)).node).public_key) == appliance.did
    assert appliance.status()["node"]["registered"]
    assert appliance.failed_units() == ""
    machine.power_off()


def test_the_wizard_on_the_display_leads_to_a_registered_node(lab: Path, image: Path, registry: Registry) -> None:
    directory = lab / "on-the-display"
    owner = Owner(directory)
    font = Font(Partition(image, "root-a", directory / "root.img").read(FONT))
    body = Hardware(disk_bus="ahci", network="e1000e", usb_keyboard=True, display=True)
    with Machine(directory, [overlay(image, directory / "disk.qcow2", size="16G")], body).running() as machine:
        check(machine, owner, go_through(Display(machine, font), owner, registry.guest_url))


def test_a_key_on_the_boot_medium_opens_the_wizard_over_ssh_and_nothing_else(
    lab: Path, image: Path, registry: Registry
) -> None:
    directory = lab / "over-ssh"
    owner = Owner(directory)
    answers = tomli_w.dumps({"v": 1, "owner": {"ssh_keys": [owner.public_key]}})
    medium = volume(directory / "answers.img", "BPCI-SETUP", {"bpci/answers.toml": answers.encode()})
    disk = overlay(image, directory / "disk.qcow2", size="16G")
    with Machine(directory, [disk, medium]).running() as machine:
        machine.console.wait_for("· Welcome", 900)
        way = [*ssh_options(owner.key), "-p", str(machine.ports[22])]
        assert machine.ssh("true", user="root", key=owner.key).returncode == 255

        # The wizard is all that this account can run, whatever is asked for.
        session = Session(*way, "-tt", "bpci-setup@127.0.0.1", "id")
        terminal = Console(session, (directory / "session.log").open("ab"))
        words = go_through(terminal, owner, registry.guest_url)
        terminal.close()
        check(machine, owner, words)
