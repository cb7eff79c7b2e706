import sqlite3
from pathlib import Path

import pytest

from bpci_node.errors import StorageError
from bpci_node.store.database import DirectoryLock
from bpci_node.update import databases


def rows(path: Path) -> list[int]:
    with sqlite3.connect(path) as connection:
        found = [row[0] for row in connection.execute("SELECT x FROM t")]
    connection.close()
    return found


def test_databases_go_back_whole_with_their_logs_and_guards_stay_as_they_are(tmp_path: Path) -> None:
    state, place = tmp_path / "node", tmp_path / "update"
    (state / "guard").mkdir(parents=True)
    (state / "guard/votes.db").write_bytes(b"before")
    writer = sqlite3.connect(state / "node.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (x)")
    writer.execute("INSERT INTO t VALUES (1)")
    writer.commit()
    place.mkdir()
    # As a killed node leaves it: what was committed is in the log alone.
    databases.copy_away(state, place)
    assert (place / "databases/node.db-wal").stat().st_size > 0
    writer.execute("INSERT INTO t VALUES (2)")
    writer.commit()
    writer.close()
    (state / "guard/votes.db").write_bytes(b"after")
    (state / "new.db").write_bytes(b"of the newer version")
    assert rows(state / "node.db") == [1, 2]
    for _ in range(2):  # it may be repeated
        databases.put_back(state, place)
    assert rows(state / "node.db") == [1]
    assert not (state / "new.db").exists()
    assert (state / "guard/votes.db").read_bytes() == b"after"
    databases.drop_copy(place)
    assert list(place.iterdir()) == []


def test_databases_of_a_running_node_are_not_copied(tmp_path: Path) -> None:
    state = tmp_path / "node"
    state.mkdir()
    (state / "node.db").write_bytes(b"x")
    lock = DirectoryLock(state)
    with pytest.raises(StorageError) as caught:
        databases.copy_away(state, tmp_path / "update")
    lock.release()
    assert caught.value.code == "storage.locked"
    assert not databases.is_kept(tmp_path / "update")


def test_a_copy_that_broke_off_is_none(tmp_path: Path) -> None:
    state, place = tmp_path / "node", tmp_path / "update"
    state.mkdir()
    (state / "node.db").write_bytes(b"x")
    (place / "databases.partial").mkdir(parents=True)
    (place / "databases.partial/node.db").write_bytes(b"half")
    databases.copy_away(state, place)
    assert (place / "databases/node.db").read_bytes() == b"x"
    assert not (place / "databases.partial").exists()
