import pytest

from bpci_node.chain.certificate import issue_certificate
from bpci_node.chain.registration import load_node
from bpci_node.errors import RefusedError

SUSPEND, RESUME = "registry.suspend_node", "registry.resume_node"
QUORUM = (12, 13)


@pytest.fixture
def town(guild):
    """A ledger with the node of signer 50, suspended up to height 20."""
    machine = guild.started()
    guild.admitted(machine, 50)
    guild.staked(machine, 50)
    order = {"node": guild.account(guild.signer(50)), "cause": bytes([4]) * 32, "until_height": 20}
    guild.do(machine, SUSPEND, order, approvals=QUORUM)
    return machine, order


def code_of(guild, machine, kind, body, signer=None, **changes):
    (result,) = guild.run(machine, guild.make(machine, kind, body, signer, **changes))
    return result.error and result.error.code


def test_a_suspended_node_has_no_certificate_and_changes_nothing(guild, town):
    machine, order = town
    signer = guild.signer(50)
    record = load_node(machine.state, order["node"])
    assert (record.status, record.suspension.cause, record.suspension.until_height) == (
        "suspended",
        bytes([4]) * 32,
        20,
    )
    with pytest.raises(RefusedError) as caught:
        issue_certificate(guild.registry, guild.genesis.ledger_id, record)
    assert caught.value.code == "registry.suspended"
    for kind, body in (
        ("registry.heartbeat", {"health": bytes(32), "instance": 0}),
        ("registry.raise_instance", {"instance": 1}),
        ("registry.move_node", {"region": None}),
        ("registry.retire_node", {}),
        ("registry.update_node", guild.registration(signer, now_ms=machine.time_ms)),
        ("registry.register_node", guild.registration(signer, now_ms=machine.time_ms, instance=7)),
        ("registry.admit_node", guild.admission(machine, signer)),
        ("validator.set_up", guild.set_up(50)),
    ):
        assert code_of(guild, machine, kind, body, signer) == "registry.suspended"


def test_the_registry_alone_or_a_quorum_suspends(guild, town):
    machine, order = town
    assert code_of(guild, machine, SUSPEND, order, approvals=(12,)) == "access.quorum"
    body = {"asset": "BPI", "to": guild.account(guild.registry), "amount": 100}
    guild.do(machine, "asset.transfer", body)
    guild.do(machine, SUSPEND, order | {"until_height": 30}, guild.registry)
    assert load_node(machine.state, order["node"]).suspension.until_height == 30
    guild.do(machine, RESUME, {"node": order["node"]}, guild.registry)
    assert load_node(machine.state, order["node"]).status == "active"


def test_only_a_registered_node_that_has_not_retired_is_suspended_and_for_a_time_to_come(guild, town):
    machine, order = town
    late = order | {"until_height": machine.height + 1}
    assert code_of(guild, machine, SUSPEND, late, approvals=QUORUM) == "registry.until"
    nobody = order | {"node": guild.account(guild.signer(51))}
    assert code_of(guild, machine, SUSPEND, nobody, approvals=QUORUM) == "registry.unknown"
    guild.admitted(machine, 51)
    guild.do(machine, "registry.retire_node", {}, guild.signer(51), fee=0)
    assert code_of(guild, machine, SUSPEND, nobody, approvals=QUORUM) == "registry.retired"
    assert code_of(guild, machine, RESUME, {"node": nobody["node"]}, approvals=QUORUM) == "registry.not_suspended"


def test_the_owner_ends_a_suspension_after_its_height_and_nobody_else_does(guild, town):
    machine, order = town
    body, owner = {"node": order["node"]}, guild.signer(50)
    assert code_of(guild, machine, RESUME, body, owner) == "access.quorum"
    while machine.height < 20:
        guild.run(machine)
    assert code_of(guild, machine, RESUME, body, guild.other) == "access.quorum"
    guild.do(machine, RESUME, body, owner)
    record = load_node(machine.state, order["node"])
    assert (record.status, record.suspension, record.region) == ("active", None, "eu-central")


def test_a_suspended_nodes_key_may_be_replaced(guild, town):
    machine, order = town
    owner, new = guild.signer(50), guild.signer(90)
    assert code_of(guild, machine, "account.rotate_key", guild.rotation(revoke=owner), owner) == "registry.node_key"
    body = guild.rotation(new, owner, account=order["node"])
    guild.do(machine, "account.rotate_key", body, owner)
    assert load_node(machine.state, order["node"]).node_key == new.public_key
