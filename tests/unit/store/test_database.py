import os
import sqlite3
import stat
from pathlib import Path

import pytest

from bpci_node.errors import StorageError
from bpci_node.store.database import APPLICATION_ID, DirectoryLock, is_lost, open_writer, storage_error
from bpci_node.store.schema import VERSION
from bpci_node.store.store import Store


def pragma(path: Path, name: str) -> object:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


def refusal(path: Path) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_writer(path)
    return caught.value


def test_a_new_database_names_its_application_and_version_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    open_writer(path).close()
    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == VERSION
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_commits_are_synced_to_the_disk(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "node.db")
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    connection.close()


def test_an_interrupted_creation_leaves_a_file_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    path.touch()
    open_writer(path).close()
    assert pragma(path, "user_version") == VERSION


def test_another_applications_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    error = refusal(path)
    assert error.code == "storage.foreign"
    assert error.hint
    assert path.read_bytes() == before


def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    open_writer(path).close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version={VERSION + 1}")
    newer.close()
    before = path.read_bytes()
    assert refusal(path).code == "storage.newer"
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    path.write_bytes(b"this is not a database" * 400)
    assert refusal(path).code == "storage.damaged"


def test_a_damaged_page_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(200):
        store.set_meta(f"key{number}", os.urandom(2000))
    store.close()
    path = tmp_path / "node.db"
    data = bytearray(path.read_bytes())
    for offset in range(4096 * 8, len(data) - 4096, 4096):
        data[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(data)
    damaged = Store(tmp_path)
    with pytest.raises(StorageError) as caught:
        damaged.query("SELECT sum(length(value)) FROM meta")
    assert caught.value.code == "storage.damaged"
    damaged.close()


def test_a_directory_in_place_of_the_file_is_an_access_error(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    path.mkdir()
    assert refusal(path).code == "storage.access"


def test_a_second_store_in_one_directory_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    first = Store(tmp_path)
    with pytest.raises(StorageError) as caught:
        Store(tmp_path)
    assert caught.value.code == "storage.locked"
    assert str(os.getpid()) in caught.value.message
    first.close()
    Store(tmp_path).close()


def test_a_refused_database_leaves_the_directory_unlocked(tmp_path: Path) -> None:
    (tmp_path / "node.db").write_bytes(b"x" * 5000)
    with pytest.raises(StorageError):
        Store(tmp_path)
    DirectoryLock(tmp_path).release()


def test_a_state_directory_below_a_file_is_an_access_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        Store(tmp_path / "file" / "state")
    assert caught.value.code == "storage.access"


@pytest.mark.parametrize(
    ("name", "code", "lost"),
    [
        ("SQLITE_FULL", "storage.full", False),
        ("SQLITE_CORRUPT", "storage.damaged", True),
        ("SQLITE_READONLY", "storage.access", False),
        ("SQLITE_IOERR_WRITE", "storage.io", False),
        ("SQLITE_IOERR_FSYNC", "storage.io", True),
    ],
)
def test_errors_of_the_database_are_told_apart(name: str, code: str, *, lost: bool) -> None:
    foreign = sqlite3.OperationalError("as the library says")
    foreign.sqlite_errorcode = getattr(sqlite3, name)
    error = storage_error(foreign, Path("/x/node.db"))
    assert error.code == code
    assert is_lost(error) is lost
    assert error.hint
