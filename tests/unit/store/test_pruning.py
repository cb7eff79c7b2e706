"""Blocks are let go of in steps, with everything that belongs to them; snapshots are whole or not there."""

from pathlib import Path

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.block import Block, commands_root, sign_block
from bpci_node.chain.context import Event
from bpci_node.chain.result import Result, events_of
from bpci_node.errors import NotFoundError, StorageError
from bpci_node.primitives.keys import LocalSigner
from bpci_node.store import snapshots
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.snapshots import SnapshotFiles
from bpci_node.store.store import Store

SIGNER = LocalSigner(b"\x05" * 32)
ACCOUNT = account_id_of(SIGNER.public_key)
GENESIS_HASH = b"\x07" * 32


def fill(store: Store, count: int) -> SqliteBlockStore:
    blocks = SqliteBlockStore(store)
    for height in range(1, count + 1):
        parent = GENESIS_HASH if height == 1 else bytes(32)
        block = Block(height, height, parent, commands_root([]), bytes(32), SIGNER.public_key)
        event = Event("asset.burned", {"account": ACCOUNT, "amount": height})
        results = [Result(bytes(32), height, None, (event, event))]
        blocks.append_block(
            height,
            sign_block(SIGNER, block).encode(),
            [b"command"],
            [result.encode() for result in results],
            {b"last": str(height).encode()},
            events=events_of(results),
        )
    return blocks


def rows(store: Store, table: str) -> int:
    return len(store.query({"commands": "SELECT 1 FROM commands", "event_index": "SELECT 1 FROM event_index"}[table]))


def test_old_blocks_go_with_their_commands_and_events(store: Store) -> None:
    blocks = fill(store, 10)
    assert rows(store, "event_index") == 40
    assert blocks.origin() is None
    assert blocks.prune(6, most_blocks=4) == 4
    assert blocks.origin() == GENESIS_HASH
    assert blocks.prune(6, most_blocks=4) == 2
    assert blocks.prune(6, most_blocks=4) == 0
    assert (blocks.first_height(), rows(store, "commands"), rows(store, "event_index")) == (7, 4, 16)
    assert blocks.block(6) is None
    assert blocks.commands(7) == [b"command"]
    assert [row[0] for row in blocks.find_events(ACCOUNT)] == [7, 7, 8, 8, 9, 9, 10, 10]
    assert dict(blocks.load_state()) == {b"last": b"10"}


def test_the_last_block_never_goes(store: Store) -> None:
    blocks = fill(store, 3)
    assert blocks.prune(99, most_blocks=99) == 2
    assert blocks.first_height() == 3
    assert blocks.last_block() is not None


def test_pages_of_blocks_are_bounded(store: Store) -> None:
    blocks = fill(store, 5)
    assert len(blocks.block_range(1, most_blocks=3, most_bytes=10**6)) == 3
    assert len(blocks.block_range(4, most_blocks=9, most_bytes=10**6)) == 2
    assert len(blocks.block_range(1, most_blocks=9, most_bytes=len(b"command") * 2)) == 2
    assert len(blocks.block_range(1, most_blocks=9, most_bytes=0)) == 1
    assert blocks.block_range(6, most_blocks=9, most_bytes=10**6) == []


def test_the_state_is_read_page_by_page(store: Store) -> None:
    blocks = SqliteBlockStore(store)
    entries = {number.to_bytes(4): b"x" for number in range(25_000)}
    blocks.append_block(1, b"one", [], [], entries)
    assert dict(blocks.load_state()) == entries


def test_a_snapshot_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path / "snapshots")

    def broken() -> object:
        raise StorageError("the disk failed", code="storage.io")

    with pytest.raises(StorageError):
        files.write(5, [b"chunk"], broken)  # type: ignore[arg-type]
    assert files.heights == ()
    (tmp_path / "snapshots" / "9.partial").mkdir()
    again = SnapshotFiles(tmp_path / "snapshots")
    assert list((tmp_path / "snapshots").iterdir()) == []
    for height in (5, 10, 15):
        again.write(height, [b"a%d" % height, b"b"], lambda: b"manifest")
    assert again.heights == SnapshotFiles(tmp_path / "snapshots").heights == (10, 15)
    assert (again.manifest(15), again.chunk(15, 0), again.chunk(15, 1)) == (b"manifest", b"a15", b"b")
    for height, number in ((5, 0), (15, 2)):
        with pytest.raises(NotFoundError) as caught:
            again.chunk(height, number)
        assert caught.value.code == "chain.snapshot"


def test_a_snapshot_leaves_room_for_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "LEAST_FREE_BYTES", 2**62)
    files = SnapshotFiles(tmp_path / "snapshots")
    with pytest.raises(StorageError) as caught:
        files.write(5, [b"chunk"], lambda: b"manifest")
    assert caught.value.code == "storage.full"
    assert files.heights == ()
