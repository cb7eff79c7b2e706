from dataclasses import replace

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.block import decode_signed_block, sign_block, verify_block
from bpci_node.chain.certificate import verify_certificate
from bpci_node.chain.challenge import verify_challenge
from bpci_node.chain.genesis import Genesis
from bpci_node.consensus.embedded import Sequencer
from bpci_node.errors import NotFoundError, StorageError, UsageError
from bpci_node.primitives.codec import decode
from bpci_node.primitives.keys import did_of


def test_a_batch_becomes_one_signed_block(town):
    sequencer = town.sequencer()
    results = sequencer.submit([town.command(5), town.command(6)], town.now_ms)
    assert [(result.height, result.error) for result in results] == [(1, None), (1, None)]
    signed = decode_signed_block(town.store.last_block())
    verify_block(signed)
    assert signed.block.parent == town.genesis.hash
    assert signed.block.time_ms == town.now_ms
    assert signed.block.state_root == sequencer.machine.state.root
    assert len(town.store.commands(1)) == len(town.store.results(1)) == 2


def test_refused_commands_enter_no_block_and_hold_nothing_up(town):
    sequencer = town.sequencer()
    good, again, broken = town.command(5), town.command(6), b"\xff"
    results = sequencer.submit([broken, good, good, again], town.now_ms)
    assert [result.error and result.error.code for result in results] == ["format.cbor", None, "chain.nonce", None]
    assert [result.height for result in results] == [None, 1, None, 1]
    assert results[2].command_id == results[1].command_id
    assert town.store.commands(1) == [good, again]


def test_when_nothing_passes_there_is_no_block(town):
    sequencer = town.sequencer()
    for batch in ([], [b""], [town.command(5, "registry.retire_node", {})]):
        assert all(result.error for result in sequencer.submit(batch, town.now_ms))
    assert sequencer.machine.height == 0
    assert town.store.last_block() is None


def test_block_time_rises_whatever_the_clock_says(town):
    sequencer = town.sequencer()
    for number, clock in enumerate((town.now_ms, town.now_ms, 0, town.now_ms + 50), start=5):
        assert sequencer.submit([town.command(number)], clock)[0].error is None
    times = [decode_signed_block(town.store.block(height)).block.time_ms for height in (1, 2, 3, 4)]
    assert times == [town.now_ms, town.now_ms + 1, town.now_ms + 2, town.now_ms + 50]


def test_blocks_are_chained(town):
    sequencer = town.sequencer()
    for number in (5, 6, 7):
        sequencer.submit([town.command(number)], town.now_ms)
    blocks = [decode_signed_block(town.store.block(height)).block for height in (1, 2, 3)]
    assert [block.parent for block in blocks] == [town.genesis.hash, blocks[0].digest, blocks[1].digest]


def test_a_block_that_could_not_be_stored_did_not_happen(town):
    sequencer = town.sequencer()
    sequencer.submit([town.command(5)], town.now_ms)
    root = sequencer.machine.state.root
    town.store.broken = True
    with pytest.raises(StorageError):
        sequencer.submit([town.command(6)], town.now_ms)
    assert (sequencer.machine.height, sequencer.machine.state.root) == (1, root)
    town.store.broken = False
    assert sequencer.submit([town.command(6)], town.now_ms)[0].height == 2
    town.sequencer()


def test_a_sequencer_goes_on_after_a_restart(town):
    first = town.sequencer()
    first.submit([town.command(5)], town.now_ms)
    second = town.sequencer()
    assert second.machine.state.root == first.machine.state.root
    assert second.submit([town.command(5)], town.now_ms)[0].error.code == "chain.nonce"
    assert second.submit([town.command(6)], 0)[0].height == 2
    blocks = [decode_signed_block(town.store.block(height)).block for height in (1, 2)]
    assert blocks[1].parent == blocks[0].digest
    assert blocks[1].time_ms == blocks[0].time_ms + 1


def test_results_are_stored_as_they_were_returned(town):
    (result,) = town.sequencer().submit([town.command(5)], town.now_ms)
    (stored,) = town.store.results(1)
    assert stored == result.encode()
    assert decode(stored)["events"][0]["kind"] == "registry.node_registered"


def test_the_registrys_words_hold(town):
    sequencer = town.sequencer()
    node = town.signer(5)
    sequencer.submit([town.command(5)], town.now_ms)
    trusted = {"registry_key": town.registry.public_key, "ledger_id": town.genesis.ledger_id}
    data, signature = sequencer.challenge(node.public_key, now_ms=town.now_ms, nonce16=bytes(16))
    assert verify_challenge(data, signature, time_ms=town.now_ms, **trusted).node_key == node.public_key
    for name in (account_id_of(node.public_key), did_of(node.public_key)):
        assert verify_certificate(sequencer.certificate(name), **trusted).node_key == node.public_key
    with pytest.raises(NotFoundError):
        sequencer.certificate(did_of(town.signer(6).public_key))


def test_another_key_than_the_ledgers_does_not_sequence(town):
    with pytest.raises(UsageError) as caught:
        Sequencer(town.genesis, town.signer(9), town.store)
    assert caught.value.code == "usage.registry_key"


def expect(town, code):
    with pytest.raises(StorageError) as caught:
        town.sequencer()
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def test_a_state_that_its_block_did_not_lead_to_is_diagnosed(town):
    town.sequencer().submit([town.command(5)], town.now_ms)
    key = min(town.store.entries)
    town.store.entries[key] += b"\x00"
    error = expect(town, "storage.state_root")
    assert "block 1" in error.message
    del town.store.entries[key]
    expect(town, "storage.state_root")


def test_a_state_without_any_block_is_diagnosed(town):
    town.store.entries[b"account/x"] = b"\x00"
    expect(town, "storage.state_root")


def test_a_damaged_block_is_diagnosed(town):
    town.sequencer().submit([town.command(5)], town.now_ms)
    block, commands, results = town.store.blocks[0]
    for damaged in (b"", block[:-1], block[:-1] + bytes([block[-1] ^ 1])):
        town.store.blocks[0] = (damaged, commands, results)
        expect(town, "storage.block")


def test_a_missing_first_block_is_diagnosed(town, monkeypatch):
    town.sequencer().submit([town.command(5)], town.now_ms)
    monkeypatch.setattr(town.store, "block", lambda _: None)
    expect(town, "storage.block")


def test_a_block_of_another_sequencer_is_diagnosed(town):
    town.sequencer().submit([town.command(5)], town.now_ms)
    block, commands, results = town.store.blocks[0]
    stranger = town.signer(9)
    forged = replace(decode_signed_block(block).block, proposer=stranger.public_key)
    town.store.blocks[0] = (sign_block(stranger, forged).encode(), commands, results)
    expect(town, "storage.ledger")


def test_the_data_of_another_ledger_is_diagnosed(town):
    elsewhere = Genesis("testnet", town.registry.public_key, town.genesis.time_ms + 1)
    town.sequencer().submit([town.command(5)], town.now_ms)
    with pytest.raises(StorageError) as caught:
        Sequencer(elsewhere, town.registry, town.store)
    assert caught.value.code == "storage.ledger"
