import pytest

from bpci_node.chain.command import sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.registration import NODE_TYPES, load_node
from bpci_node.chain.registry import find_node, list_nodes
from bpci_node.errors import FormatError, NotFoundError
from bpci_node.primitives.keys import did_of

UPDATE, RETIRE = "registry.update_node", "registry.retire_node"


def test_a_registered_node_is_found_by_account_and_by_key(world):
    machine = world.registered()
    by_account = find_node(machine.state, world.account())
    assert by_account == find_node(machine.state, did_of(world.node.public_key))
    assert by_account.status == "active"
    assert by_account.did == did_of(world.node.public_key)
    assert by_account.registered_height == by_account.updated_height == 1
    assert machine.query(f"registry/nodes/{by_account.did}") == by_account.as_map()


@pytest.mark.parametrize("name", ["bpa1" + "a" * 32, "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"])
def test_a_node_that_is_not_there_is_not_found(world, name):
    with pytest.raises(NotFoundError) as caught:
        find_node(world.registered().state, name)
    assert caught.value.code == "registry.unknown"


@pytest.mark.parametrize("name", ["", "node", "bpa1", "did:web:example.org", "é"])
def test_what_is_no_name_of_a_node_is_refused(world, name):
    with pytest.raises(FormatError):
        find_node(world.registered().state, name)


def test_nodes_are_listed_by_type_and_page_by_page(world):
    machine = world.machine()
    signers = [world.signer(number) for number in range(10, 22)]
    commands = []
    for number, signer in enumerate(signers):
        body = world.registration(signer, node_type=NODE_TYPES[number % 3])
        commands.append(world.signed(body=body, signer=signer))
    world.run(machine, *commands)
    everyone = [record.account for record in list_nodes(machine.state)]
    assert everyone == sorted(world.account(signer) for signer in signers)
    pages, after = [], ""
    while page := list_nodes(machine.state, after=after, limit=5):
        pages.append(len(page))
        after = page[-1].account
    assert pages == [5, 5, 2]
    for node_type in NODE_TYPES:
        found = list_nodes(machine.state, node_type=node_type, limit=3)
        found += list_nodes(machine.state, node_type=node_type, after=found[-1].account)
        assert len(found) == 4
        assert {record.node_type for record in found} == {node_type}


def test_a_node_that_changes_its_type_leaves_the_list_of_the_old_one(world):
    machine = world.registered()
    world.run(machine, world.signed(UPDATE, world.registration(node_type="hybrid"), nonce=1))
    assert list_nodes(machine.state, node_type="bpi-community") == []
    assert len(list_nodes(machine.state, node_type="hybrid")) == 1


def test_retired_nodes_can_be_left_out_of_a_list(world):
    machine = world.registered(world.node, world.other)
    world.run(machine, world.signed(RETIRE, {}, nonce=1))
    assert len(list_nodes(machine.state)) == 2
    assert [record.account for record in list_nodes(machine.state, status="active")] == [world.account(world.other)]


@pytest.mark.parametrize("filters", [{"node_type": "miner"}, {"node_type": "node/"}, {"after": "bpa"}, {"after": "é"}])
def test_a_list_asked_for_with_nonsense_is_refused(world, filters):
    with pytest.raises(FormatError):
        list_nodes(world.machine().state, **filters)


def test_a_node_registers_once(world, refused):
    machine = world.registered()
    refused(machine, world.signed(nonce=1), "registry.duplicate")


def test_a_key_that_serves_another_account_can_not_register_as_its_own(world, refused):
    machine = world.registered()
    world.run(machine, world.signed("account.rotate_key", world.rotation(world.other), nonce=1))
    refused(machine, world.signed(signer=world.other), "account.key_in_use")


def test_a_registration_is_signed_by_the_key_that_it_registers(world, refused):
    refused(world.machine(), world.signed(body=world.registration(world.other)), "registry.node_key")


def test_the_challenge_is_the_nodes_own(world, refused):
    body = world.registration(challenged=world.other)
    refused(world.machine(), world.signed(body=body), "registry.challenge")


def test_the_challenge_is_the_registrys(world, refused):
    body = world.registration() | {"challenge_sig": bytes(64)}
    refused(world.machine(), world.signed(body=body), "proof.signature")


def test_the_challenge_is_of_this_ledger(world, refused):
    other = Genesis("testnet", world.registry.public_key, world.genesis.time_ms + 1)
    body = world.registration(ledger_id=other.ledger_id)
    refused(world.machine(), world.signed(body=body), "chain.ledger")


def test_the_challenge_is_fresh_by_block_time(world, refused):
    machine = world.machine()
    body = world.registration(now_ms=machine.time_ms)
    machine.check(world.signed(body=body), machine.time_ms + 600_000)
    world.run(machine, step_ms=600_000)
    refused(machine, world.signed(body=body), "registry.challenge_expired")


@pytest.mark.parametrize("challenge", [b"\x00", b"\xff" * 512])
def test_a_challenge_that_is_none_is_refused(world, challenge):
    (result,) = world.run(world.machine(), world.signed(body=world.registration() | {"challenge": challenge}))
    assert result.error.code in {"format.challenge", "format.cbor"}


def test_an_update_replaces_what_was_registered(world):
    machine = world.registered()
    body = world.registration(
        endpoints=("https://node.example.org/api",),
        capabilities=(),
        report_digest=bytes([9]) * 32,
        instance=3,
        flags={"app_hosting": True, "validator": True, "bank_sponsored": False, "community_operated": True},
    )
    (result,) = world.run(machine, world.signed(UPDATE, body, nonce=1))
    assert result.error is None
    record = load_node(machine.state, world.account())
    assert record.endpoints == ("https://node.example.org/api",)
    assert record.capabilities == ()
    assert record.report_digest == bytes([9]) * 32
    assert record.flags["app_hosting"]
    assert (record.instance, record.registered_height, record.updated_height) == (3, 1, 2)


def test_an_update_needs_a_registration(world, refused):
    refused(world.machine(), world.signed(UPDATE), "registry.unknown")


def test_the_instance_may_stay_or_rise_and_never_falls(world, refused):
    machine = world.registered()
    raised = world.registration(instance=2)
    world.run(machine, world.signed(UPDATE, raised, nonce=1), world.signed(UPDATE, raised, nonce=2))
    assert load_node(machine.state, world.account()).instance == 2
    error = refused(machine, world.signed(UPDATE, world.registration(instance=1), nonce=3), "registry.instance")
    assert error.details == {"least": 2}


def test_a_retired_node_comes_back_only_with_a_higher_instance(world, refused):
    machine = world.registered()
    world.run(machine, world.signed(RETIRE, {}, nonce=1))
    assert load_node(machine.state, world.account()).status == "retired"
    refused(machine, world.signed(RETIRE, {}, nonce=2), "registry.retired")
    refused(machine, world.signed(UPDATE, nonce=2), "registry.retired")
    refused(machine, world.signed(nonce=2), "registry.instance")
    (result,) = world.run(machine, world.signed(body=world.registration(instance=1), nonce=2))
    assert result.error is None
    record = load_node(machine.state, world.account())
    assert (record.status, record.instance) == ("active", 1)


def test_only_a_registered_node_retires(world, refused):
    refused(world.machine(), world.signed(RETIRE, {}), "registry.unknown")
    refused(world.registered(), world.signed(RETIRE, {"why": "tired"}, nonce=1), "format.body")


def test_any_key_of_the_account_may_retire_its_node(world):
    machine = world.registered()
    world.run(machine, world.signed("account.rotate_key", world.rotation(world.other), nonce=1))
    command = world.command(RETIRE, {}, nonce=2)
    (result,) = world.run(machine, sign_command(world.other, command).encode())
    assert result.error is None
