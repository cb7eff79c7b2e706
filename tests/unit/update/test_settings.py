from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bpci_node.errors import UsageError
from bpci_node.update.settings import Settings, Window, load_settings


def moment(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_without_a_file_everything_has_a_value(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none") == Settings()


def test_what_the_owner_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "updates.toml"
    path.write_text(
        'v = 1\n[window]\ndays = ["saturday"]\nbegins = "23:30"\nminutes = 60\ntime_zone = "Europe/Paris"\n'
        'reboot = false\n[gate]\nsettle_seconds = 30\n[place]\nprefix = "/srv/bpci"\n'
    )
    found = load_settings(path)
    assert found.window == Window(("saturday",), "23:30", 60, "Europe/Paris", reboot=False)
    assert (found.settle_seconds, found.prefix) == (30, Path("/srv/bpci"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v = 2",
        "v = 1\nother = 1",
        'v = 1\n[window]\nbegins = "3:00"',
        'v = 1\n[window]\nbegins = "03:01"',
        'v = 1\n[window]\ndays = ["someday"]',
        'v = 1\n[window]\ntime_zone = "Nowhere/Here"',
        'v = 1\n[window]\ntime_zone = "../../etc/passwd"',
        "v = 1\n[window]\nminutes = 1",
        "v = 1\n[gate]\nready_seconds = -1",
        'v = 1\n[place]\nprefix = "relative"',
    ],
)
def test_a_wrong_value_is_refused_and_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "updates.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        load_settings(path)
    assert raised.value.code.startswith("config.")


@pytest.mark.parametrize(
    ("window", "when", "is_open"),
    [
        (Window(), "2026-03-02T03:00", True),
        (Window(), "2026-03-02T04:59", True),
        (Window(), "2026-03-02T05:00", False),
        (Window(), "2026-03-02T02:59", False),
        (Window(days=("monday",)), "2026-03-02T03:30", True),
        (Window(days=("tuesday",)), "2026-03-02T03:30", False),
        # Over midnight, the day is that on which it begins.
        (Window(days=("monday",), begins="23:00", minutes=180), "2026-03-03T01:30", True),
        (Window(days=("tuesday",), begins="23:00", minutes=180), "2026-03-03T01:30", False),
    ],
)
def test_the_window_is_open_on_its_days_from_its_beginning_on(window: Window, when: str, *, is_open: bool) -> None:
    assert window.is_open(moment(when)) is is_open


def test_the_window_follows_the_owner_s_clock_when_clocks_change() -> None:
    window = Window(begins="01:00", minutes=120, time_zone="Europe/Paris")
    # On 29 March 2026 the clocks went from 2:00 to 3:00: two hours after 1:00 it was 4:00.
    assert window.is_open(moment("2026-03-29T03:59", "Europe/Paris"))
    assert not window.is_open(moment("2026-03-29T04:00", "Europe/Paris"))
    assert window.is_open(moment("2026-03-28T01:00", "Europe/Paris"))
