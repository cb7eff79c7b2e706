"""Ledgers that 0.1 wrote: they open, are followed block by block, and go on under the rules of version 2."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.block import decode_signed_block, sign_block
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.genesis import decode_genesis
from bpci_node.consensus.embedded import Sequencer
from bpci_node.consensus.follower import Follower
from bpci_node.consensus.guard import FileSignGuard
from bpci_node.errors import ProofError, RefusedError
from bpci_node.primitives.keys import LocalSigner, derive_keys
from bpci_node.primitives.state_proof import verify_state
from bpci_node.store.blocks import SqliteBlockStore
from bpci_node.store.store import Store

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def old():
    """Genesis, blocks and commands of the ledger that 0.1 published as test vectors."""
    vectors = json.loads((ROOT / "docs/spec/vectors/ledger.json").read_text())
    blocks = [
        (bytes.fromhex(item["block"][2:]), [bytes.fromhex(command["signed"][2:]) for command in item["commands"]])
        for item in vectors["blocks"]
    ]
    return decode_genesis(bytes.fromhex(vectors["genesis"]["cbor"][2:])), blocks


REGISTRY = LocalSigner(derive_keys("abandon " * 23 + "art").registry)


@pytest.fixture
def followed(town, old):
    store = type(town.store)()
    follower = Follower(old[0], store)
    for data, commands in old[1]:
        assert [result.error for result in follower.take(data, commands)] == [None]
    return follower, store


def test_blocks_of_version_1_lead_to_the_roots_that_they_led_to(old, followed):
    follower, _ = followed
    assert [decode_signed_block(data).block.version for data, _ in old[1]] == [1, 1, 1, 1]
    assert (follower.machine.height, follower.machine.version) == (4, 1)


def test_such_a_ledger_goes_on_with_version_2_and_never_back(town, old, followed):
    genesis = old[0]
    follower, store = followed
    upgraded = store.copy()
    sequencer = Sequencer(genesis, REGISTRY, upgraded)
    newcomer = LocalSigner(bytes([9]) * 32)
    assert sequencer.machine.version == 1
    challenge, challenge_sig = sequencer.challenge(
        newcomer.public_key, now_ms=sequencer.machine.time_ms, nonce16=bytes(16)
    )
    body = town.registration(9) | {
        "node_key": newcomer.public_key,
        "challenge": challenge,
        "challenge_sig": challenge_sig,
    }
    sender = account_id_of(newcomer.public_key)
    command = Command(genesis.ledger_id, sender, 0, 100, "registry.register_node", body)
    (result,) = sequencer.submit([sign_command(newcomer, command).encode()], sequencer.machine.time_ms + 1)
    assert result.error is None
    block = decode_signed_block(upgraded.last_block()).block
    assert (block.height, block.version) == (5, 2)
    follower.take(upgraded.last_block(), upgraded.commands(5))
    state = follower.machine.state
    key = b"account/" + sender.encode()
    verify_state(block.state_root, key, state.get(key), state.prove(key))
    verify_state(block.state_root, b"account/nobody", None, state.prove(b"account/nobody"))
    back = replace(block, height=6, parent=block.digest, time_ms=block.time_ms + 1, version=1)
    with pytest.raises(ProofError) as caught:
        follower.take(sign_block(REGISTRY, back).encode(), [])
    assert caught.value.code == "proof.version"
    with pytest.raises(RefusedError) as refused:
        sequencer.machine.finalize(6, block.time_ms + 1, [], version=1)
    assert refused.value.code == "chain.version"
    assert Sequencer(genesis, REGISTRY, upgraded).machine.version == 2


def test_the_data_directory_of_0_1_opens_and_goes_on(tmp_path):
    with tarfile.open(ROOT / "tests/fixtures/state-0.1.0.tar.xz") as archive:
        archive.extractall(tmp_path)  # noqa: S202 - our own archive; 3.11.2 has no filter
    store = Store(tmp_path / "state")
    blocks = SqliteBlockStore(store)
    registry = LocalSigner(bytes([0x22]) * 32)
    genesis = decode_genesis(store.meta("genesis"))
    sequencer = Sequencer(genesis, registry, blocks, FileSignGuard(tmp_path / "state/guard/blocks"))
    assert (sequencer.machine.height, sequencer.machine.version) == (1, 1)
    assert [row[:3] for row in blocks.find_events("registry.node_registered")] == [(1, 0, 0)]
    node = LocalSigner(bytes([0x11]) * 32)
    command = Command(genesis.ledger_id, account_id_of(node.public_key), 1, 100, "registry.retire_node", {})
    (result,) = sequencer.submit([sign_command(node, command).encode()], sequencer.machine.time_ms + 1)
    assert result.height == 2
    store.close()
    store = Store(tmp_path / "state")
    again = Sequencer(genesis, registry, SqliteBlockStore(store), FileSignGuard(tmp_path / "state/guard/blocks"))
    assert (again.machine.height, again.machine.version) == (2, 2)
    store.close()
