from pathlib import Path

import pytest

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
