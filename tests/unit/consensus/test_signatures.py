"""Signatures checked ahead on every core: nothing comes out otherwise, and no forgery comes through."""

from dataclasses import replace

import pytest

from bpci_node.chain import draft
from bpci_node.chain.command import decode_signed_command
from bpci_node.chain.draft import Held
from bpci_node.chain.machine import Machine
from bpci_node.consensus.signatures import LEAST_COMMANDS, check_ahead
from bpci_node.errors import ProofError
from bpci_node.primitives.keys import did_of, verify_signature

COUNT = 3 * LEAST_COMMANDS


@pytest.fixture
def mixed(town):
    """Commands of which every third is forged, one is no command, and one names a key that is none."""
    commands = []
    for number in range(COUNT):
        signed = decode_signed_command(town.command(5 + number))
        (signature,) = signed.signatures
        if number % 3 == 0:
            signature = replace(signature, sig=bytes(64))
        elif number == 1:
            signature = replace(signature, key_id=did_of(town.signer(4).public_key))
        elif number == 2:
            signature = replace(signature, key_id="did:key:z6Mk" + "1" * 44)
        commands.append(replace(signed, signatures=(signature,)).encode())
    return [*commands, b"no command", commands[4]]


def test_a_block_is_what_it_is_without_checking_ahead(town, mixed):
    plain, ahead = Machine(town.genesis), Machine(town.genesis, check_ahead=check_ahead)
    expected, found = (machine.finalize(1, town.now_ms, mixed) for machine in (plain, ahead))
    assert [item.encode() for item in found.results] == [item.encode() for item in expected.results]
    assert (found.state_root, found.writes) == (expected.state_root, expected.writes)
    codes = [item.error and item.error.code for item in found.results]
    assert codes[0] == "proof.signature"
    assert codes.count(None) == COUNT - COUNT // 3 - 2
    assert codes[-1] == "chain.nonce"
    proposed = [machine.propose(town.now_ms, mixed) for machine in (plain, ahead)]
    assert proposed[0][1] == proposed[1][1]
    assert proposed[0][0].state_root == proposed[1][0].state_root


def test_what_holds_is_not_checked_again_and_everything_else_is(town, mixed, monkeypatch):
    checked = []

    def note(public_key, message, signature):
        checked.append(Held(public_key, message, signature))
        verify_signature(public_key, message, signature)

    monkeypatch.setattr(draft, "verify_signature", note)
    Machine(town.genesis, check_ahead=check_ahead).finalize(1, town.now_ms, mixed)
    assert len(checked) == COUNT // 3
    for item in checked:
        with pytest.raises(ProofError):
            verify_signature(*item)


def test_few_commands_are_not_worth_the_trouble(town, mixed):
    decoded = [decode_signed_command(item) for item in mixed[: LEAST_COMMANDS - 1]]
    assert check_ahead(decoded) == frozenset()
