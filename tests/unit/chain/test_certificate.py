import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.certificate import CERTIFICATE_CONTEXT, issue_certificate, verify_certificate
from bpci_node.chain.registry import find_node
from bpci_node.errors import BpciError, FormatError, ProofError, RefusedError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.keys import sign_object


@pytest.fixture
def certificate(world):
    record = find_node(world.registered().state, world.account())
    return issue_certificate(world.registry, world.genesis.ledger_id, record)


def trusted(world):
    return {"registry_key": world.registry.public_key, "ledger_id": world.genesis.ledger_id}


def test_a_certificate_names_the_node_and_its_key(world, certificate):
    found = verify_certificate(certificate, **trusted(world))
    assert (found.node_id, found.node_key) == (world.account(), world.node.public_key)
    assert (found.height, found.instance) == (1, 0)


def test_a_certificate_of_another_registry_or_ledger_is_refused(world, certificate):
    with pytest.raises(ProofError) as caught:
        verify_certificate(certificate, **trusted(world) | {"registry_key": world.other.public_key})
    assert caught.value.code == "proof.signature"
    with pytest.raises(ProofError) as caught:
        verify_certificate(certificate, **trusted(world) | {"ledger_id": "other:" + "0" * 64})
    assert caught.value.code == "proof.ledger"


def test_a_retired_node_gets_no_certificate(world):
    machine = world.registered()
    world.run(machine, world.signed("registry.retire_node", {}, nonce=1))
    with pytest.raises(RefusedError) as caught:
        issue_certificate(world.registry, world.genesis.ledger_id, find_node(machine.state, world.account()))
    assert caught.value.code == "registry.retired"


@pytest.mark.parametrize("change", [{"v": 2}, {"height": 0}, {"instance": -1}, {"node_id": "x"}, {"more": 1}], ids=str)
def test_a_certificate_outside_its_form_is_refused(world, certificate, change):
    changed = decode(certificate)["certificate"] | change
    signature = sign_object(world.registry, CERTIFICATE_CONTEXT, changed)
    with pytest.raises(FormatError) as caught:
        verify_certificate(encode({"certificate": changed, "signature": signature}), **trusted(world))
    assert caught.value.code == "format.certificate"


@given(st.data())
def test_a_changed_byte_is_refused(world, data):
    record = find_node(world.registered().state, world.account())
    changed = bytearray(issue_certificate(world.registry, world.genesis.ledger_id, record))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BpciError):
        verify_certificate(bytes(changed), **trusted(world))


@settings(max_examples=1000)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_our_errors(world, data):
    with pytest.raises(BpciError):
        verify_certificate(data, **trusted(world))
