import pytest

from bpci_node.chain.admission import (
    Invitation,
    admitted_in_window,
    decode_invitation,
    find_work,
    verify_work,
    work_statement,
)
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.registration import load_node
from bpci_node.errors import FormatError, ProofError

ADMIT = "registry.admit_node"


@pytest.fixture
def turned_away(guild):
    """Send an admission that is refused, and see that it left no trace."""

    def run(machine, body, signer, code):
        root = machine.state.root
        (result,) = guild.run(machine, guild.make(machine, ADMIT, body, signer, fee=0))
        assert result.error is not None
        assert result.error.code == code
        assert machine.state.root == root
        return result.error

    return run


def test_work_lets_a_community_node_in_without_a_fee_or_any_balance(guild):
    machine, signer = guild.started(), guild.signer(50)
    (event,) = guild.do(machine, ADMIT, guild.admission(machine, signer), signer, fee=0)
    assert event.kind == "registry.node_registered"
    record = load_node(machine.state, guild.account(signer))
    assert (record.node_type, record.region, record.status) == ("bpi-community", "eu-central", "active")
    assert admitted_in_window(machine.state, machine.height, by_work=True) == 1
    assert admitted_in_window(machine.state, machine.height, by_work=False) == 0


def test_work_holds_for_256_blocks_of_which_the_roots_are_kept(guild, turned_away):
    machine, signer = guild.started(), guild.signer(50)
    height, root = machine.height, machine.state.root
    body = guild.admission(machine, signer, height=height, root=root)
    for _ in range(254):
        guild.do(machine, "asset.burn", {"asset": "BPI", "amount": 1})
    signed = guild.make(machine, ADMIT, body, signer, fee=0)
    machine.check(signed, machine.time_ms + 1)
    guild.do(machine, "asset.burn", {"asset": "BPI", "amount": 1})
    machine.check(signed, machine.time_ms + 1)
    guild.do(machine, "asset.burn", {"asset": "BPI", "amount": 1})
    turned_away(machine, body, signer, "registry.work_height")


def test_work_is_bound_to_key_root_height_and_instance(guild, turned_away):
    machine, signer = guild.started(), guild.signer(50)
    height, root = machine.height, machine.state.root
    fields = {"ledger_id": guild.genesis.ledger_id, "node_key": signer.public_key, "instance": 0}
    fields |= {"height": height, "root": root}
    statement = work_statement(**fields)
    changes = {"ledger_id": "x", "node_key": bytes(32), "instance": 1, "height": 9, "root": bytes(32)}
    assert len({work_statement(**fields | {name: value}) for name, value in changes.items()} | {statement}) == 6
    nonce = find_work(statement, 8)
    verify_work(statement, nonce, 8)
    spoilt = next(number for number in range(1000) if is_idle(statement, number.to_bytes(8)))
    body = guild.admission(machine, signer) | {"work": {"height": height, "nonce": spoilt.to_bytes(8)}}
    assert turned_away(machine, body, signer, "proof.work").details == {"bits": 4}
    for height in (machine.height + 1, machine.height + 7, 2**62):
        body = guild.admission(machine, signer) | {"work": {"height": height, "nonce": nonce}}
        turned_away(machine, body, signer, "registry.work_height")


def is_idle(statement, nonce):
    try:
        verify_work(statement, nonce, 4)
    except ProofError:
        return True
    return False


def test_who_registers_signs_with_the_key_that_he_registers(guild, turned_away):
    machine = guild.started()
    turned_away(machine, guild.admission(machine, guild.signer(51)), guild.signer(50), "registry.node_key")


def test_a_bank_sponsors_no_community_node(guild, turned_away):
    machine, signer = guild.started(), guild.signer(50)
    flags = guild.admission(machine, signer)["flags"] | {"bank_sponsored": True}
    turned_away(machine, guild.admission(machine, signer, flags=flags), signer, "registry.community")


def test_a_node_is_admitted_once_and_again_after_it_retired(guild, turned_away):
    machine, signer = guild.started(), guild.signer(50)
    guild.admitted(machine, 50)
    turned_away(machine, guild.admission(machine, signer), signer, "registry.duplicate")
    guild.do(machine, "registry.retire_node", {}, signer, fee=0)
    turned_away(machine, guild.admission(machine, signer), signer, "registry.instance")
    body = guild.admission(machine, signer, instance=1) | guild.invitation()
    guild.do(machine, ADMIT, body, signer, fee=0)
    assert load_node(machine.state, guild.account(signer)).instance == 1


def test_each_way_in_has_its_own_places_in_a_window(guild, turned_away):
    machine = guild.started()
    guild.admitted(machine, *range(50, 70))
    late = guild.signer(70)
    error = turned_away(machine, guild.admission(machine, late), late, "registry.admissions")
    assert error.details == {"height": 1000}
    guild.do(machine, ADMIT, guild.admission(machine, late) | guild.invitation(), late, fee=0)


def test_an_invitation_is_used_once(guild, turned_away):
    machine, signer, other = guild.started(), guild.signer(50), guild.signer(51)
    guild.do(machine, ADMIT, guild.admission(machine, signer) | guild.invitation(), signer, fee=0)
    turned_away(machine, guild.admission(machine, other) | guild.invitation(), other, "registry.invitation")
    guild.do(machine, ADMIT, guild.admission(machine, other) | guild.invitation(number=2), other, fee=0)


def test_an_invitation_is_the_registrys_for_this_ledger_this_key_and_a_time(guild, turned_away):
    machine, signer = guild.started(), guild.signer(50)
    other = Genesis("other", guild.registry.public_key, 1)
    cases = [
        ({"signer": guild.signer(9)}, "proof.signature"),
        ({"ledger_id": other.ledger_id}, "chain.ledger"),
        ({"node_key": guild.signer(51).public_key}, "registry.invitation"),
        ({"expires_ms": machine.time_ms + 999}, "registry.invitation"),
    ]
    for changes, code in cases:
        body = guild.admission(machine, signer) | guild.invitation(**changes)
        turned_away(machine, body, signer, code)
    body = guild.admission(machine, signer) | guild.invitation() | {"invitation": b"\xa0"}
    turned_away(machine, body, signer, "format.invitation")
    good = guild.invitation(node_key=signer.public_key, expires_ms=machine.time_ms + 1000)
    guild.do(machine, ADMIT, guild.admission(machine, signer) | good, signer, fee=0)


def test_work_and_invitation_exclude_each_other(guild, turned_away):
    machine, signer = guild.started(), guild.signer(50)
    body, invited = guild.admission(machine, signer), guild.invitation()
    for wrong in (
        body | {"work": None},
        body | invited | {"work": body["work"]},
        body | invited | {"invitation_sig": None},
        body | {"invitation_sig": bytes(64)},
    ):
        turned_away(machine, wrong, signer, "format.body")


def test_an_invitation_comes_back_as_it_was():
    for key in (None, bytes([1]) * 32):
        found = Invitation("testnet:" + "0" * 64, bytes(16), key, 7)
        assert decode_invitation(found.encode()) == found
    with pytest.raises(FormatError):
        decode_invitation(b"")
