"""The power is cut at random points of a machine's life: it comes up as what it was, and keeps what it acknowledged.

The points come from a seed that a failed test prints; ``BPCI_SEED=<number>`` repeats them. Three cuts belong to
``make test``, the others to ``make test-long``: each costs a boot, minutes on a busy machine that emulates.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
import tomllib
from pathlib import Path
from random import Random

import pytest

from bpci_node.primitives.derivation import derive_keys, new_phrase
from bpci_node.primitives.keys import LocalSigner, did_of
from image.boot import DEVELOPMENT_ANSWERS
from image.qemu import Machine, overlay
from tests.infra.appliance import Appliance, Owner, medium_for
from tests.infra.load import Load

pytestmark = [pytest.mark.infra, pytest.mark.timeout(3600)]

SEED = int(os.environ.get("BPCI_SEED") or secrets.randbelow(2**32))
ENTRIES = 2000
"""What is sent until the power goes; more than an emulated machine takes in the time."""
MOST_RECEIPTS = 300
REPOSITORY = "/var/lib/bpci/power-cuts"
STEPS = 12
"""How many steps set-up has with the answers of these tests."""


def chance(name: str) -> Random:
    """Return the random points of one test, and say how to have them again."""
    print(f"BPCI_SEED={SEED}")  # noqa: T201 - shown when a test fails
    return Random(f"{SEED} {name}")  # noqa: S311 - repeatable on purpose


@pytest.mark.parametrize("cuts", [1, pytest.param(4, marks=pytest.mark.long)])
def test_cuts_during_set_up_end_in_a_machine_that_is_set_up(lab: Path, image: Path, cuts: int) -> None:
    """The answers lie on a medium, so that set-up goes on by itself."""
    points = chance(f"set-up {cuts}")
    directory = lab / f"cut-{cuts}-in-set-up"
    owner = Owner(directory)
    phrase = new_phrase(points.randbytes(32))
    medium = medium_for(owner, identity={"mode": "restore", "phrase": phrase})
    name = tomllib.loads(DEVELOPMENT_ANSWERS.read_text())["node"]["name"]
    machine = Machine(directory, [overlay(image, directory / "disk.qcow2", size="16G"), medium])
    appliance = Appliance(machine, owner)
    for step in sorted(points.choices(range(1, STEPS + 1), k=cuts)):

        def has_come(step: int = step) -> bool:
            """Whether set-up is at this step, or has ended; a machine that was set up shows its node's name."""
            begun = re.search(rf"\[setup\] {step}/|BPCI-SETUP-(DONE|FAILED)", machine.console.said())
            return begun is not None or name in machine.console.text()

        with machine.running():
            machine.console.wait_until(has_come, f"step {step} of set-up", 1500)
            time.sleep(points.uniform(0, 3))
    with machine.running():
        appliance.wait(1500)
        ended = "for _ in $(seq 600); do [ -e /var/lib/bpci/setup/complete ] && exit 0; sleep 1; done; exit 1"
        appliance.sudo(ended, timeout=900)
        assert did_of(LocalSigner(derive_keys(phrase).node).public_key) == appliance.did
        assert appliance.status()["node"]["registered"]
        assert appliance.failed_units() == ""
        machine.power_off()


def cut(appliance: Appliance, load: Load, did: str) -> None:
    """Cut the power, switch on again, and look whether everything is there."""
    appliance.machine.kill()
    appliance.machine.start()
    appliance.wait(900)
    assert appliance.did == did
    load.check()
    assert appliance.failed_units() == ""


@pytest.mark.usefixtures("awake")
@pytest.mark.parametrize("number", [1, *(pytest.param(number, marks=pytest.mark.long) for number in range(2, 14))])
def test_a_cut_at_any_point_of_the_load_takes_nothing_that_was_acknowledged(
    appliance: Appliance, tmp_path: Path, number: int
) -> None:
    points = chance(f"load {number}")
    did = appliance.did
    load = Load(appliance, tmp_path, points, ENTRIES)
    load.wait_for(points.randint(1, MOST_RECEIPTS))
    time.sleep(points.random())
    cut(appliance, load, did)


def back_up(appliance: Appliance) -> None:
    """Make a backup as the timer does."""
    said = "journalctl --no-pager --output cat --lines 40 --unit bpci-backup.service; exit 1"
    appliance.sudo(f"systemctl start bpci-backup.service || {{ {said}; }}", timeout=900)


@pytest.fixture(scope="module")
def backup_seconds(awake: None, appliance: Appliance) -> float:
    """How long a backup takes; the machine has one then, on its own disk, where a torn one would show."""
    appliance.sudo(f"bpci backup init --to {REPOSITORY}", timeout=600)
    began = time.monotonic()
    back_up(appliance)
    return time.monotonic() - began


def backups(appliance: Appliance) -> list[str]:
    return [item["id"] for item in json.loads(appliance.sudo("bpci backup list --json", timeout=600))]


@pytest.mark.usefixtures("awake")
@pytest.mark.parametrize("number", [1, *(pytest.param(number, marks=pytest.mark.long) for number in range(2, 6))])
def test_a_cut_at_any_point_of_a_backup_harms_neither_the_node_nor_the_backups(
    appliance: Appliance, backup_seconds: float, tmp_path: Path, number: int
) -> None:
    points = chance(f"backup {number}")
    did, earlier = appliance.did, backups(appliance)
    load = Load(appliance, tmp_path, points, ENTRIES)
    load.wait_for(points.randint(1, 50))
    appliance.sudo("systemctl start --no-block bpci-backup.service")
    time.sleep(points.uniform(0, backup_seconds))
    cut(appliance, load, did)
    # Nobody had to repair anything: the next one is made, and what a drill restores of it is whole.
    back_up(appliance)
    found = backups(appliance)
    assert set(earlier) & set(found), (earlier, found)
    assert found[-1] not in earlier
    drilled = json.loads(appliance.sudo("bpci backup drill --json", timeout=900))
    assert drilled["snapshot"] == found[-1]
