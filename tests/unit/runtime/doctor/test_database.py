import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bpci_node.errors import StorageError
from bpci_node.host.result import CouldNotTellError
from bpci_node.primitives.hashing import sha256
from bpci_node.runtime.config import NodeConfig
from bpci_node.runtime.doctor.database import DATABASE, judge_status
from bpci_node.runtime.doctor.patient import Patient
from bpci_node.runtime.doctor.sealing import SEALING
from bpci_node.runtime.sealing import bundle_guard
from bpci_node.store.database import DirectoryLock
from bpci_node.store.store import Store


@pytest.fixture
def damaged(config: NodeConfig) -> Path:
    """A real database with blocks, one page of which is overwritten."""
    store = Store(config.state_dir)
    for number in range(1, 60):
        block = os.urandom(3000)
        store.writer.submit(lambda c, n=number, b=block: c.execute("INSERT INTO blocks VALUES (?, ?)", (n, b))).result(
            9
        )
    store.close()
    (config.state_dir / "guard").mkdir(mode=0o700)
    bundle_guard(config.state_dir / "guard", "eip155:1").advance(0, bytes(32))
    path = config.state_dir / "node.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 30 * 4096)
        file.write(os.urandom(2 * 4096))
    return config.state_dir


def test_no_database_yet_is_nothing_wrong(patient: Callable[..., Patient]) -> None:
    assert DATABASE.examine(patient()).text == "none yet"


def test_a_sound_database_is_left_alone(patient: Callable[..., Patient], config: NodeConfig) -> None:
    Store(config.state_dir).close()
    before = (config.state_dir / "node.db").read_bytes()
    assert not DATABASE.examine(patient()).issues
    assert (config.state_dir / "node.db").read_bytes() == before


def test_damage_is_found_copied_aside_and_repaired_and_guards_stay(
    patient: Callable[..., Patient], damaged: Path
) -> None:
    before = {path: path.read_bytes() for path in (damaged / "guard").iterdir()}
    assert before
    broken = sha256((damaged / "node.db").read_bytes())
    issues = DATABASE.examine(patient()).issues
    assert [issue.code for issue in issues] == ["database.damaged"]
    assert sha256((damaged / "node.db").read_bytes()) == broken
    repair = DATABASE.repairs["database.damaged"]
    plan = repair.plan(patient(), issues[0])
    assert "copy the damaged files" in plan[0]
    outcome = repair.carry_out(patient(), issues[0])
    assert outcome.copy is not None
    assert sha256((Path(outcome.copy) / "node.db").read_bytes()) == broken
    assert not DATABASE.examine(patient()).issues
    assert {path: path.read_bytes() for path in (damaged / "guard").iterdir()} == before
    Store(damaged).close()


def test_a_repair_that_lost_a_signed_bundle_says_so(patient: Callable[..., Patient], damaged: Path) -> None:
    bundle_guard(damaged / "guard", "eip155:1").advance(7, bytes(31) + b"7")
    outcome = DATABASE.repairs["database.damaged"].carry_out(patient(), DATABASE.examine(patient()).issues[0])
    assert any("bundle 7 was signed" in line for line in outcome.lost)
    assert [issue.code for issue in SEALING.examine(patient()).issues] == ["sealing.restored"]


def test_an_interrupted_repair_is_damage(patient: Callable[..., Patient], damaged: Path) -> None:
    copy = damaged / "damaged-x"
    copy.mkdir()
    (damaged / "node.db").rename(copy / "node.db")
    (damaged / "repair.json").write_text('{"v": 1, "copy": "damaged-x"}')
    assert "interrupted" in DATABASE.examine(patient()).issues[0].what


def test_a_database_that_somebody_uses_is_not_touched(
    patient: Callable[..., Patient], damaged: Path, config: NodeConfig
) -> None:
    lock = DirectoryLock(config.state_dir)
    try:
        with pytest.raises(CouldNotTellError):
            DATABASE.examine(patient())
        issue = judge_status({"obstacles": [{"code": "storage.damaged", "title": "t"}]})[0]
        # A process that no service manager looks after is ended by whoever started it.
        assert DATABASE.repairs["database.damaged"].plan(patient(pid=1), issue) == ()
        with pytest.raises(StorageError):
            DATABASE.repairs["database.damaged"].carry_out(patient(pid=1), issue)
    finally:
        lock.release()


def test_what_a_running_node_says_counts(patient: Callable[..., Patient]) -> None:
    status = {"obstacles": [{"code": "storage.io", "title": "fsync failed"}, {"code": "storage.full", "title": "full"}]}
    found = DATABASE.examine(patient(pid=1, status=status))
    assert [issue.code for issue in found.issues] == ["database.failing"]
    with pytest.raises(CouldNotTellError):
        DATABASE.examine(patient(pid=1))


def test_another_application_s_database_is_left_to_it(patient: Callable[..., Patient], config: NodeConfig) -> None:
    import sqlite3

    config.state_dir.mkdir(mode=0o700)
    connection = sqlite3.connect(config.state_dir / "node.db")
    connection.execute("PRAGMA application_id=7")
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    found = DATABASE.examine(patient())
    assert [issue.code for issue in found.issues] == ["database.foreign"]


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_looking_and_repairing_as_root_leaves_everything_to_the_node_s_user(
    patient: Callable[..., Patient], damaged: Path
) -> None:
    (damaged / "lock").unlink()
    for path in (damaged, *damaged.rglob("*")):
        os.chown(path, 65_534, 65_534)
    issue = DATABASE.examine(patient()).issues[0]
    DATABASE.repairs["database.damaged"].carry_out(patient(), issue)
    assert not DATABASE.examine(patient()).issues
    SEALING.examine(patient())
    assert {path.stat().st_uid for path in (damaged, *damaged.rglob("*"))} == {65_534}
