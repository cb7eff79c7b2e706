"""Power cuts: the disk as it stands at each statement of a block's commit, taken up again."""

import shutil
from pathlib import Path

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.consensus.embedded import Sequencer
from bpci_node.consensus.guard import FileSignGuard
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store


class CutStore(SqliteBlockStore):
    """Keeps a copy of the whole directory as it stands at each statement of the writer, and after the commit."""

    def __init__(self, store, directory, copies):
        super().__init__(store)
        self.directory, self.copies = directory, copies
        store.writer._connection.set_trace_callback(self.copy)

    def copy(self, _statement=""):
        shutil.copytree(self.directory, self.copies / f"{len(list(self.copies.iterdir())):03}")

    def append_block(self, *args, **changes):
        super().append_block(*args, **changes)
        self.copy()


@pytest.fixture
def copies(town, tmp_path):
    """Copies of a ledger's disk while its second block is made, with the roots of both blocks."""
    directory, copies = tmp_path / "node", tmp_path / "copies"
    copies.mkdir()
    store = Store(directory)
    sequencer = Sequencer(
        town.genesis, town.registry, SqliteBlockStore(store), FileSignGuard(directory / "guard.blocks")
    )
    sequencer.submit([town.command(5)], town.now_ms)
    roots = {1: sequencer.machine.state.root}
    cutting = CutStore(store, directory, copies)
    sequencer = Sequencer(town.genesis, town.registry, cutting, FileSignGuard(directory / "guard.blocks"))
    sequencer.submit([town.command(6), town.command(7)], town.now_ms)
    cutting.copy()
    roots[2] = sequencer.machine.state.root
    store.writer._connection.set_trace_callback(None)
    store.close()
    return sorted(copies.iterdir()), roots


def test_a_block_is_there_as_a_whole_or_not_at_all_and_the_ledger_goes_on(town, copies):
    directories, roots = copies
    heights = []
    for directory in directories:
        store = Store(directory)
        blocks, guard = SqliteBlockStore(store), FileSignGuard(directory / "guard.blocks")
        sequencer = Sequencer(town.genesis, town.registry, blocks, guard)
        height = sequencer.machine.height
        heights.append(height)
        assert sequencer.machine.state.root == roots[height]
        assert len(blocks.commands(height)) == len(blocks.results(height)) == height
        named = {number for number in (5, 6, 7) if blocks.find_events(account_id_of(town.signer(number).public_key))}
        assert named == ({5} if height == 1 else {5, 6, 7})
        results = sequencer.submit([town.command(6), town.command(8)], town.now_ms)
        assert [result.error is None for result in results] == [height == 1, True]
        assert guard.last()[0] == height + 1
        store.close()
    assert heights == sorted(heights)
    assert set(heights) == {1, 2}
    assert len(heights) > 10


@pytest.mark.parametrize("step", ["written", "replaced"])
def test_a_cut_while_the_guard_is_written_is_made_good(town, tmp_path, monkeypatch, step):
    directory = tmp_path / "node"
    store = Store(directory)
    path = directory / "guard.blocks"
    sequencer = Sequencer(town.genesis, town.registry, SqliteBlockStore(store), FileSignGuard(path))

    def cut(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut) if step == "written" else patched.setattr("os.fsync", _after_file(cut))
        with pytest.raises(KeyboardInterrupt):
            sequencer.submit([town.command(5)], town.now_ms)
    again = Sequencer(town.genesis, town.registry, SqliteBlockStore(store), FileSignGuard(path))
    assert again.machine.height == 1
    assert FileSignGuard(path).last()[0] == 1
    store.close()


def _after_file(cut):
    """The file itself is synced; the power goes before its directory is."""
    calls = []

    def fsync(_descriptor):
        calls.append(1)
        if len(calls) > 1:
            cut()

    return fsync
