"""A machine whose own clock is years off when it is switched on, and no time server to be reached."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.infra.appliance import Appliance
from tests.infra.load import Load

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(3600)]

BEHIND, AHEAD = "2019-03-01T00:00:00", "2039-03-01T00:00:00"
HALF_A_YEAR = 180 * 86400


@pytest.fixture(scope="module")
def off(awake: None, appliance: Appliance) -> Iterator[Appliance]:
    """The machine, switched off; afterwards it has the right clock again."""
    right = appliance.machine.hardware
    appliance.machine.power_off()
    yield appliance
    appliance.machine.hardware = right
    appliance.machine.start()
    appliance.wait(900)


@pytest.fixture(params=[BEHIND, AHEAD], ids=["behind", "ahead"])
def misled(off: Appliance, request: pytest.FixtureRequest) -> Iterator[Appliance]:
    """The machine, switched on with such a clock."""
    off.machine.hardware = replace(off.machine.hardware, clock=request.param)
    off.machine.start()
    try:
        off.wait(900)
        yield off
    finally:
        off.machine.kill()


def seal(appliance: Appliance, directory: Path, name: str) -> tuple[int, str]:
    """Seal a bundle of entries that came just now; return the exit status and what was said."""
    (directory / name).mkdir()
    load = Load(appliance, directory / name, Random(time.time_ns()), 16)  # noqa: S311 - others than last time
    load.wait_for(16)
    load.check()
    done = appliance.machine.ssh(
        "set -o pipefail; bpci mempool seal --target eip155:1 --out - | wc -c",
        user=appliance.owner.name,
        key=appliance.owner.key,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def issues(appliance: Appliance) -> set[str]:
    """Return the codes of what the doctor finds about the time."""
    found = json.loads(appliance.sudo("bpci doctor clock guard --json || true"))
    return {issue["code"] for result in found["results"] for issue in result["issues"]}


def test_the_machine_comes_up_says_so_and_goes_on_once_its_clock_is_set(misled: Appliance, tmp_path: Path) -> None:
    off_by = int(misled.run("date +%s")) - time.time()
    assert abs(off_by) > HALF_A_YEAR
    assert misled.status()["node"]["registered"]
    assert misled.failed_units() == ""
    assert "clock.wrong" in issues(misled)
    if off_by > 0:
        # By this clock the registry's word has run out, so nothing is signed; entries are taken in all the same.
        status, said = seal(misled, tmp_path, "misled")
        assert status != 0
        assert "run out" in said
    now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    misled.sudo(f"bpci machine clock --set '{now}' || [ $? = 1 ]")  # 1: no time server steers it
    assert abs(int(misled.run("date +%s")) - time.time()) < 600
    misled.sudo("bpci registry token")
    assert not {code for code in issues(misled) if code.startswith("guard.")}
    status, said = seal(misled, tmp_path, "set right")
    assert status == 0, said
    assert misled.failed_units() == ""
