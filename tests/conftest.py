"""What holds for every test: a machine that is busy with something else makes none of them fail."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# Examples are counted, not timed: what takes too long as a whole is ended by pytest's own timeout.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# What shares costly things, or must see a whole run, stays in one process; each other test goes wherever there is room.
EMULATED = (
    "test_appliance.py",
    "test_disk_encryption.py",
    "test_hardening_live.py",
    "test_install.py",
    "test_machines.py",
    "test_power_cuts.py",
    "test_vagrant.py",
    "test_wifi.py",
    "test_wizard_ways.py",
    "test_wrong_clock.py",
)
PROCESSES = {
    # Of the emulated machines the one that is set up apart, so that two processes have as much to do.
    "tests/infra/test_power_cuts.py::test_cuts_during_set_up": "emulated machine that is set up",
    **{f"tests/infra/{name}": "emulated machines" for name in EMULATED},
    "tests/infra/": "native machines",
    "tests/integration/": "networks",
    "tests/unit/chain/": "chain",
}


class Processes(LoadScopeScheduling):  # type: ignore[misc]
    """Hands tests out to processes, those that belong together to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return next((name for start, name in PROCESSES.items() if nodeid.startswith(start)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Processes:
    """Return who hands tests out when there are several processes."""
    return Processes(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a second try to a test that races a clock."""
    if item.get_closest_marker("real_time"):
        item.add_marker(pytest.mark.flaky(reruns=1))
