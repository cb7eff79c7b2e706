import shutil
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import NotFoundError, ProofError, StorageError, UnreachableError
from bpci_node.host.restic import Snapshot, _milliseconds
from bpci_node.host.restic_errors import restic_error
from bpci_node.runtime.backup import contents, state
from bpci_node.runtime.backup.config import BackupConfig
from bpci_node.runtime.backup.state import Memory, figures
from bpci_node.runtime.backup.work import Backups, choose
from bpci_node.store.store import Store

HOUR = 3_600_000
MADE = [Snapshot(f"{number:x}" * 64, number * HOUR, "attic") for number in (1, 2, 3)]


def test_a_snapshot_is_meant_by_id_by_time_or_as_the_latest() -> None:
    assert choose(MADE, "latest") is MADE[2]
    assert choose(MADE, "22222222") is MADE[1]
    assert choose(MADE, "1970-01-01T02:59") is MADE[1]
    assert choose(MADE, "1970-01-01T04:00+01:00") is MADE[2]


@pytest.mark.parametrize("wanted", ["1970-01-01T00:30", "4" * 8, "yesterday", "222"])
def test_what_means_no_snapshot_is_named(wanted: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        choose(MADE, wanted)
    assert caught.value.code == "backup.snapshot"
    with pytest.raises(NotFoundError):
        choose([], "latest")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-11-22T01:47:41.560897319Z", 560),
        ("2026-11-22T02:47:41.5+01:00", 500),
        ("2026-11-22T01:47:41Z", 0),
        ("2026-11-21T20:47:41.000000001-05:00", 0),
    ],
)
def test_times_of_restic_are_read(text: str, milliseconds: int) -> None:
    assert _milliseconds(text) == 1_795_312_061_000 + milliseconds


def test_what_restic_says_becomes_an_error_of_the_product() -> None:
    said = {
        "Fatal: wrong password or no key found": "backup.key",
        "unable to create lock in backend: repository is already locked by PID 4": "backup.locked",
        "Fatal: unable to save snapshot: write /r/tmp: no space left on device": "backup.room",
        "Fatal: unable to open config file: stat /none/config: no such file or directory": "backup.absent",
        'Fatal: unable to open config file: Head "https://h/config": dial tcp: connection refused': (
            "unreachable.backup"
        ),
        "error: ciphertext verification failed\nFatal: repository contains errors": "backup.damaged",
        "Fatal: DELETE: server response unexpected: 403 Forbidden (403)": "backup.append_only",
        "Fatal: something new": "backup.failed",
        "": "backup.failed",
    }
    assert {text: restic_error(text, "/r", 1).code for text in said} == said


def test_figures_say_zero_for_what_never_was() -> None:
    memory = Memory()
    assert "bpci_backup_last_success_timestamp_seconds 0\n" in figures(memory)
    memory.backup, memory.failures = {"time_ms": 1_999}, {"drill": {}}
    assert "bpci_backup_last_success_timestamp_seconds 1\n" in figures(memory)
    assert "bpci_backup_failed 1\n" in figures(memory)


def test_a_drill_that_would_fill_the_disk_of_the_node_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups = Backups(BackupConfig(str(tmp_path / "r")), bytes(32), root=tmp_path, say=lambda _text: None)

    class Large:
        """A repository whose one snapshot is larger than any disk."""

        def probe(self) -> None:
            pass

        def snapshots(self) -> list[Snapshot]:
            return MADE[:1]

        def size_of(self, _snapshot: str) -> int:
            return 1 << 60

    monkeypatch.setattr(backups, "restic", Large())
    with pytest.raises(StorageError) as caught:
        backups.drill()
    assert caught.value.code == "backup.room"
    assert state.load(tmp_path).failures["drill"]["code"] == "backup.room"


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ProofError("x", code="backup.database"), "damage"),
        (StorageError("x", code="storage.state_root"), "damage"),
        (StorageError("x", code="backup.room"), "nothing"),
        (UnreachableError("x", code="unreachable.backup"), "nothing"),
    ],
    ids=lambda value: getattr(value, "code", str(value)),
)
def test_a_drill_that_could_not_be_made_says_nothing_of_the_backups(error: Any, found: str) -> None:
    memory = Memory()
    assert not memory.is_damaged
    memory.failed("drill", error, 1)
    assert memory.is_damaged is (found == "damage")


def test_a_file_that_goes_while_a_backup_is_made_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, target, copy = tmp_path / "root", tmp_path / "scratch", shutil.copyfile
    (root / "etc/bpci").mkdir(parents=True)
    for name in ("alerts.toml", ".alerts.toml.partial"):
        (root / "etc/bpci" / name).write_text("v = 1\n")
    target.mkdir()
    Store(root / "node").close()

    def replacing(source: Path, *rest: Any, **words: Any) -> Any:
        if Path(source).name.endswith(".partial"):
            Path(source).unlink()
        return copy(source, *rest, **words)

    monkeypatch.setattr(contents.shutil, "copyfile", replacing)
    manifest = contents.collect(target, state_dir=root / "node", root=root, instance=0, is_own=False, made_ms=1)
    assert set(manifest.files) == {"node.db", "etc/bpci/alerts.toml"}
