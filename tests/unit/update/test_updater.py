"""The way back: whatever is cut off in it, and however full the disk is, nothing that was acknowledged is lost."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import HostError, RefusedError
from bpci_node.store.database import DirectoryLock
from bpci_node.update import databases, health
from bpci_node.update.bundle import Release
from bpci_node.update.records import Installed, Journal, Phase, Version
from bpci_node.update.service import Condition
from bpci_node.update.settings import Settings
from bpci_node.update.updater import Updater

FORMER = Version("bpci-aaaa", "0.1.0", formats=databases.FORMATS)
COMING = Version("bpci-bbbb", "0.2.0", 7, "ab" * 32, (databases.FORMATS[0] + 1, databases.FORMATS[1]))
ALIKE = replace(COMING, formats=FORMER.formats)


class Cut(BaseException):
    """The power goes."""


class SimulatedService:
    """The service manager: the node runs on the databases, and every start of it acknowledges one more thing."""

    def __init__(self, state: Path) -> None:
        self.state, self.lock = state, None  # type: Path, DirectoryLock | None
        self.refuses, self.ready_at, self.is_starting_again = "", 1, False

    def condition(self) -> Condition:
        is_up = self.lock is not None or self.is_starting_again
        return Condition("active" if is_up else "inactive", 0, "success", self.ready_at)

    def start(self, _seconds: float) -> str:
        if self.refuses:
            self.is_starting_again = True  # as Restart=on-failure has it
            return self.refuses
        self.lock = self.lock or DirectoryLock(self.state)
        self.ready_at += 1
        acknowledge(self.state)
        return ""

    def stop(self) -> None:
        self.is_starting_again = False
        if self.lock is not None:
            self.lock.release()
            self.lock = None


def acknowledge(state: Path) -> None:
    with sqlite3.connect(state / "node.db") as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()


def acknowledged(state: Path) -> int:
    with sqlite3.connect(state / "node.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM t").fetchone()
    connection.close()
    return int(count)


class Place:
    """A machine with two versions and a node that has acknowledged one thing."""

    def __init__(self, home: Path) -> None:
        self.state = home / "node"
        self.state.mkdir(parents=True)
        with sqlite3.connect(self.state / "node.db") as connection:
            connection.execute("CREATE TABLE t (x)")
        connection.close()
        acknowledge(self.state)
        for version in (FORMER, COMING):
            (home / f"opt/{version.prefix}").mkdir(parents=True)
            marker = f"python /usr/bin/python3\nbpci_community_os=={version.version} --hash=sha256:00\n"
            (home / f"opt/{version.prefix}/.complete").write_text(marker)
        (home / "opt/bpci").symlink_to(COMING.prefix)
        (home / "node.toml").write_text(
            f'v = 1\nstate_dir = "{self.state}"\n[node]\nname = "a"\n[ledger]\nmode = "network"\n'
            'network_file = "/n"\n[[targets]]\nid = "eip155:1"\nbase_fee_wei = "1"\n'
        )
        self.settings = Settings(
            prefix=home / "opt/bpci",
            state=home / "update",
            config=home / "node.toml",
            keys=(),
            metrics=home / "none",
            drain_seconds=0,
        )
        self.service = SimulatedService(self.state)
        self.updater = self.anew()

    def anew(self) -> Updater:
        """As another process sees it."""
        updater = Updater(self.settings, lambda _text: None)
        updater.service = self.service  # type: ignore[assignment]
        return updater

    def journal(self, phase: Phase, coming: Version = COMING, **changes: Any) -> None:
        self.updater.records.put_journal(
            replace(Journal(phase, FORMER, coming, 1, was_running=True), **changes),
        )

    def copied(self) -> None:
        self.settings.state.mkdir(exist_ok=True)
        databases.copy_away(self.state, self.settings.state)

    def linked(self) -> str:
        return self.settings.prefix.readlink().name


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    SimulatedService.stop(made.service)


def cutting(place: Place, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise Cut

    monkeypatch.setattr(owner, name, cut)


def test_databases_stay_when_the_power_goes_after_the_copy_was_dropped(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.copied()
    place.journal(Phase.RETURNING, has_copy=True)
    cutting(place, monkeypatch, place.updater.records, "end_journal")
    with pytest.raises(Cut):
        place.updater.recover(at_boot=False)
    assert not databases.is_kept(place.settings.state)
    place.service.stop()
    verdict = place.anew().recover(at_boot=True)
    assert verdict is not None
    assert verdict["outcome"] == "rolled_back"
    assert acknowledged(place.state) == 2  # before, and by the former version when it was back
    assert place.linked() == FORMER.prefix


def test_databases_go_back_once_though_the_power_goes_when_the_former_version_serves_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.copied()
    acknowledge(place.state)  # by the new version, which never became ready
    place.journal(Phase.PROVING, has_copy=True)
    monkeypatch.setattr(databases, "_link_or_copy", databases._copy)  # as where the copy is on another disk
    cutting(place, monkeypatch, databases, "drop_copy")
    with pytest.raises(Cut):
        place.updater.recover(at_boot=False)
    monkeypatch.undo()
    assert acknowledged(place.state) == 2
    place.service.stop()
    place.anew().recover(at_boot=True)
    assert acknowledged(place.state) == 2
    assert not databases.is_kept(place.settings.state)


def test_an_update_that_fails_leaves_the_copy_of_the_one_before(place: Place) -> None:
    records = place.updater.records
    place.copied()
    former, current = FORMER, replace(COMING, prefix="bpci-bbbb")
    records.put_installed(Installed(7, current.digest, current, former, has_copy=True))
    records.put_journal(Journal(Phase.PROVING, current, replace(ALIKE, prefix="bpci-cccc"), 2, was_running=True))
    place.updater.recover(at_boot=True)
    assert databases.is_kept(place.settings.state)
    acknowledge(place.state)
    verdict = place.anew().roll_back(with_copy=True)
    assert (verdict["outcome"], place.linked(), acknowledged(place.state)) == ("returned", FORMER.prefix, 1)
    assert records.installed().current == former


def test_a_node_that_was_started_by_hand_meanwhile_runs_again_afterwards(place: Place) -> None:
    place.journal(Phase.PROVING, ALIKE, was_running=False)
    place.service.start(1)
    place.updater.recover(at_boot=False)
    assert (place.linked(), place.service.condition().active) == (FORMER.prefix, "active")


def test_nothing_is_removed_for_a_copy_that_is_gone(place: Place) -> None:
    place.updater.records.put_installed(Installed(7, COMING.digest, COMING, FORMER, has_copy=True))
    with pytest.raises(RefusedError) as caught:
        place.updater.roll_back(with_copy=True)
    assert caught.value.code == "update.formats"
    place.journal(Phase.RETURNING, has_copy=True)
    place.updater.recover(at_boot=True)
    assert acknowledged(place.state) == 1


def test_the_former_version_serves_again_though_the_disk_is_full(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.journal(Phase.PROVING, ALIKE)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place.updater.records, "_write", full)
    with pytest.raises(HostError) as caught:
        place.updater.recover(at_boot=False)
    assert caught.value.code == "update.disk"
    assert (place.linked(), place.service.condition().active) == (FORMER.prefix, "active")
    verdict = place.anew().recover(at_boot=False)
    assert verdict is not None
    assert verdict["outcome"] == "rolled_back"


def test_words_of_a_program_in_the_reason_do_not_stop_a_recovery(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.journal(Phase.PROVING, ALIKE, reason="")
    cutting(place, monkeypatch, place.service, "stop")
    with pytest.raises(Cut):
        place.updater._go_back(_read(place), "Job failed.\n\x1b[0mSee 'systemctl status'.", at_boot=False)
    monkeypatch.undo()
    verdict = place.anew().recover(at_boot=True)
    assert verdict is not None
    assert verdict["reason"] == "Job failed. [0mSee 'systemctl status'."


def _read(place: Place) -> Journal:
    journal = place.updater.records.journal()
    assert journal is not None
    return journal


RELEASE = Release(None, bytes(32), "k", (), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("times_ready", "outcome"), [(0, "rolled_back"), (1, "kept")], ids=["never-ready", "ready-once"]
)
def test_what_never_became_ready_is_undone_though_it_is_started_again_and_again(
    place: Place, times_ready: int, outcome: str
) -> None:
    service = place.service
    (place.settings.prefix).unlink()
    place.settings.prefix.symlink_to(FORMER.prefix)
    assert service.start(1) == ""
    start = service.start

    def starting(seconds: float) -> str:
        service.refuses = "it did not start: exit-code" if place.linked() == COMING.prefix else ""
        said = start(seconds)
        service.ready_at += times_ready if said else 0
        return said

    service.start = starting  # type: ignore[method-assign]
    journal = Journal(Phase.INSTALLING, FORMER, COMING, 1, was_running=True)
    verdict = place.updater._change(journal, None, RELEASE)
    assert verdict["outcome"] == outcome
    assert place.linked() == (FORMER.prefix if outcome == "rolled_back" else COMING.prefix)
    assert service.condition().is_running
    assert databases.is_kept(place.settings.state) is (outcome == "kept")


def test_successors_of_keys_are_known_before_a_release_counts_as_installed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("bpci_node.update.updater.remember", lambda place, items: told.append((place, items)))
    monkeypatch.setattr(health, "await_health", lambda *_, **__: "")
    cutting(place, monkeypatch, place.updater, "_finish")
    with pytest.raises(Cut):
        place.updater._change(Journal(Phase.INSTALLING, FORMER, ALIKE, 1, was_running=True), None, RELEASE)
    assert _read(place).phase is Phase.CONFIRMED
    assert told == [(place.settings.state / "keys", ())]


def test_databases_are_not_replaced_under_a_running_node(place: Place) -> None:
    place.copied()
    place.journal(Phase.RETURNING, has_copy=True)
    place.service.start(1)
    with pytest.raises(Exception, match="another node process") as caught:
        place.updater.recover(at_boot=True)
    assert getattr(caught.value, "code", "") == "storage.locked"
    assert acknowledged(place.state) == 2
