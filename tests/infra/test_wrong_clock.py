"""A machine whose own clock is years off when it is switched on, and no time server to be reached."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.infra.appliance import Appliance

pytestmark = [pytest.mark.infra, pytest.mark.long, pytest.mark.timeout(1500)]

BEFORE, AFTER = "2019-03-01T00:00:00", "2039-03-01T00:00:00"


@pytest.fixture(params=[BEFORE, AFTER], ids=["behind", "ahead"])
def misled(appliance: Appliance, request: pytest.FixtureRequest) -> Iterator[Appliance]:
    """The machine with such a clock; afterwards it is switched on with the right one."""
    machine = appliance.machine
    right = machine.hardware
    machine.power_off(240)
    machine.hardware = replace(right, clock=request.param)
    machine.start()
    try:
        appliance.wait(600)
        yield appliance
    finally:
        machine.kill()
        machine.hardware = right
        machine.start()
        appliance.wait(600)


def seal(appliance: Appliance) -> tuple[int, str]:
    """Seal a bundle; return the exit status and what was said."""
    done = appliance.machine.ssh(
        "bpci mempool seal --target eip155:1 --out - | wc -c; exit ${PIPESTATUS[0]}",
        user=appliance.owner.name,
        key=appliance.owner.key,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def issues(appliance: Appliance) -> set[str]:
    """Return the codes of what the doctor finds about the time."""
    found = json.loads(appliance.sudo("bpci doctor clock guard --json || true"))
    return {issue["code"] for result in found["results"] for issue in result["issues"]}


def test_the_machine_comes_up_says_so_and_goes_on_once_its_clock_is_set(misled: Appliance) -> None:
    assert abs(int(misled.run("date +%s")) - time.time()) > 86400 * 180
    assert misled.status()["node"]["registered"]
    assert misled.run("systemctl --failed --plain --no-legend").strip() == ""
    assert "clock.wrong" in issues(misled)
    is_ahead = int(misled.run("date +%s")) > time.time()
    status, text = seal(misled)
    if is_ahead:
        assert status != 0
        assert "guard.expired" in text or "run out" in text, text
    now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    misled.sudo(f"bpci machine clock --set '{now}' || true")  # 1: no time server steers it
    misled.sudo("bpci registry token")
    assert not {code for code in issues(misled) if code.startswith("guard.")}
    status, text = seal(misled)
    assert status == 0, text
