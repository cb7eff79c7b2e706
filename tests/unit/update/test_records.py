import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.errors import StorageError
from bpci_node.update.metrics import write_metrics
from bpci_node.update.records import KEEP_HISTORY, Installed, Journal, Phase, Records, Version
from bpci_node.update.settings import Settings

FORMER = Version("bpci-aaaa", "0.1.0", formats=(2, 2))
COMING = Version("bpci-bbbb", "0.2.0", 7, "ab" * 32, (2, 2))


def verdict(outcome: str, began_ms: int = 1) -> dict[str, object]:
    return {"kind": "update", "began_ms": began_ms, "ended_ms": 2, "to": "0.2.0", "outcome": outcome}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    records = Records(tmp_path / "update")
    assert (records.journal(), records.installed(), records.history()) == (None, Installed(), [])
    journal = Journal(Phase.PROVING, FORMER, COMING, 5, was_running=True, reason="why", before={"height": 3})
    assert records.put_journal(journal) == records.journal() == journal
    installed = Installed(7, "ab" * 32, COMING, FORMER, has_copy=True)
    records.put_installed(installed)
    assert records.installed() == installed
    records.end_journal()
    assert records.journal() is None


@pytest.mark.parametrize("name", ["journal.json", "installed.json", "history.json"])
@pytest.mark.parametrize("data", [b"", b"[" * 100, b'{"v": 1}', b'"x"', b"\xff"], ids=str)
def test_a_damaged_record_is_named(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    records = Records(tmp_path)
    with pytest.raises(StorageError) as raised:
        {"journal.json": records.journal, "installed.json": records.installed, "history.json": records.history}[name]()
    assert raised.value.code == "update.record"


def test_a_journal_that_names_another_place_is_refused(tmp_path: Path) -> None:
    records = Records(tmp_path)
    evil = replace(FORMER, prefix="../../etc")
    records.put_journal(Journal(Phase.PROVING, evil, COMING, 1))
    with pytest.raises(StorageError):
        records.journal()


def test_history_keeps_the_newest_and_tells_one_update_once(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for number in range(KEEP_HISTORY + 5):
        records.add_verdict(verdict("installed", number))
    records.add_verdict(verdict("kept", KEEP_HISTORY + 4))
    history = records.history()
    assert len(history) == KEEP_HISTORY
    assert history[-1]["outcome"] == "kept"
    assert history[-2]["began_ms"] == KEEP_HISTORY + 3


def test_history_stays_readable_however_much_each_restart_has_to_tell(tmp_path: Path) -> None:
    records, packages = Records(tmp_path), ["a-package-with-a-long-name 1 -> 2" * 10] * 400
    for number in range(12):
        records.add_verdict(verdict("well", number) | {"kind": "restart", "details": {"packages": packages}})
    history = records.history()
    assert history[-1]["began_ms"] == 11
    assert 5 < len(history) < 12


def test_the_recovery_at_boot_finds_the_former_version_in_the_journal(tmp_path: Path) -> None:
    Records(tmp_path).put_journal(Journal(Phase.PROVING, FORMER, COMING, 1))
    script = (Path(__file__).parents[3] / "ansible/roles/updates/files/usr/lib/bpci/update-recover").read_text()
    (line,) = [line for line in script.splitlines() if line.startswith("former=$(sed")]
    expression = line.split("'")[1]
    command = ["sed", "-n", expression, str(tmp_path / "journal.json")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "bpci-aaaa\n"


def test_metrics_say_what_waits_and_what_failed(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "update", metrics=tmp_path / "metrics")
    write_metrics(settings, pending=3)
    assert not settings.metrics.exists()  # without node_exporter nothing is made
    settings.metrics.mkdir()
    records = Records(settings.state)
    records.add_verdict(verdict("rolled_back"))
    write_metrics(settings, pending=3)
    text = (settings.metrics / "bpci_update.prom").read_text()
    assert "\nbpci_update_pending 3\n" in text
    assert "\nbpci_update_failed 1\n" in text
    records.add_verdict(verdict("installed", 2))
    write_metrics(settings)
    text = (settings.metrics / "bpci_update.prom").read_text()
    assert "\nbpci_update_pending 3\n" in text
    assert "\nbpci_update_failed 0\n" in text
    assert json.dumps(text).count("HELP") == 3
