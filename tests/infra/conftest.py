"""What the infra tests share: the built image, a registry outside the machine, and machines that were set up."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image.boot import BPCI, ROOT, built_image
from image.qemu import Machine, free_port, overlay
from tests.infra.appliance import Appliance, Owner
from tests.infra.wizard import go_through

LAB = ROOT / "build" / "lab"


@dataclass(frozen=True, slots=True)
class Registry:
    """A node outside the machines, as other people's machines see it."""

    url: str
    guest_url: str
    network_file: Path


@pytest.fixture(scope="session")
def lab() -> Path:
    """An empty directory for machines; what is left in it after a failure is the evidence."""
    shutil.rmtree(LAB, ignore_errors=True)
    LAB.mkdir(parents=True)
    return LAB


@pytest.fixture(scope="session")
def image() -> Path:
    return built_image("debian-12")


@pytest.fixture(scope="session")
def registry(lab: Path) -> Iterator[Registry]:
    """A real node with its own ledger on this host's loopback, which guests reach as 10.0.2.2."""
    directory, port = lab / "registry", free_port()
    command = [BPCI, "devnet", "up", "--dir", str(directory), "--port", str(port)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        shown = subprocess.run([BPCI, "network", "show", url, "--json"], check=True, capture_output=True, text=True)
        network = lab / "network.json"
        network.write_text(json.dumps(json.loads(shown.stdout)))
        yield Registry(url, f"http://10.0.2.2:{port}", network)
    finally:
        subprocess.run([BPCI, "devnet", "down", "--dir", str(directory)], check=False, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def appliance(lab: Path, image: Path, registry: Registry) -> Iterator[Appliance]:
    """A machine whose owner went through the wizard by keystrokes on the serial console."""
    owner = Owner(lab / "owner")
    disk = overlay(image, lab / "appliance" / "disk.qcow2", size="16G")
    with Machine(lab / "appliance", [disk]).running() as machine:
        words = go_through(machine.console, owner, registry.guest_url)
        appliance = Appliance(machine, owner, " ".join(words))
        appliance.wait()
        yield appliance
        machine.power_off()
