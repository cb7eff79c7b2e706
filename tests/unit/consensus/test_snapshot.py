from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.chain.genesis import Genesis
from bpci_node.consensus.checkpoint import Checkpoint, issue_checkpoint, verify_checkpoint
from bpci_node.consensus.follower import Follower
from bpci_node.consensus.restoring import restore
from bpci_node.consensus.snapshot import (
    Chunk,
    Manifest,
    chunk_digest,
    chunks_of,
    decode_manifest,
    read_chunk,
    verify_manifest,
)
from bpci_node.errors import BpciError, FormatError, ProofError, StorageError
from bpci_node.primitives.codec import encode
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store


@pytest.fixture
def filled(town):
    sequencer = town.sequencer()
    for number in range(5, 12):
        sequencer.submit([town.command(number)], town.now_ms)
    town.checkpoint = sequencer.checkpoint()
    town.state = sequencer.machine.state
    return town


def made(town, chunk_bytes=700):
    chunks = list(chunks_of(town.state.entries(), chunk_bytes=chunk_bytes))
    named = tuple(Chunk(chunk_digest(data), len(data)) for data in chunks)
    return Manifest(town.checkpoint, town.store.last_block(), len(town.state), named), chunks


@pytest.fixture
def blocks(tmp_path):
    store = Store(tmp_path / "state")
    yield SqliteBlockStore(store)
    store.close()


def code_of(call):
    with pytest.raises(BpciError) as caught:
        call()
    return caught.value.code


def test_a_checkpoint_says_which_ledger_a_block_belongs_to(filled):
    trusted = {"registry_key": filled.registry.public_key, "ledger_id": filled.genesis.ledger_id}
    found = verify_checkpoint(filled.checkpoint, **trusted)
    assert found.height == 7
    assert code_of(lambda: verify_checkpoint(filled.checkpoint, **trusted | {"ledger_id": "x:" + "0" * 64})) == (
        "proof.ledger"
    )
    forged = issue_checkpoint(filled.signer(9), found)
    assert code_of(lambda: verify_checkpoint(forged, **trusted)) == "proof.signature"
    for data in (b"", b"\xa0", filled.checkpoint[:-1], encode({"checkpoint": {}, "signature": bytes(64)})):
        with pytest.raises(FormatError):
            verify_checkpoint(data, **trusted)
    assert filled.sequencer(type(filled.store)()).checkpoint() is None


def test_a_restored_node_has_the_state_and_follows_on(filled, blocks):
    manifest, chunks = made(filled)
    assert len(chunks) > 3
    assert decode_manifest(manifest.encode()) == manifest
    restore(filled.genesis, blocks, manifest, chunks.__getitem__)
    assert blocks.restoring() is None
    follower = Follower(filled.genesis, blocks)
    assert (follower.machine.height, follower.machine.state.root) == (7, filled.state.root)
    sequencer = filled.sequencer()
    sequencer.submit([filled.command(12)], filled.now_ms)
    follower.take(filled.store.block(8), filled.store.commands(8))
    assert follower.machine.state.root == sequencer.machine.state.root
    assert (blocks.first_height(), blocks.origin()) == (7, filled.genesis.hash)


def test_an_interrupted_restoration_goes_on_where_it_was(filled, blocks):
    manifest, chunks = made(filled)
    asked = []

    def fetch(number):
        asked.append(number)
        if len(asked) == 3:
            raise StorageError("gone", code="storage.io")
        return chunks[number]

    with pytest.raises(StorageError):
        restore(filled.genesis, blocks, manifest, fetch)
    assert blocks.restoring()[1] == 2
    restore(filled.genesis, blocks, manifest, fetch)
    assert asked == [0, 1, 2, *range(2, len(chunks))]
    assert Follower(filled.genesis, blocks).machine.state.root == filled.state.root


def test_another_snapshot_than_the_interrupted_one_begins_anew(filled, blocks):
    manifest, chunks = made(filled)
    with pytest.raises(IndexError):
        restore(filled.genesis, blocks, manifest, chunks[:2].__getitem__)
    other, other_chunks = made(filled, chunk_bytes=300)
    restore(filled.genesis, blocks, other, other_chunks.__getitem__)
    assert Follower(filled.genesis, blocks).machine.height == 7


def test_a_snapshot_that_lies_is_found_out_and_leaves_nothing(filled, blocks):
    manifest, chunks = made(filled)
    entries = list(filled.state.entries())
    key, value = entries[0]
    for lie in ([(key, value + b"\x00"), *entries[1:]], entries[1:], [*entries, (b"zzz", b"1")]):
        lies = list(chunks_of(lie))
        named = tuple(Chunk(chunk_digest(data), len(data)) for data in lies)
        lying = replace(manifest, chunks=named, entries=len(lie))
        assert code_of(lambda lying=lying, lies=lies: restore(filled.genesis, blocks, lying, lies.__getitem__)) == (
            "proof.snapshot"
        )
        assert blocks.restoring() == (b"", 0, None)
    wrong_count = replace(manifest, entries=manifest.entries + 1)
    assert code_of(lambda: restore(filled.genesis, blocks, wrong_count, chunks.__getitem__)) == "proof.snapshot"
    assert code_of(lambda: restore(filled.genesis, blocks, manifest, chunks[::-1].__getitem__)) == "proof.snapshot"
    restore(filled.genesis, blocks, manifest, chunks.__getitem__)
    assert Follower(filled.genesis, blocks).machine.state.root == filled.state.root


def test_what_is_not_of_this_ledger_touches_nothing(filled, blocks):
    feed = Follower(filled.genesis, blocks)
    for height in (1, 2):
        feed.take(filled.store.block(height), filled.store.commands(height))
    manifest, chunks = made(filled)
    earlier = Checkpoint(filled.genesis.ledger_id, 6, bytes(32))
    stranger = filled.signer(9)
    elsewhere = Genesis("testnet", filled.registry.public_key, filled.genesis.time_ms + 1)
    for genesis, claimed, code in (
        (filled.genesis, replace(manifest, checkpoint=issue_checkpoint(filled.registry, earlier)), "proof.checkpoint"),
        (filled.genesis, replace(manifest, checkpoint=issue_checkpoint(stranger, earlier)), "proof.signature"),
        (filled.genesis, replace(manifest, block=filled.store.block(6)), "proof.checkpoint"),
        (elsewhere, manifest, "proof.ledger"),
    ):
        assert code_of(lambda g=genesis, m=claimed: restore(g, blocks, m, chunks.__getitem__)) == code
    late = {"least_height": 7}
    assert code_of(lambda: restore(filled.genesis, blocks, manifest, chunks.__getitem__, **late)) == "proof.checkpoint"
    assert blocks.restoring() is None
    assert Follower(filled.genesis, blocks).machine.height == 2
    with pytest.raises(ProofError):
        verify_manifest(manifest, registry_key=stranger.public_key, ledger_id=filled.genesis.ledger_id)


def test_a_fork_is_seen_from_a_checkpoint_alone(filled, blocks):
    follower = Follower(filled.genesis, blocks)
    for height in (1, 2, 3):
        follower.take(filled.store.block(height), filled.store.commands(height))
    assert follower.note_checkpoint(filled.checkpoint).height == 7
    assert follower.checkpoint[0].height == 7
    forked = issue_checkpoint(filled.registry, Checkpoint(filled.genesis.ledger_id, 2, bytes(32)))
    assert code_of(lambda: follower.note_checkpoint(forked)) == "proof.fork"
    assert follower.stopped.details == {"height": 2}
    assert follower.evidence == forked
    assert code_of(lambda: follower.take(filled.store.block(4), filled.store.commands(4))) == "proof.fork"


@given(
    st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(max_size=60), max_size=60),
    st.integers(min_value=1, max_value=500),
)
def test_chunks_give_back_the_entries_and_nothing_else(entries, chunk_bytes):
    ordered = sorted(entries.items())
    found, after = [], None
    for data in chunks_of(ordered, chunk_bytes=chunk_bytes):
        part = read_chunk(data, Chunk(chunk_digest(data), len(data)), after=after)
        found += part
        after = part[-1][0]
    assert found == ordered


@pytest.mark.parametrize(
    "entries",
    [
        [[b"b", b""], [b"a", b""]],
        [[b"a", b""], [b"a", b""]],
        [[b"a"]],
        [["a", b""]],
        [[b"a", 1]],
        [b"a"],
    ],
)
def test_a_chunk_has_pairs_with_rising_keys(entries):
    data = encode({"v": 1, "entries": entries})
    with pytest.raises(FormatError):
        read_chunk(data, Chunk(chunk_digest(data), len(data)), after=None)
    data = encode({"v": 1, "entries": [[b"m", b""]]})
    with pytest.raises(FormatError):
        read_chunk(data, Chunk(chunk_digest(data), len(data)), after=b"m")


@given(st.binary(max_size=200))
def test_noise_is_no_manifest(data):
    with pytest.raises(FormatError):
        decode_manifest(data)


def test_lengths_of_a_manifest_are_bounded(filled):
    manifest, _ = made(filled)
    for chunks in ([[bytes(32), 0]], [[bytes(32), (4 << 20) + 1]], [[bytes(31), 1]], [[bytes(32)]], [1]):
        value = {"v": 1, "checkpoint": manifest.checkpoint, "block": manifest.block, "entries": 1, "chunks": chunks}
        with pytest.raises(FormatError):
            decode_manifest(encode(value))
