import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.assets import balance
from bpci_node.chain.slashing import MAX_BUNDLE_EVIDENCE, take_stake
from bpci_node.chain.stake import StakeRecord, load_stake, store_stake
from bpci_node.chain.state import Overlay, State
from bpci_node.chain.validator_set import last_set
from bpci_node.chain.validators import load_validator
from bpci_node.chain.wallets import WALLETS

BLOCKS, BUNDLES = "validator.report_blocks", "validator.report_bundles"


@pytest.fixture
def town(guild):
    """A ledger with a validator (50) that has 1,000 at stake, 200 of it leaving."""
    machine = guild.started()
    guild.validator(machine, 50, 1000)
    guild.do(machine, "stake.withdraw", {"amount": 200}, guild.signer(50))
    return machine


def code_of(guild, machine, kind, first, second):
    (result,) = guild.run(machine, guild.make(machine, kind, {"first": first, "second": second}))
    return result.error and result.error.code


def test_two_blocks_of_one_height_cost_a_part_of_the_stake_and_the_place_in_the_set(guild, town, conserved):
    account = guild.account(guild.signer(50))
    treasury = balance(town.state, WALLETS["treasury"], "BPI")
    body = {"first": guild.block(50), "second": guild.block(50, mark=1)}
    slashed, jailed = guild.do(town, BLOCKS, body)
    assert slashed.fields["amount"] == 50
    assert jailed.fields["until_height"] == town.height + 3
    record = load_validator(town.state, account)
    assert (record.status, record.slashed, record.jailed_until) == ("jailed", 50, town.height + 3)
    assert load_stake(town.state, account).bonded == 750
    assert balance(town.state, WALLETS["treasury"], "BPI") == treasury + 50 + 2
    assert last_set(town.state).members == ()
    conserved(town)


def test_a_contradiction_costs_once_whatever_the_order_and_whoever_reports(guild, town):
    one, two, three = (guild.block(50, mark=mark) for mark in range(3))
    assert code_of(guild, town, BLOCKS, one, two) is None
    for first, second in ((one, two), (two, one), (one, three)):
        assert code_of(guild, town, BLOCKS, first, second) == "validator.punished"
    assert code_of(guild, town, BLOCKS, guild.block(50, height=8), guild.block(50, height=8, mark=1)) is None
    assert code_of(guild, town, BUNDLES, guild.bundle(50), guild.bundle(50, mark=1)) is None
    assert code_of(guild, town, BUNDLES, guild.bundle(50), guild.bundle(50, mark=2)) == "validator.punished"
    assert load_validator(town.state, guild.account(guild.signer(50))).slashed == 50 + 47 + 45


def test_blocks_that_do_not_contradict_each_other_cost_nothing(guild, town):
    one = guild.block(50)
    guild.validator(town, 51)
    for other in (one, guild.block(50, height=8), guild.block(51), guild.block(50, parent=bytes([1]) * 32, mark=1)):
        assert code_of(guild, town, BLOCKS, one, other) == "validator.evidence"


def test_bundles_that_do_not_contradict_each_other_cost_nothing(guild, town):
    one = guild.bundle(50)
    for other in (
        one,
        guild.bundle(51, mark=1),
        guild.bundle(50, sequence=4),
        guild.bundle(50, target="eip155:137"),
        guild.bundle(50, ledger_id="x:" + "0" * 64),
    ):
        assert code_of(guild, town, BUNDLES, one, other) == "validator.evidence"
    elsewhere = {"ledger_id": "x:" + "0" * 64}
    found = code_of(guild, town, BUNDLES, guild.bundle(50, **elsewhere), guild.bundle(50, mark=1, **elsewhere))
    assert found == "chain.ledger"


def test_evidence_that_was_not_signed_is_none(guild, town):
    for kind, make in ((BLOCKS, guild.block), (BUNDLES, guild.bundle)):
        one, two = make(50), make(50, mark=1)
        at = two.index(b"signature") + 15
        forged = two[:at] + bytes([two[at] ^ 1]) + two[at + 1 :]
        assert code_of(guild, town, kind, one, forged) == "proof.signature"
        assert code_of(guild, town, kind, forged, one) == "proof.signature"


def test_evidence_that_is_something_else_is_refused(guild, town):
    assert code_of(guild, town, BLOCKS, guild.block(50), guild.block(50)[:-1]) == "format.cbor"
    assert code_of(guild, town, BUNDLES, guild.bundle(50), guild.block(50)) == "bundle.format"
    assert code_of(guild, town, BUNDLES, guild.bundle(50), bytes(MAX_BUNDLE_EVIDENCE + 1)) == "format.body"


def test_who_is_no_validator_has_nothing_to_lose(guild, town):
    assert code_of(guild, town, BLOCKS, guild.block(99), guild.block(99, mark=1)) == "validator.unknown"
    guild.staked(town, 99)
    assert code_of(guild, town, BLOCKS, guild.block(99), guild.block(99, mark=1)) == "validator.unknown"


def test_neither_leaving_nor_a_new_key_saves_a_validator(guild, town):
    account, signer, new = guild.account(guild.signer(50)), guild.signer(50), guild.signer(90)
    guild.do(town, "validator.exit", {}, signer)
    guild.do(town, "account.rotate_key", guild.rotation(new, signer, account=account), signer)
    assert code_of(guild, town, BLOCKS, guild.block(50), guild.block(50, mark=1)) is None
    record = load_validator(town.state, account)
    assert (record.status, record.slashed) == ("exited", 50)
    assert record.jailed_until == town.height + 3


def test_two_bundles_of_the_greatest_length_fit_into_a_command(guild, town):
    bundles = [guild.bundle(50, mark=mark) for mark in (0, 1)]
    assert all(len(bundle) < MAX_BUNDLE_EVIDENCE for bundle in bundles)
    signed = guild.make(town, BUNDLES, {"first": bytes(MAX_BUNDLE_EVIDENCE), "second": bytes(MAX_BUNDLE_EVIDENCE)})
    assert len(signed) + 2420 < 16_384


amounts = st.lists(st.integers(1, 10**6), max_size=16)


@settings(max_examples=200)
@given(st.integers(0, 10**6), amounts, st.integers(0, 10_000))
def test_slashing_takes_its_share_of_everything_and_loses_nothing(bonded, leaving, bps):
    state = Overlay(State.of())
    store_stake(state, "bpa1" + "a" * 32, StakeRecord(bonded, tuple((amount, 5) for amount in leaving)))
    whole = bonded + sum(leaving)
    taken = take_stake(state, "bpa1" + "a" * 32, bps)
    left = load_stake(state, "bpa1" + "a" * 32)
    assert taken == whole * bps // 10_000
    assert left.bonded + sum(amount for amount, _ in left.unbonding) == whole - taken
    assert left.bonded == max(bonded - taken, 0)
    assert all(amount > 0 for amount, _ in left.unbonding)
    assert balance(state, WALLETS["treasury"], "BPI") == taken
