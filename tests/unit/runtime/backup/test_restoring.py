"""A backup takes a state's place in one step, and what this machine has signed stays known at every moment."""

import os
from pathlib import Path
from typing import Any

import pytest

from bpci_node.consensus.guard import FileSignGuard
from bpci_node.errors import RefusedError, StorageError
from bpci_node.runtime.backup import restoring
from bpci_node.runtime.backup.contents import LedgerMark, Manifest
from bpci_node.store.database import DirectoryLock
from bpci_node.store.state_directory import exchange
from bpci_node.store.store import Store

NOW_MS = 1_795_312_061_000


def manifest(*, height: int = 0, is_own: bool = False) -> Manifest:
    block = "ab" * 32 if height else ""
    return Manifest(1, "0.1.0", "", 0, LedgerMark("l", is_own, height, block, block), {})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What was restored and proved: a database of the node's form."""
    place = tmp_path / "tree"
    place.mkdir()
    Store(place).close()
    return place


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with a guard of votes and one of an arrival journal."""
    place = tmp_path / "node"
    (place / "guard").mkdir(parents=True)
    Store(place).close()
    (place / "guard/votes.db").write_bytes(b"what was voted")
    (place / "guard/arrivals-1").write_bytes(b"of the journal")
    return place


def test_guards_go_on_and_the_earlier_state_is_moved_aside(tree: Path, state: Path) -> None:
    old = restoring.put_in_place(tree, manifest(), state, now_ms=NOW_MS)
    assert old is not None
    assert [path.name for path in (state / "guard").iterdir()] == ["votes.db"]
    assert {path.name for path in state.iterdir()} == {"node.db", "guard"}
    assert (old / "guard/arrivals-1").read_bytes() == b"of the journal"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_power_cut_while_the_states_change_places_loses_no_guard(
    tree: Path, state: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def cut(first: Path, second: Path) -> bool:
        if moment == "after":
            exchange(first, second)
        raise SystemExit

    monkeypatch.setattr(restoring, "exchange", cut)
    with pytest.raises(SystemExit):
        restoring.put_in_place(tree, manifest(), state, now_ms=NOW_MS)
    monkeypatch.undo()
    assert (state / "guard/votes.db").read_bytes() == b"what was voted"
    assert (state / "node.db").exists()
    # It is begun again, and nothing that was there is deleted.
    restoring.put_in_place(tree, manifest(), state, now_ms=NOW_MS + 1)
    assert (state / "guard/votes.db").read_bytes() == b"what was voted"
    journals = [path.read_bytes() for path in state.parent.glob("node-before-*/guard/arrivals-1")]
    assert journals == [b"of the journal"]


def test_what_a_restore_that_was_cut_off_had_built_is_taken_away(
    tree: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state.with_name("node.restored")).mkdir()
    (state.with_name("node.restored") / "unfinished").touch()

    def full(_database: Path) -> None:
        raise StorageError("full", code="storage.full")

    monkeypatch.setattr(restoring, "_begin_anew", full)
    with pytest.raises(StorageError):
        restoring.put_in_place(tree, manifest(), state, now_ms=NOW_MS)
    assert {path.name for path in state.parent.iterdir()} == {"tree", "node"}


def test_no_node_starts_while_its_state_is_replaced(tree: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, codes = restoring._begin_anew, []

    def starting(database: Path) -> None:
        with pytest.raises(StorageError) as caught:
            DirectoryLock(state)
        codes.append(caught.value.code)
        begin(database)

    monkeypatch.setattr(restoring, "_begin_anew", starting)
    restoring.put_in_place(tree, manifest(), state, now_ms=NOW_MS)
    assert codes == ["storage.locked"]
    DirectoryLock(state).release()


def test_a_file_system_that_cannot_exchange_names_renames_them(
    tree: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "exchange", lambda _first, _second: False)
    old = restoring.put_in_place(tree, manifest(), state, now_ms=NOW_MS)
    assert old is not None
    assert (old / "guard/arrivals-1").exists()
    assert (state / "guard/votes.db").exists()


def test_the_lock_that_root_makes_belongs_to_the_node(tree: Path, state: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(state, 1, 1)
    (state / "lock").unlink(missing_ok=True)
    restoring.require_stopped(state)
    assert (state / "lock").stat().st_uid == 1


def test_a_ledger_of_ones_own_goes_on_only_where_nobody_can_hold_later_blocks(tmp_path: Path) -> None:
    (tmp_path / "guard").mkdir()
    guard, own = FileSignGuard(tmp_path / "guard/blocks"), manifest(height=7, is_own=True)

    def refusal(**changes: Any) -> str:
        try:
            restoring.require_restorable(own, tmp_path, **({"takes_over": False} | changes))
        except RefusedError as error:
            return error.code
        return ""

    assert (refusal(), refusal(takes_over=True)) == ("backup.ledger", "")
    # Another machine has made the blocks since: what this one remembers of earlier days says nothing of them.
    guard.advance(5, bytes(32))
    assert (refusal(), refusal(takes_over=True)) == ("backup.ledger", "")
    guard.advance(7, bytes.fromhex("ab" * 32))
    assert refusal() == ""
    guard.advance(8, bytes(32))
    assert refusal(takes_over=True) == "sign.rolled_back"
    restoring.require_restorable(manifest(height=7), tmp_path, takes_over=False)  # the network has the later blocks
