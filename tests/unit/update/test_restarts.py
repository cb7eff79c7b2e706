import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from bpci_node.errors import LimitError
from bpci_node.runtime.backup.lock import alone
from bpci_node.update import restarts
from bpci_node.update.settings import Settings, Window

LOG = """2026-03-01 04:00:00 startup archives unpack
2026-03-01 04:00:01 upgrade openssl:amd64 3.0.15-1 3.0.16-1
2026-03-02 04:00:01 upgrade openssl:amd64 3.0.16-1 3.0.17-1
2026-03-02 04:00:02 status installed openssl:amd64 3.0.17-1
2026-03-02 04:00:03 install linux-image-6.1.0-35-amd64:amd64 <none> 6.1.137-1
2026-03-03 04:00:03 upgrade openssl:amd64 3.0.17-1 3.0.18-1
"""


def test_packages_that_changed_since_are_told_once_with_first_and_last_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "PACKAGE_LOG", tmp_path / "dpkg.log")
    assert restarts.changed_packages("0") == []
    (tmp_path / "dpkg.log").write_text(LOG)
    assert restarts.changed_packages("2026-03-02 00:00:00") == [
        restarts.Package("openssl", "3.0.16-1", "3.0.18-1"),
        restarts.Package("linux-image-6.1.0-35-amd64", "<none>", "6.1.137-1"),
    ]


def test_nothing_is_done_while_the_window_is_closed(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path, metrics=tmp_path / "none", window=Window(days=("monday",)))
    tuesday = 1_772_508_600.0  # 2026-03-03 03:30 UTC
    said: list[str] = []
    assert restarts.keep_window(settings, said.append, now_s=tuesday) == "closed"
    assert said == []


def test_a_restart_that_the_owner_holds_back_is_not_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "reboot-required"
    mark.touch()
    monkeypatch.setattr(restarts, "REBOOT_MARK", mark)
    monkeypatch.setattr(restarts, "waiting_packages", lambda: 2)  # this host's archive is asked nothing
    settings = Settings(state=tmp_path, metrics=tmp_path / "none", window=Window(reboot=False))
    said: list[str] = []
    assert restarts.keep_window(settings, said.append, now_s=1_772_508_600.0) == "held"
    assert "hold it back" in said[0]


@pytest.fixture
def wanting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A machine whose packages want a restart in an open window; what is asked of the service manager."""
    calls: list[list[str]] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, b"", b"")

    (tmp_path / "reboot-required").touch()
    for name in ("REBOOT_MARK", "PLANNED_MARK", "BACKUPS"):
        mark = {"REBOOT_MARK": "reboot-required", "PLANNED_MARK": "planned", "BACKUPS": "backup"}[name]
        monkeypatch.setattr(restarts, name, tmp_path / mark)
    monkeypatch.setattr(restarts, "waiting_packages", lambda: 0)
    monkeypatch.setattr(restarts, "_run", run)
    return calls


def keep(tmp_path: Path) -> str:
    settings = Settings(state=tmp_path / "update", metrics=tmp_path / "none", config=tmp_path / "none.toml")
    return restarts.keep_window(settings, lambda _text: None, now_s=1_772_508_600.0)


def test_a_restart_waits_for_work_on_backups(tmp_path: Path, wanting: list[list[str]]) -> None:
    with alone(tmp_path / "backup"):
        assert keep(tmp_path) == "waiting"
    assert (wanting, (tmp_path / "update/restart.json").exists()) == ([], False)
    assert keep(tmp_path) == "rebooting"
    assert wanting == [["systemctl", "reboot"]]
    assert (tmp_path / "update/restart.json").exists()


def test_a_backup_that_begins_while_the_auctions_end_is_not_cut_off(
    tmp_path: Path, wanting: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as work:
        monkeypatch.setattr(restarts, "drain", lambda *_: work.enter_context(alone(tmp_path / "backup")))
        assert keep(tmp_path) == "waiting"
        assert wanting == []


def test_no_backup_begins_while_the_machine_goes_down(
    tmp_path: Path, wanting: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with alone(tmp_path / "backup"):
        pass  # one was made before
    tried: list[str] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        with pytest.raises(LimitError) as caught, alone(tmp_path / "backup"):
            pass
        tried.append(caught.value.code)
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(restarts, "_run", run)
    assert keep(tmp_path) == "rebooting"
    assert tried == ["backup.busy"]


def test_the_group_of_the_node_sees_that_work_on_backups_is_under_way(tmp_path: Path) -> None:
    place = tmp_path / "backup"
    place.mkdir(mode=0o700)  # as a unit with a narrow mask has made it
    with alone(place):
        assert (place.stat().st_mode & 0o777, (place / "lock").stat().st_mode & 0o777) == (0o750, 0o640)


def test_a_report_is_made_after_the_restart_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "planned"
    monkeypatch.setattr(restarts, "PLANNED_MARK", mark)
    settings = Settings(state=tmp_path, metrics=tmp_path / "none", config=tmp_path / "none.toml")
    assert restarts.report(settings, print) is None
    plan = (
        '{"v": 1, "planned_ms": 1000, "kernel": "6.1.0-1", "packages": ["linux-image"], "since": "0", "before": null}'
    )
    (tmp_path / "restart.json").write_text(plan)
    mark.touch()
    assert restarts.report(settings, print) is None
    mark.unlink()  # as a boot does
    found = restarts.report(settings, print)
    assert found is not None
    assert "kernel 6.1.0-1 -> " in found["summary"]
    assert found["details"]["wanted_by"] == ["linux-image"]
    assert restarts.report(settings, print) is None
