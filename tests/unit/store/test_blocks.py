from pathlib import Path

import pytest

from bpci_node.consensus.ports import BlockStore
from bpci_node.errors import StorageError
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store


def test_blocks_and_state_survive_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    blocks: BlockStore = SqliteBlockStore(store)
    assert blocks.last_block() is None
    blocks.append_block(1, b"one", [b"c1", b"c2"], [b"r1", b"r2"], {b"a": b"1", b"b": b"2"})
    blocks.append_block(2, b"two", [b"c3"], [b"r3"], {b"a": None, b"c": b"3"})
    store.close()
    again = Store(tmp_path)
    blocks = SqliteBlockStore(again)
    assert blocks.last_block() == b"two"
    assert blocks.block(1) == b"one"
    assert blocks.block(3) is None
    assert blocks.commands(1) == [b"c1", b"c2"]
    assert blocks.results(1) == [b"r1", b"r2"]
    assert blocks.commands(9) == []
    assert dict(blocks.load_state()) == {b"b": b"2", b"c": b"3"}
    again.close()


@pytest.mark.parametrize("height", [0, 1, 3])
def test_a_block_that_does_not_follow_changes_nothing(store: Store, height: int) -> None:
    blocks = SqliteBlockStore(store)
    blocks.append_block(1, b"one", [], [], {b"a": b"1"})
    with pytest.raises(StorageError) as caught:
        blocks.append_block(height, b"other", [b"c"], [b"r"], {b"a": b"9"})
    assert caught.value.code == "storage.height"
    assert dict(blocks.load_state()) == {b"a": b"1"}
    assert blocks.last_block() == b"one"
