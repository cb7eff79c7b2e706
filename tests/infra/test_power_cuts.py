"""The power is cut at random points of a machine's life: it comes up as what it was, and keeps what it acknowledged.

The points come from a seed that a failed test prints; ``BPCI_SEED=<number>`` repeats them. The cut that belongs to
``make test`` is in ``test_appliance.py``: each costs a boot, minutes on a busy machine that emulates.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
import tomllib
from pathlib import Path
from random import Random

import pytest
import tomli_w

from benchmarks.intake import shaped_transactions
from image.boot import BPCI, DEVELOPMENT_ANSWERS, complete
from image.qemu import Machine, MachineError, overlay, volume
from tests.infra.appliance import Appliance, Owner

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(2400)]

SEED = int(os.environ.get("BPCI_SEED") or secrets.randbelow(2**32))
ENTRIES = 2000
"""What is sent until the power goes; more than an emulated machine takes in the time."""
MOST_RECEIPTS = 400
REPOSITORY = "/var/lib/bpci/power-cuts"


def chance(name: str) -> Random:
    """Return the random points of one test, and say how to have them again."""
    print(f"BPCI_SEED={SEED}")  # noqa: T201 - shown when a test fails
    return Random(f"{SEED} {name}")  # noqa: S311 - repeatable on purpose


class Load:
    """Signed entries that nobody has sent before, on their way to a machine's node, and the receipts it gives."""

    def __init__(self, appliance: Appliance, directory: Path, points: Random) -> None:
        self.appliance, self.receipts = appliance, directory / "receipts.jsonl"
        raws = shaped_transactions(ENTRIES, first_key=points.getrandbits(200))
        entries = directory / "entries.txt"
        entries.write_text("".join(f"0x{raw.hex()}\n" for raw in raws))
        command = [BPCI, "mempool", "submit", str(entries), "--node", appliance.url, "--batch", "8"]
        self.process = subprocess.Popen(
            [*command, "--receipts", str(self.receipts)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def count(self) -> int:
        return self.receipts.read_bytes().count(b"\n") if self.receipts.exists() else 0

    def wait_for(self, receipts: int) -> None:
        """Wait until the node has given so many receipts."""

        def is_there() -> bool:
            assert self.process.poll() is None, f"the client ended after {self.count()} receipts"
            return self.count() >= receipts

        self.appliance.machine.console.wait_until(is_there, f"{receipts} receipts", 300)

    def check(self) -> None:
        """Hold every receipt that was on this side's disk against the node."""
        self.process.wait()
        given = self.count()
        command = [BPCI, "mempool", "check-receipts", str(self.receipts), "--node", self.appliance.url, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        checked = json.loads(done.stdout)
        assert checked["broken"] == []
        assert checked["receipts"] == given > 0


def cut(appliance: Appliance, load: Load, did: str) -> None:
    """Cut the power, switch on again, and look whether everything is there."""
    appliance.machine.kill()
    appliance.machine.start()
    appliance.wait(900)
    assert appliance.did == did
    load.check()
    assert appliance.run("systemctl --failed --plain --no-legend").strip() == ""


def under_load(appliance: Appliance, directory: Path, points: Random) -> None:
    """Cut the power once the node has given some receipts, and a moment later."""
    did = appliance.did
    load = Load(appliance, directory, points)
    load.wait_for(points.randint(1, MOST_RECEIPTS))
    time.sleep(points.random())
    cut(appliance, load, did)


@pytest.fixture(scope="module")
def backed_up(appliance: Appliance) -> Appliance:
    """The machine with a repository of backups on its own disk, where a torn one would show."""
    appliance.sudo(f"[ -e {REPOSITORY} ] || bpci backup init --to {REPOSITORY}")
    return appliance


@pytest.mark.parametrize("number", range(1, 17))
def test_a_cut_at_any_point_of_the_load_takes_nothing_that_was_acknowledged(
    appliance: Appliance, tmp_path: Path, number: int
) -> None:
    under_load(appliance, tmp_path, chance(f"load {number}"))


@pytest.mark.parametrize("number", range(1, 5))
def test_a_cut_during_a_backup_harms_neither_the_node_nor_the_backups(
    backed_up: Appliance, tmp_path: Path, number: int
) -> None:
    points = chance(f"backup {number}")
    did = backed_up.did
    load = Load(backed_up, tmp_path, points)
    load.wait_for(points.randint(1, 50))
    backed_up.sudo("systemctl start --no-block bpci-backup.service")
    time.sleep(points.uniform(0, 40))
    cut(backed_up, load, did)
    backed_up.sudo("bpci backup now", timeout=600)
    assert backed_up.sudo("bpci backup drill", timeout=600)


@pytest.mark.timeout(3600)
def test_cuts_during_set_up_end_in_a_machine_that_is_set_up(lab: Path, image: Path) -> None:
    """Four cuts between power-on and the last step; the answers lie on a medium, so set-up goes on by itself."""
    points = chance("set-up")
    directory = lab / "cut-set-up"
    owner = Owner(directory)
    answers = complete(tomllib.loads(DEVELOPMENT_ANSWERS.read_text()), owner.key, directory)
    medium = volume(directory / "answers.img", "BPCI-SETUP", {"bpci/answers.toml": tomli_w.dumps(answers).encode()})
    machine = Machine(directory, [overlay(image, directory / "disk.qcow2", size="16G"), medium])
    for _ in range(4):
        with machine.running():
            try:
                machine.console.wait_for("BPCI-SETUP-(DONE|FAILED)", points.uniform(30, 300), said=True)
            except MachineError:
                continue  # that was the point: the power goes now
            break
    with machine.running():
        owner.password = (directory / "owner-password").read_text().strip()
        appliance = Appliance(machine, owner)
        appliance.wait(900)
        assert appliance.status()["node"]["registered"]
        assert appliance.run("systemctl --failed --plain --no-legend").strip() == ""
        machine.power_off()
