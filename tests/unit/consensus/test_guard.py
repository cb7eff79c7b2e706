import pytest

from bpci_node.consensus.guard import FileSignGuard
from bpci_node.errors import RefusedError, StorageError


@pytest.fixture
def guard(tmp_path):
    return FileSignGuard(tmp_path / "guard")


def test_nothing_was_signed_before_the_first_block(guard):
    assert guard.last() is None


def test_what_was_signed_is_remembered(guard, tmp_path):
    guard.advance(1, bytes([1]) * 32)
    guard.advance(2, bytes([2]) * 32)
    guard.advance(2, bytes([2]) * 32)
    assert FileSignGuard(tmp_path / "guard").last() == (2, bytes([2]) * 32)
    assert [path.name for path in tmp_path.iterdir()] == ["guard"]
    assert (tmp_path / "guard").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("height", "digest"), [(1, bytes([1]) * 32), (2, bytes([3]) * 32)])
def test_a_second_block_of_a_height_is_refused(guard, height, digest):
    guard.advance(2, bytes([2]) * 32)
    with pytest.raises(RefusedError) as caught:
        guard.advance(height, digest)
    assert caught.value.code == "sign.conflict"
    assert guard.last() == (2, bytes([2]) * 32)


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xa0", b"\xa3\x61v\x02"])
def test_a_damaged_memory_is_not_taken_for_an_empty_one(guard, tmp_path, content):
    (tmp_path / "guard").write_bytes(content)
    for use in (guard.last, lambda: guard.advance(9, bytes(32))):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.code == "storage.guard"


def test_a_memory_that_can_not_be_read_or_written_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        FileSignGuard(tmp_path).last()
    with pytest.raises(StorageError):
        FileSignGuard(tmp_path / "missing" / "guard").advance(1, bytes(32))


def test_a_sequencer_remembers_what_it_let_go(town, guard):
    sequencer = town.sequencer(guard=guard)
    assert guard.last() == (0, town.genesis.hash)
    sequencer.submit([town.command(5)], town.now_ms)
    assert guard.last()[0] == 1
    town.sequencer(guard=guard)


def test_data_restored_from_a_backup_does_not_sign(town, guard, tmp_path):
    sequencer = town.sequencer(guard=guard)
    sequencer.submit([town.command(5)], town.now_ms)
    backup = town.store.copy()
    sequencer.submit([town.command(6)], town.now_ms)
    for restored, memory in (
        (backup, guard),
        (type(backup)(), guard),
        (backup, FileSignGuard(tmp_path / "a new disk")),
    ):
        with pytest.raises(RefusedError) as caught:
            town.sequencer(restored, memory)
        assert caught.value.code == "sign.rolled_back"


def test_another_history_of_the_same_height_does_not_sign(town, guard):
    sequencer = town.sequencer(guard=guard)
    fork = town.store.copy()
    sequencer.submit([town.command(5)], town.now_ms)
    town.sequencer(fork).submit([town.command(6)], town.now_ms)
    with pytest.raises(RefusedError) as caught:
        town.sequencer(fork, guard)
    assert caught.value.code == "sign.conflict"


def test_a_crash_between_store_and_memory_is_made_good(town, guard):
    town.sequencer(guard=guard)
    town.sequencer().submit([town.command(5)], town.now_ms)  # stored, and the memory knows nothing of it
    assert guard.last()[0] == 0
    town.sequencer(guard=guard).submit([town.command(6)], town.now_ms)
    assert guard.last()[0] == 2
