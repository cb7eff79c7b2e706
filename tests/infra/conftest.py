"""What the infra tests share: the built image, a registry outside the machine, and machines that were set up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image.boot import BPCI, ROOT, built_image
from image.qemu import Hardware, Machine, free_port, overlay
from tests.infra.appliance import Appliance, Owner
from tests.infra.container import Container, booted, changed_copy
from tests.infra.native import Play, appliance_base, copy_ours, kernel_in, set_up
from tests.infra.wizard import go_through

LAB = ROOT / "build" / "lab"
OPEN = (22, 443, 8545)
"""What the machine answers to the world: SSH, the web face, the node."""
CLOSED = (8000, 8087, 9090, 9093, 9100)
"""Ports that the outside must find closed: one of a test's own, and what serves the machine alone."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A node outside the machines, as other people's machines see it."""

    url: str
    guest_url: str
    network_file: Path


@pytest.fixture(scope="session")
def lab(worker_id: str) -> Path:
    """An empty directory for the machines of this process; what is left in it after a failure is the evidence."""
    directory = LAB / worker_id
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@pytest.fixture(scope="session")
def image(pytestconfig: pytest.Config) -> Path:
    """The image of this tree, built if it is not there; the build's progress goes to the terminal."""
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        subprocess.run([ROOT / "image" / "build.sh"], check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
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
    hardware = Hardware(secure_boot=True)  # as a mini-PC comes
    with Machine(lab / "appliance", [disk], hardware, guest_ports=(*OPEN, *CLOSED)).running() as machine:
        words = go_through(machine.console, owner, registry.guest_url)
        appliance = Appliance(machine, owner, " ".join(words))
        appliance.wait()
        yield appliance
        machine.qmp("cont")  # who rests does not hear the power button
        machine.power_off()


@pytest.fixture(scope="module")
def awake(appliance: Appliance) -> Iterator[None]:
    """Let that machine run while a file needs it, and stand still for the others, which need the processor."""
    appliance.machine.qmp("cont")
    yield
    appliance.machine.qmp("stop")


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("provisioning") / "wheelhouse"
    subprocess.run([ROOT / "scripts" / "wheelhouse.sh", directory], check=True)
    return directory


@pytest.fixture(scope="session")
def play(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """The play as the image build runs it, run once on a fresh root that holds the image's packages."""
    with changed_copy(appliance_base()) as copy:
        copy_ours(copy.root)
        with kernel_in(copy.root):
            play = Play(copy, wheelhouse, tmp_path_factory.mktemp("play"))
            assert play.run().changed > 10
            yield play


@pytest.fixture(scope="session")
def machine(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The appliance before set-up, booted at native speed, with a network of its own that leads nowhere."""
    log = tmp_path_factory.mktemp("machine") / "console.log"
    with (
        changed_copy(play.copy.lower, changes=play.copy.changes) as copy,
        booted(copy.root, log=log, own_network=True) as container,
    ):
        yield container


@dataclass(frozen=True, slots=True)
class Owned:
    """A machine of the native kind that was set up, with a ledger of its own."""

    machine: Container
    owner: Owner
    result: dict[str, Any]
    """What set-up said at its end."""


@pytest.fixture(scope="session")
def owned(machine: Container, tmp_path_factory: pytest.TempPathFactory) -> Owned:
    """The same machine after set-up."""
    owner = Owner(tmp_path_factory.mktemp("owner") / "keys")
    result = set_up(machine, name=owner.name, password=owner.password, key=owner.public_key)
    return Owned(machine, owner, result)


@pytest.fixture
def wired(owned: Owned) -> Iterator[Container]:
    """The machine with one more wire, whose other end is in the same machine."""
    machine = owned.machine
    machine.run("ip link add probe0 type veth peer name probe1 && ip link set probe0 up && ip link set probe1 up")
    yield machine
    machine.run("bpci machine network restore; bpci machine network set --dhcp --yes; ip link delete probe0")
