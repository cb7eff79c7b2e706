import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.block import commands_root
from bpci_node.chain.catalog import KINDS
from bpci_node.chain.command import sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.state import State
from bpci_node.errors import NotFoundError, RefusedError
from bpci_node.primitives.codec import decode, encode


def test_a_command_that_holds_is_executed_once(world):
    machine = world.machine()
    signed = world.signed()
    machine.check(signed, machine.time_ms + 1)
    assert machine.height == 0
    (result,) = world.run(machine, signed)
    assert result.error is None
    assert result.height == machine.height == 1
    assert [event.kind for event in result.events] == ["registry.node_registered"]
    account = machine.query(f"accounts/{world.account()}")
    assert account["nonce"] == 1
    assert [key["public_key"] for key in account["keys"]] == [world.node.public_key]


def test_a_replay_is_refused_and_told_the_next_nonce(world, refused):
    machine = world.registered()
    error = refused(machine, world.signed(), "chain.nonce")
    assert error.details == {"expected": 1}


def test_a_nonce_ahead_is_refused(world, refused):
    refused(world.registered(), world.signed("registry.retire_node", {}, nonce=2), "chain.nonce")


def test_two_commands_with_one_nonce_in_a_block_do_not_both_succeed(world):
    machine = world.registered()
    update, retire = (world.signed("registry.update_node", nonce=1), world.signed("registry.retire_node", {}, nonce=1))
    results = world.run(machine, update, retire)
    assert [result.error and result.error.code for result in results] == [None, "chain.nonce"]


def test_commands_of_one_account_follow_each_other_within_a_block(world):
    machine = world.machine()
    results = world.run(
        machine,
        world.signed(),
        world.signed("registry.update_node", nonce=1),
        world.signed("registry.retire_node", {}, nonce=2),
    )
    assert [result.error for result in results] == [None, None, None]
    assert machine.query(f"registry/nodes/{world.account()}")["status"] == "retired"


def test_a_failed_command_does_not_use_up_its_nonce(world):
    machine = world.machine()
    early = world.signed("registry.retire_node", {}, nonce=1)
    assert world.run(machine, early)[0].error.code == "chain.nonce"
    retire_unknown = world.signed("registry.retire_node", {}, nonce=0)
    assert world.run(machine, retire_unknown)[0].error.code == "registry.unknown"
    assert len(machine.state) == 0
    assert world.run(machine, world.signed())[0].error is None
    assert world.run(machine, early)[0].error is None


def test_a_command_of_another_ledger_is_refused(world, refused):
    other = Genesis("testnet", world.registry.public_key, world.genesis.time_ms + 1)
    refused(world.machine(), world.signed(ledger_id=other.ledger_id), "chain.ledger")


def test_a_command_is_good_up_to_its_last_height_and_no_further(world, refused):
    machine = world.machine()
    world.run(machine)
    world.run(machine)
    refused(machine, world.signed(expires_height=2), "chain.expired")
    assert machine.height == 3
    assert world.run(machine, world.signed(expires_height=4))[0].error is None


def test_an_unknown_kind_is_refused(world, refused):
    refused(world.machine(), world.signed("registry.do_something", {}), "chain.kind")


def test_a_key_makes_its_own_account_and_no_other(world, refused):
    command = world.command(sender=world.account(world.other))
    refused(world.machine(), sign_command(world.node, command).encode(), "chain.account")


def test_a_key_that_is_not_the_accounts_may_not_speak_for_it(world, refused):
    machine = world.registered()
    command = world.command("registry.retire_node", {}, nonce=1)
    refused(machine, sign_command(world.other, command).encode(), "chain.key")


def test_a_signature_by_another_key_under_the_accounts_name_is_refused(world, refused):
    machine = world.registered()
    command = world.command("registry.retire_node", {}, nonce=1)
    outer = decode(sign_command(world.other, command).encode())
    outer["signatures"][0]["key_id"] = decode(world.signed())["signatures"][0]["key_id"]
    refused(machine, encode(outer), "proof.signature")


@pytest.mark.parametrize("change", [{"fee": 1}, {"expires_height": 99}, {"nonce": 0, "body": {}}])
def test_a_command_changed_after_signing_is_refused(world, change):
    outer = decode(world.signed("registry.retire_node", {"a": 1}))
    outer["command"] |= change
    machine = world.machine()
    (result,) = world.run(machine, encode(outer))
    assert result.error.code in {"proof.signature", "format.body"}
    assert len(machine.state) == 0


def test_nothing_is_charged_under_the_rules_of_version_1(world):
    machine = world.machine()
    block = machine.finalize(1, machine.time_ms + 1, [world.signed(fee=5)], version=1)
    assert block.results[0].error is None


def test_what_can_not_be_decoded_stays_in_its_block_with_its_error(world):
    machine = world.machine()
    results = world.run(machine, b"\xff", world.signed())
    assert [result.error and result.error.code for result in results] == ["format.cbor", None]
    assert results[0].command_id is None
    assert decode(results[0].encode())["error"]["code"] == "format.cbor"


def test_a_block_says_what_it_does_before_it_is_committed(world):
    machine, signed = world.machine(), world.signed()
    block = machine.finalize(1, machine.time_ms + 1, [signed])
    assert block.commands_root == commands_root([signed])
    assert machine.height == 0
    assert len(machine.state) == 0
    machine.commit()
    assert machine.state.root == block.state_root == State.of().with_writes(block.writes).root
    with pytest.raises(RefusedError):
        machine.commit()


def test_a_second_finalize_replaces_the_first(world):
    machine = world.machine()
    machine.finalize(1, machine.time_ms + 1, [world.signed()])
    machine.finalize(1, machine.time_ms + 1, [])
    machine.commit()
    assert len(machine.state) == 0


@pytest.mark.parametrize(
    ("height", "later", "code"), [(0, 1, "chain.height"), (2, 1, "chain.height"), (1, 0, "chain.time")]
)
def test_blocks_come_in_order_and_time_rises(world, height, later, code):
    machine = world.machine()
    with pytest.raises(RefusedError) as caught:
        machine.finalize(height, machine.time_ms + later, [])
    assert caught.value.code == code


def test_a_machine_goes_on_where_storage_left_it(world):
    machine = world.registered()
    again = Machine(world.genesis, entries=machine.state.entries(), height=1, time_ms=machine.time_ms)
    assert again.state.root == machine.state.root
    following = world.signed("registry.retire_node", {}, nonce=1)
    assert world.run(again, following)[0].error is None
    assert world.run(machine, following)[0].error is None
    assert again.state.root == machine.state.root


@pytest.mark.parametrize(
    "path", ["", "accounts", "accounts/nobody", "accounts/é", "registry", "registry/nodes/a/b", "x"]
)
def test_asking_for_what_is_not_there_says_so(world, path):
    with pytest.raises(NotFoundError):
        world.machine().query(path)


def test_the_first_nodes_are_listed(world):
    machine = world.registered(world.node, world.other)
    assert len(machine.query("registry/nodes")) == 2


def test_every_kind_is_written_as_area_and_verb():
    assert sorted(KINDS) == list(KINDS)


step = st.tuples(
    st.sampled_from([2, 3, 4]),  # who
    st.sampled_from([2, 3, 4, 5]),  # with which key
    st.sampled_from(["register", "update", "retire", "add", "revoke", "replace", "nonsense"]),
    st.integers(0, 3),  # nonce
    st.integers(0, 2),  # instance
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.lists(step, max_size=4), max_size=6))
def test_two_machines_agree_on_any_sequence_and_failures_leave_no_trace(world, blocks):
    one, other = world.machine(), world.machine()
    for block in blocks:
        commands = []
        for who, key, what, nonce, instance in block:
            account, signer = world.account(world.signer(who)), world.signer(key)
            fresh = world.signer(key + 1)
            body = {
                "register": world.registration(signer, instance=instance),
                "update": world.registration(signer, instance=instance),
                "retire": {},
                "add": world.rotation(fresh, account=account),
                "revoke": world.rotation(revoke=signer, account=account),
                "replace": world.rotation(fresh, revoke=signer, account=account),
                "nonsense": {"a": nonce},
            }[what]
            kind = {
                "register": "registry.register_node",
                "update": "registry.update_node",
                "retire": "registry.retire_node",
                "nonsense": "registry.retire_node",
            }.get(what, "account.rotate_key")
            commands.append(world.signed(kind, body, signer=signer, sender=account, nonce=nonce))
        results = world.run(one, *commands)
        # The other machine sees only what succeeded, in a block of its own kind, and comes to the same state.
        world.run(other, *(signed for signed, result in zip(commands, results, strict=True) if result.error is None))
        assert one.state.root == other.state.root
        assert list(one.state.entries()) == list(other.state.entries())
        assert one.state.root == State.of(one.state.entries()).root
