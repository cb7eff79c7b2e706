import pytest

from bpci_node.chain.stake import load_stake
from bpci_node.chain.validator_set import KEPT_SETS, last_set, set_at
from bpci_node.chain.validators import MAX_ACTIVE, load_active, load_validator
from bpci_node.errors import NotFoundError
from bpci_node.primitives.bls import BlsSigner
from bpci_node.primitives.record import save_record

SET_UP = "validator.set_up"
QUORUM = (12, 13)


@pytest.fixture
def town(guild):
    """A ledger with a node (50) that has 100 at stake and may become a validator."""
    machine = guild.started()
    guild.admitted(machine, 50)
    guild.staked(machine, 50)
    return machine


def code_of(guild, machine, kind, body, number=50, **changes):
    (result,) = guild.run(machine, guild.make(machine, kind, body, guild.signer(number), **changes))
    return result.error and result.error.code


def powers(found):
    return {member.account: member.power for member in found.members}


def test_a_validator_is_set_up_and_in_the_set(guild, town):
    account = guild.account(guild.signer(50))
    assert last_set(town.state) is None
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    record = load_validator(town.state, account)
    bls_signer, vrf, ml_dsa = guild.keys(50)
    assert (record.bls_key, record.vrf_key, record.ml_dsa_key) == (
        bls_signer.public_key,
        vrf.public_key,
        ml_dsa.public_key,
    )
    assert (record.status, record.commission_bps, record.slashed, record.jailed_until) == ("active", 500, 0, 0)
    found = last_set(town.state)
    assert (found.height, powers(found)) == (town.height, {account: 100})
    assert set_at(town.state, town.height - 1).members == ()


def test_every_key_must_agree(guild, town):
    good, other = guild.set_up(50), guild.set_up(51)
    stranger = guild.set_up(50, account=guild.account(guild.signer(51)))
    for wrong, code in (
        ({"vrf_sig": other["vrf_sig"]}, "proof.signature"),
        ({"ml_dsa_sig": other["ml_dsa_sig"]}, "proof.signature"),
        ({"bls_sig": other["bls_sig"]}, "proof.bls"),
        ({"bls_possession": other["bls_possession"]}, "proof.bls"),
        ({"bls_possession": good["bls_sig"]}, "proof.bls"),
        (stranger, "proof.signature"),
        ({"bls_sig": stranger["bls_sig"]}, "proof.bls"),
        ({"vrf_key": bytes(32)}, "format.key"),
    ):
        assert code_of(guild, town, SET_UP, good | wrong) == code
    assert load_active(town.state) == ()


@pytest.mark.parametrize("key", [bytes(48), bytes([0xC0]) + bytes(47), b"\xff" * 48])
def test_a_key_that_is_no_point_of_the_group_is_refused(guild, town, key):
    # The other keys sign a statement with that key, so that nothing else is wrong.
    class Odd(BlsSigner):
        __slots__ = ()

    odd = Odd(50)
    odd.public_key = key
    _, vrf, ml_dsa = guild.keys(50)
    body = guild.set_up(50, keys=(odd, vrf, ml_dsa))
    assert code_of(guild, town, SET_UP, body) == "format.bls_key"


def test_only_a_node_that_validates_with_enough_at_stake_is_set_up(guild):
    machine = guild.started()
    guild.staked(machine, 50, 49)
    assert code_of(guild, machine, SET_UP, guild.set_up(50)) == "registry.unknown"
    guild.admitted(machine, 50)
    assert code_of(guild, machine, SET_UP, guild.set_up(50)) == "validator.stake"
    guild.do(machine, "stake.deposit", {"amount": 1}, guild.signer(50))
    flags = guild.admission(machine, guild.signer(50))["flags"] | {"validator": False}
    body = guild.registration(guild.signer(50), now_ms=machine.time_ms, flags=flags)
    guild.do(machine, "registry.update_node", body, guild.signer(50))
    assert code_of(guild, machine, SET_UP, guild.set_up(50)) == "validator.flag"


def test_a_bls_key_serves_one_account_for_ever(guild, town):
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    guild.do(town, "validator.exit", {}, guild.signer(50))
    guild.admitted(town, 51)
    guild.staked(town, 51)
    stolen = guild.set_up(51, keys=guild.keys(50))
    assert code_of(guild, town, SET_UP, stolen, 51) == "validator.key"


def test_a_validator_leaves_and_comes_back(guild, town):
    account = guild.account(guild.signer(50))
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    assert code_of(guild, town, SET_UP, guild.set_up(50)) == "validator.duplicate"
    guild.do(town, "validator.exit", {}, guild.signer(50))
    assert (load_active(town.state), last_set(town.state).members) == ((), ())
    for kind, body in (
        ("validator.exit", {}),
        ("validator.unjail", {}),
        ("validator.set_commission", {"commission_bps": 1}),
    ):
        assert code_of(guild, town, kind, body) == "validator.exited"
    guild.do(town, SET_UP, guild.set_up(50, commission_bps=7), guild.signer(50))
    assert load_validator(town.state, account).commission_bps == 7


def test_who_is_no_validator_can_not_act_as_one(guild, town):
    for kind, body in (
        ("validator.exit", {}),
        ("validator.unjail", {}),
        ("validator.set_commission", {"commission_bps": 1}),
    ):
        assert code_of(guild, town, kind, body) == "validator.unknown"
    order = {"validator": guild.account(guild.signer(50)), "cause": bytes(32)}
    assert code_of(guild, town, "validator.jail", order, approvals=QUORUM) == "validator.unknown"


def test_a_commission_changes_in_steps_and_seldom(guild, town):
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    change = "validator.set_commission"
    assert code_of(guild, town, change, {"commission_bps": 600}) == "validator.commission_rate"
    guild.run(town)
    assert code_of(guild, town, change, {"commission_bps": 1001}) == "validator.commission_step"
    assert code_of(guild, town, change, {"commission_bps": 1000}) is None
    assert code_of(guild, town, change, {"commission_bps": 900}) == "validator.commission_rate"
    assert code_of(guild, town, change, {"commission_bps": 10_001}) == "format.body"


def test_jail_keeps_a_validator_out_for_its_time(guild, town):
    account = guild.account(guild.signer(50))
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    assert code_of(guild, town, "validator.unjail", {}) == "validator.not_jailed"
    order = {"validator": account, "cause": bytes(32)}
    assert code_of(guild, town, "validator.jail", order) == "access.quorum"
    guild.do(town, "validator.jail", order, approvals=QUORUM)
    until = load_validator(town.state, account).jailed_until
    assert until == town.height + 3
    assert last_set(town.state).members == ()
    assert code_of(guild, town, SET_UP, guild.set_up(50)) == "validator.duplicate"
    assert code_of(guild, town, "validator.unjail", {}) == "validator.jailed"
    while town.height < until:
        guild.run(town)
    guild.do(town, "validator.unjail", {}, guild.signer(50))
    assert powers(last_set(town.state)) == {account: 100}


def test_leaving_does_not_shorten_jail(guild, town):
    account = guild.account(guild.signer(50))
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    guild.do(town, "validator.jail", {"validator": account, "cause": bytes(32)}, approvals=QUORUM)
    guild.do(town, "validator.exit", {}, guild.signer(50))
    assert code_of(guild, town, SET_UP, guild.set_up(50)) == "validator.jailed"
    while town.height < load_validator(town.state, account).jailed_until:
        guild.run(town)
    assert code_of(guild, town, SET_UP, guild.set_up(50)) is None


def test_coming_back_needs_the_stake(guild, town):
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    account = guild.account(guild.signer(50))
    guild.do(town, "validator.jail", {"validator": account, "cause": bytes(32)}, approvals=QUORUM)
    guild.do(town, "stake.withdraw", {"amount": 60}, guild.signer(50))
    for _ in range(3):
        guild.run(town)
    assert code_of(guild, town, "validator.unjail", {}) == "validator.stake"


def test_power_follows_the_stake_and_every_set_is_found_by_its_height(guild, town):
    account, signer = guild.account(guild.signer(50)), guild.signer(50)
    guild.do(town, SET_UP, guild.set_up(50), signer)
    expected = {town.height - 1: {}, town.height: {account: 100}}
    for amount in (30, 20, 1):  # The last one leaves less than the least.
        guild.do(town, "stake.withdraw", {"amount": amount}, signer)
        bonded = load_stake(town.state, account).bonded
        expected[town.height] = {account: bonded} if bonded >= 50 else {}
    guild.do(town, "stake.deposit", {"amount": 40}, signer)
    expected[town.height] = {account: 89}
    guild.do(town, "asset.burn", {"asset": "BPI", "amount": 1})
    expected[town.height] = {account: 89}
    assert {height: powers(set_at(town.state, height)) for height in expected} == expected
    assert powers(set_at(town.state, 10**9)) == {account: 89}
    assert last_set(town.state).number == 4


def test_old_sets_are_dropped_and_said_to_be(guild, town):
    guild.do(town, SET_UP, guild.set_up(50), guild.signer(50))
    first = town.height
    body = {"asset": "BPI", "to": guild.account(guild.signer(50)), "amount": 1000}
    guild.do(town, "asset.transfer", body, guild.other)
    while last_set(town.state).number < KEPT_SETS:
        guild.do(town, "stake.deposit", {"amount": 1}, guild.signer(50))
    with pytest.raises(NotFoundError) as caught:
        set_at(town.state, first)
    assert caught.value.code == "validator.set_gone"
    assert set_at(town.state, first + 2).number == 1


def test_there_is_a_bound_on_active_validators(guild, town):
    names = sorted(guild.account(guild.signer(number)) for number in range(1000, 1000 + MAX_ACTIVE))
    machine = type(town)(
        guild.genesis,
        entries=[*town.state.entries(), (b"validators", save_record({"v": 1, "accounts": names}))],
        height=town.height,
        time_ms=town.time_ms,
        version=town.version,
    )
    assert code_of(guild, machine, SET_UP, guild.set_up(50)) == "validator.full"
