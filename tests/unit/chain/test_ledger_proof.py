"""Proofs of a ledger as files: made from a real block, checked alone, broken in every way."""

from dataclasses import replace

import pytest

from bpci_node.chain.block import Block, commands_root, sign_block
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.ledger_proof import (
    MAX_FILE_BYTES,
    CommandProof,
    StateEntryProof,
    decode_ledger_proof,
    prove_command,
)
from bpci_node.chain.state import State
from bpci_node.errors import BpciError, FormatError, ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import LocalSigner

REGISTRY, OTHER = LocalSigner(b"\x01" * 32), LocalSigner(b"\x02" * 32)
LEDGER = "testnet:" + "ab" * 32
STATE = State.of([(b"node/%d" % number, b"value %d" % number) for number in range(9)] + [(b"empty", b"")])
COMMANDS = [
    sign_command(OTHER, Command(LEDGER, "bpa1" + "a" * 32, nonce, 10, "asset.transfer", {"n": nonce})).encode()
    for nonce in range(5)
]
BLOCK = Block(7, 1_000, b"\x05" * 32, commands_root(COMMANDS), STATE.root, REGISTRY.public_key)
SIGNED = sign_block(REGISTRY, BLOCK).encode()


def entry(key: bytes) -> StateEntryProof:
    return StateEntryProof(SIGNED, key, STATE.get(key), STATE.prove(key).encode())


@pytest.mark.parametrize("key", [b"node/3", b"empty", b"node/absent"])
def test_an_entry_and_an_absence_hold_for_the_registry_alone(key: bytes) -> None:
    proof = decode_ledger_proof(entry(key).encode())
    assert proof == entry(key)
    assert isinstance(proof, StateEntryProof)
    assert proof.verify(registry_key=REGISTRY.public_key).block == BLOCK
    with pytest.raises(ProofError, match="registry") as caught:
        proof.verify(registry_key=OTHER.public_key)
    assert caught.value.code == "proof.proposer"


@pytest.mark.parametrize("position", range(5))
def test_a_command_holds_at_its_place_and_at_no_other(position: int) -> None:
    proof = decode_ledger_proof(prove_command(SIGNED, COMMANDS, position).encode())
    assert isinstance(proof, CommandProof)
    signed, command = proof.verify(registry_key=REGISTRY.public_key, ledger_id=LEDGER)
    assert (signed.block, command.command.nonce) == (BLOCK, position)
    for wrong in range(5):
        if wrong != position:
            with pytest.raises(ProofError, match="path"):
                replace(proof, position=wrong).verify(registry_key=REGISTRY.public_key, ledger_id=LEDGER)
    with pytest.raises(ProofError) as caught:
        proof.verify(registry_key=REGISTRY.public_key, ledger_id="testnet:" + "cd" * 32)
    assert caught.value.code == "proof.ledger"


def test_an_entry_is_no_proof_of_another_value_or_key() -> None:
    proof = entry(b"node/3")
    for changed in (
        replace(proof, value=b"another"),
        replace(proof, value=None),
        replace(proof, key=b"node/4"),
        replace(entry(b"node/absent"), value=b""),
        replace(entry(b"node/absent"), key=b"node/3"),
    ):
        with pytest.raises(ProofError) as caught:
            changed.verify(registry_key=REGISTRY.public_key)
        assert caught.value.code == "proof.state"


def test_a_block_of_version_1_proves_no_entry() -> None:
    old = sign_block(REGISTRY, replace(BLOCK, version=1)).encode()
    with pytest.raises(ProofError) as caught:
        replace(entry(b"node/3"), signed_block=old).verify(registry_key=REGISTRY.public_key)
    assert caught.value.code == "proof.state"


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"what": "block"},
        {"what": 5},
        {"key": b""},
        {"key": b"k" * 257},
        {"value": "text"},
        {"value": 0},
        {"signed_block": b""},
        {"proof": None},
        {"more": 1},
    ],
    ids=lambda change: "-".join(f"{name}={str(value)[:8]}" for name, value in change.items()),
)
def test_a_file_of_another_form_is_refused(change: dict[str, object]) -> None:
    value = decode(entry(b"node/3").encode()) | change
    with pytest.raises(FormatError):
        decode_ledger_proof(encode(value))


@pytest.mark.parametrize(
    "change", [{"position": 5}, {"count": 0}, {"path": [b"short"]}, {"path": [b"\x00" * 32] * 41}, {"command": b""}]
)
def test_a_command_s_file_of_another_form_is_refused(change: dict[str, object]) -> None:
    value = decode(prove_command(SIGNED, COMMANDS, 2).encode()) | change
    with pytest.raises(FormatError):
        decode_ledger_proof(encode(value))


def test_no_byte_of_a_file_can_be_changed() -> None:
    for data in (entry(b"node/3").encode(), entry(b"gone").encode(), prove_command(SIGNED, COMMANDS, 3).encode()):
        for place in range(len(data)):
            broken = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            with pytest.raises(BpciError):
                _verify(broken)
        _verify(data)


def test_a_file_longer_than_any_proof_is_not_read() -> None:
    with pytest.raises(FormatError, match="at most"):
        decode_ledger_proof(b"\x00" * (MAX_FILE_BYTES + 1))


def _verify(data: bytes) -> None:
    proof = decode_ledger_proof(data)
    if isinstance(proof, CommandProof):
        proof.verify(registry_key=REGISTRY.public_key, ledger_id=LEDGER)
    else:
        proof.verify(registry_key=REGISTRY.public_key)
