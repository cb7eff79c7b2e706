"""Hybrid signatures: Ed25519 and ML-DSA-44 over the same digest, and neither alone."""

import pytest

from bpci_node.chain.account import load_account
from bpci_node.chain.command import Command, decode_signed_command, sign_command
from bpci_node.chain.forms import body_map
from bpci_node.chain.rotation import Strengthening, prove_companion
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import did_of
from bpci_node.primitives.mldsa import MlDsaSigner

COMPANION, STRANGER = MlDsaSigner(bytes([1]) * 32), MlDsaSigner(bytes([2]) * 32)


def strengthening(economy, companion=COMPANION, key=None, account=None):
    key_id = did_of((key or economy.node).public_key)
    proof = prove_companion(
        companion, ledger_id=economy.genesis.ledger_id, account=account or economy.account(), key_id=key_id
    )
    return body_map(Strengthening(key_id, companion.public_key, proof))


def burning(economy, machine, signer=None, ml_dsa=None):
    command = Command(
        ledger_id=economy.genesis.ledger_id,
        sender=economy.account(),
        nonce=load_account(machine.state, economy.account()).nonce,
        expires_height=100,
        kind="asset.burn",
        body={"asset": "GEN", "amount": 1},
        fee=2,
    )
    return sign_command(signer or economy.node, command, ml_dsa=ml_dsa).encode()


@pytest.fixture
def machine(economy):
    machine = economy.started()
    (event,) = economy.do(machine, "account.strengthen_key", strengthening(economy))
    assert event.kind == "account.key_strengthened"
    return machine


def test_a_key_with_a_companion_signs_with_both(economy, machine, refused):
    signed = burning(economy, machine, ml_dsa=COMPANION)
    assert decode_signed_command(signed).encode() == signed
    refused(machine, burning(economy, machine), "chain.alg")
    refused(machine, burning(economy, machine, ml_dsa=STRANGER), "proof.signature")
    assert economy.run(machine, signed)[0].error is None
    stored = load_account(machine.state, economy.account()).as_map()
    assert stored["v"] == 2
    assert stored["keys"][0]["alg"] == "ed25519+ml-dsa-44"


def test_either_half_alone_is_worth_nothing(economy, machine, refused):
    outer = decode(burning(economy, machine, ml_dsa=COMPANION))
    sig = outer["signatures"][0]["sig"]
    for wrong in (bytes(64) + sig[64:], sig[:64] + bytes(2420)):
        outer["signatures"][0]["sig"] = wrong
        refused(machine, encode(outer), "proof.signature")


def test_a_key_without_a_companion_does_not_sign_as_if_it_had_one(economy, refused):
    machine = economy.started()
    economy.do(machine, "asset.burn", {"asset": "GEN", "amount": 1})
    refused(machine, burning(economy, machine, ml_dsa=COMPANION), "chain.alg")


def test_a_companion_comes_only_with_its_holders_consent(economy, refused):
    machine = economy.started()
    good = strengthening(economy)
    for body, code in (
        (good | {"ml_dsa_key": STRANGER.public_key}, "proof.signature"),
        (strengthening(economy, account=economy.account(economy.other)), "proof.signature"),
        (strengthening(economy, key=economy.other), "account.key"),
        (good | {"proof": bytes(64)}, "format.body"),
        (good | {"key_id": "did:web:example.org"}, "format.body"),
    ):
        refused(machine, economy.make(machine, "account.strengthen_key", body), code)


def test_a_companion_goes_with_its_key_and_another_key_signs_alone(economy, machine):
    command = economy.command(
        "account.rotate_key",
        economy.rotation(economy.registry, revoke=economy.node),
        nonce=1,
        fee=2,
    )
    assert economy.run(machine, sign_command(economy.node, command, ml_dsa=COMPANION).encode())[0].error is None
    assert load_account(machine.state, economy.account()).as_map()["v"] == 1
    assert economy.run(machine, burning(economy, machine, economy.registry))[0].error is None


def test_the_rules_of_version_1_know_none_of_it(world):
    machine = world.machine()
    signed = world.signed("asset.burn", {"asset": "GEN", "amount": 1})
    block = machine.finalize(1, machine.time_ms + 1, [signed], version=1)
    assert block.results[0].error.code == "chain.kind"
