import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bpci_node.chain.block import commands_root, decode_signed_block, sign_block
from bpci_node.consensus.follower import Follower
from bpci_node.errors import FormatError, ProofError, RefusedError, StorageError


@pytest.fixture
def filled(town):
    """A ledger of three blocks, with a command that changes and one that deletes."""
    sequencer = town.sequencer()
    sequencer.submit([town.command(5), town.command(6)], town.now_ms)
    hybrid = town.registration(5) | {"node_type": "hybrid"}
    sequencer.submit([town.command(5, "registry.update_node", hybrid, nonce=1)], town.now_ms)
    sequencer.submit([town.command(6, "registry.retire_node", {}, nonce=1), town.command(7)], town.now_ms)
    return town


@pytest.fixture
def follower(filled):
    return Follower(filled.genesis, type(filled.store)())


def feed(town, follower, heights=(1, 2, 3)):
    for height in heights:
        follower.take(town.store.block(height), town.store.commands(height))


def signed_with(town, height, **changes):
    """A block that the sequencer signed, and that differs from the one it published."""
    block = decode_signed_block(town.store.block(height)).block
    return sign_block(town.registry, replace(block, **changes)).encode()


def test_a_follower_comes_to_the_same_state(filled, follower):
    feed(filled, follower)
    assert follower.machine.height == 3
    assert follower.machine.state.root == filled.sequencer().machine.state.root
    assert follower.stopped is None


def test_a_follower_goes_on_after_a_restart_and_serves_what_it_took(filled):
    store = type(filled.store)()
    feed(filled, Follower(filled.genesis, store), (1, 2))
    feed(filled, Follower(filled.genesis, store), (3,))
    assert store.blocks == filled.store.blocks
    assert store.entries == filled.store.entries


def test_blocks_come_in_order(filled, follower):
    with pytest.raises(RefusedError) as caught:
        feed(filled, follower, (2,))
    assert caught.value.code == "chain.height"
    assert caught.value.details == {"expected": 1}
    feed(filled, follower, (1, 2))
    with pytest.raises(RefusedError):
        feed(filled, follower, (1,))
    feed(filled, follower, (3,))


def test_what_the_sequencer_did_not_sign_is_refused_and_changes_nothing(filled, follower):
    block = decode_signed_block(filled.store.block(1)).block
    commands = filled.store.commands(1)
    stranger = filled.signer(9)
    by_a_stranger = sign_block(stranger, replace(block, proposer=stranger.public_key)).encode()
    badly_signed = sign_block(stranger, block).encode()
    for data, error, code in (
        (b"\x00", FormatError, "format.block"),
        (by_a_stranger, ProofError, "proof.proposer"),
        (badly_signed, ProofError, "proof.signature"),
    ):
        with pytest.raises(error) as caught:
            follower.take(data, commands)
        assert caught.value.code == code
    for wrong in ([], commands[:1], commands[::-1], [*commands, b""]):
        with pytest.raises(ProofError) as caught:
            follower.take(filled.store.block(1), wrong)
        assert caught.value.code == "proof.commands"
    assert follower.stopped is None
    feed(filled, follower)


@pytest.mark.parametrize(
    ("height", "changes", "code"),
    [
        (2, {"state_root": bytes(32)}, "proof.state_root"),
        (2, {"parent": bytes(32)}, "proof.fork"),
        (2, {"time_ms": 0}, "proof.time"),
        (1, {"time_ms": 1}, "proof.fork"),
    ],
)
def test_a_follower_stops_at_the_first_difference_with_a_diagnosis(filled, follower, height, changes, code):
    feed(filled, follower, (1,))
    with pytest.raises(ProofError) as caught:
        follower.take(signed_with(filled, height, **changes), filled.store.commands(height))
    assert caught.value.code == code
    assert caught.value.hint
    assert follower.stopped is caught.value
    with pytest.raises(ProofError) as again:
        feed(filled, follower, (2,))
    assert again.value.code == code
    assert follower.machine.height == 1


def test_the_difference_names_both_roots(filled, follower):
    with pytest.raises(ProofError) as caught:
        follower.take(signed_with(filled, 1, state_root=bytes(32)), filled.store.commands(1))
    assert bytes(32).hex() in caught.value.message
    assert decode_signed_block(filled.store.block(1)).block.state_root.hex() in caught.value.message


def test_a_block_with_a_failing_command_is_followed_with_its_error(filled, follower):
    broken = [b"\xff"]
    root = follower.machine.state.root
    data = signed_with(filled, 1, commands_root=commands_root(broken), state_root=root)
    (result,) = follower.take(data, broken)
    assert result.error.code == "format.cbor"


def test_a_block_that_could_not_be_stored_can_be_taken_again(filled):
    store = type(filled.store)()
    follower = Follower(filled.genesis, store)
    store.broken = True
    with pytest.raises(StorageError):
        feed(filled, follower, (1,))
    store.broken = False
    feed(filled, follower)


REPLAY = """
import sys
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
name, key, born, *blocks = sys.stdin.read().split()
machine = Machine(Genesis(name, bytes.fromhex(key), int(born)))
for block in blocks:
    time_ms, *commands = block.split(",")
    machine.finalize(machine.height + 1, int(time_ms), [bytes.fromhex(command) for command in commands])
    machine.commit()
    print(machine.state.root.hex())
"""


def test_machines_with_other_hash_seeds_come_to_the_same_roots(filled):
    blocks = [decode_signed_block(filled.store.block(height)).block for height in (1, 2, 3)]
    lines = [
        ",".join([str(block.time_ms), *(command.hex() for command in filled.store.commands(block.height))])
        for block in blocks
    ]
    genesis = filled.genesis
    told = "\n".join([genesis.name, genesis.registry_key.hex(), str(genesis.time_ms), *lines])
    appliance = Path(__file__).parents[3] / "appliance"
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", REPLAY],
            input=told,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(appliance)},
        )
        assert done.stdout.split() == [block.state_root.hex() for block in blocks]
