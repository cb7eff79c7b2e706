import pytest

from bpci_node.chain.account import MAX_KEYS, load_account
from bpci_node.chain.command import sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.registry import find_node
from bpci_node.chain.rotation import prove_possession
from bpci_node.errors import NotFoundError
from bpci_node.primitives.keys import did_of

ROTATE, RETIRE = "account.rotate_key", "registry.retire_node"


def by(signer, command):
    return sign_command(signer, command).encode()


def test_an_account_gains_a_key_and_either_may_speak(world):
    machine = world.registered()
    (result,) = world.run(machine, world.signed(ROTATE, world.rotation(world.other), nonce=1))
    assert [event.kind for event in result.events] == ["account.key_added"]
    keys = load_account(machine.state, world.account()).keys
    assert [(key.public_key, key.since_height) for key in keys] == [
        (world.node.public_key, 1),
        (world.other.public_key, 2),
    ]
    machine.check(by(world.other, world.command(RETIRE, {}, nonce=2)), machine.time_ms + 1)
    machine.check(by(world.node, world.command(RETIRE, {}, nonce=2)), machine.time_ms + 1)


def test_an_account_keeps_its_id_when_its_first_key_goes(world, refused):
    machine = world.registered()
    (result,) = world.run(machine, world.signed(ROTATE, world.rotation(world.other, revoke=world.node), nonce=1))
    assert [event.kind for event in result.events] == ["account.key_revoked", "account.key_added"]
    refused(machine, world.signed(RETIRE, {}, nonce=2), "chain.key")
    assert world.run(machine, by(world.other, world.command(RETIRE, {}, nonce=2)))[0].error is None


def test_the_registration_follows_a_replaced_node_key(world):
    machine = world.registered()
    world.run(machine, world.signed(ROTATE, world.rotation(world.other, revoke=world.node), nonce=1))
    record = find_node(machine.state, did_of(world.other.public_key))
    assert record.account == world.account()
    assert record.node_key == world.other.public_key
    assert (record.registered_height, record.updated_height) == (1, 2)
    with pytest.raises(NotFoundError):
        find_node(machine.state, did_of(world.node.public_key))


def test_the_key_of_a_registered_node_does_not_go_without_another(world, refused):
    machine = world.registered()
    world.run(machine, world.signed(ROTATE, world.rotation(world.other), nonce=1))
    refused(machine, world.signed(ROTATE, world.rotation(revoke=world.node), nonce=2), "registry.node_key")
    # Another key of the account is free to go, and after retirement the node's is too.
    assert world.run(machine, world.signed(ROTATE, world.rotation(revoke=world.other), nonce=2))[0].error is None


def test_after_retirement_the_key_may_go(world):
    machine = world.registered()
    retire = world.signed(RETIRE, {}, nonce=2)
    world.run(machine, world.signed(ROTATE, world.rotation(world.other), nonce=1), retire)
    (result,) = world.run(machine, world.signed(ROTATE, world.rotation(revoke=world.node), nonce=3))
    assert result.error is None


def test_the_last_key_stays(world, refused):
    machine = world.machine()
    refused(machine, world.signed(ROTATE, world.rotation(revoke=world.node)), "account.last_key")


def test_a_new_key_comes_only_with_its_holders_consent(world, refused):
    machine = world.registered()
    forged = world.rotation(world.other, prover=world.node)
    refused(machine, world.signed(ROTATE, forged, nonce=1), "proof.signature")
    for_another = world.rotation(world.other, account=world.account(world.registry))
    refused(machine, world.signed(ROTATE, for_another, nonce=1), "proof.signature")
    elsewhere = Genesis("elsewhere", world.registry.public_key, 0)
    proof = prove_possession(world.other, ledger_id=elsewhere.ledger_id, account=world.account())
    refused(machine, world.signed(ROTATE, world.rotation(world.other) | {"proof": proof}, nonce=1), "proof.signature")


def test_a_key_serves_one_account_only(world, refused):
    machine = world.registered(world.node, world.other)
    refused(machine, world.signed(ROTATE, world.rotation(world.other), nonce=1), "account.key_in_use")
    refused(machine, world.signed(ROTATE, world.rotation(world.node), nonce=1), "account.key_in_use")


def test_a_revoked_key_stays_revoked(world, refused):
    machine = world.registered()
    world.run(machine, world.signed(ROTATE, world.rotation(world.other), nonce=1))
    world.run(machine, world.signed(ROTATE, world.rotation(revoke=world.other), nonce=2))
    refused(machine, world.signed(ROTATE, world.rotation(world.other), nonce=3), "account.key_revoked")
    refused(machine, world.signed(signer=world.other), "account.key_revoked")
    both = world.rotation(world.node, revoke=world.node)
    refused(machine, world.signed(ROTATE, both, nonce=3), "account.key_revoked")


def test_only_a_current_key_can_be_revoked(world, refused):
    machine = world.registered()
    refused(machine, world.signed(ROTATE, world.rotation(revoke=world.other), nonce=1), "account.key")


def test_an_account_has_a_bounded_number_of_keys(world, refused):
    machine = world.registered()
    keys = [world.signer(number) for number in range(20, 20 + MAX_KEYS)]
    for nonce, key in enumerate(keys[:-1], start=1):
        assert world.run(machine, world.signed(ROTATE, world.rotation(key), nonce=nonce))[0].error is None
    refused(machine, world.signed(ROTATE, world.rotation(keys[-1]), nonce=MAX_KEYS), "account.keys")
    replacing = world.rotation(keys[-1], revoke=keys[0])
    assert world.run(machine, world.signed(ROTATE, replacing, nonce=MAX_KEYS))[0].error is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"public_key": None, "proof": None}, "format.body"),
        ({"proof": None}, "format.body"),
        ({"public_key": None}, "format.body"),
        ({"public_key": bytes(31)}, "format.body"),
        ({"proof": bytes(63)}, "format.body"),
        ({"revoke": "did:web:example.org"}, "format.body"),
        ({"revoke": 1}, "format.body"),
        ({"more": 1}, "format.body"),
        ({"public_key": bytes(32)}, "format.key"),
        ({"public_key": b"\x01" + bytes(31)}, "format.key"),
    ],
    ids=str,
)
def test_a_rotation_outside_its_form_is_refused(world, refused, change, code):
    refused(world.machine(), world.signed(ROTATE, world.rotation(world.other) | change), code)
