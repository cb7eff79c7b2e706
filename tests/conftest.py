"""What holds for every test: a machine that is busy with something else makes none of them fail."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Examples are counted, not timed: what takes too long as a whole is ended by pytest's own timeout.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

HERE = Path(__file__).parent
# What shares costly things, or must see a whole run, stays in one process; each other test goes wherever there is room.
PROCESSES = {"unit/chain": "chain", "integration": "networks", "infra": "native"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say in which process a test runs, and give a second try to one that races a clock."""
    place = item.path.relative_to(HERE).as_posix()
    group = next((name for start, name in PROCESSES.items() if place.startswith(f"{start}/")), None)
    if group == "native" and item.get_closest_marker("emulated"):
        group = "machines"
    if group:
        item.add_marker(pytest.mark.xdist_group(group))
    if item.get_closest_marker("real_time"):
        item.add_marker(pytest.mark.flaky(reruns=1))
