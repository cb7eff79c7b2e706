import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.assets import balance, find_asset
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import RefusedError

GUARDIANS = (12, 13)


def transfer(economy, amount=10, asset="BPI", to=None):
    return {"asset": asset, "to": to or economy.account(economy.other), "amount": amount}


def mint(economy, digest=1, **changes):
    body = {"asset": "GEN", "to": economy.account(), "amount": 40}
    return body | {"justification": {"kind": "gold", "digest": bytes([digest]) * 32}} | changes


@pytest.fixture
def machine(economy):
    return economy.started()


def held(machine, account, asset="BPI"):
    return balance(machine.state, account, asset)


def test_the_first_block_brings_the_genesis_along(economy, conserved):
    machine = economy.machine()
    assert len(machine.state) == 0
    economy.run(machine)
    assert held(machine, economy.account()) == 1_000_000
    assert held(machine, economy.account(), "GEN") == 500
    assert find_asset(machine.state, "NEX").supply == 900
    conserved(machine)


def test_a_transfer_moves_the_amount_and_pays_the_fee_to_the_treasury(economy, machine, conserved):
    (event,) = economy.do(machine, "asset.transfer", transfer(economy))
    assert event.kind == "asset.transferred"
    assert held(machine, economy.account()) == 1_000_000 - 12
    assert held(machine, economy.account(economy.other)) == 1_000_010
    assert held(machine, WALLETS["treasury"]) == 10_003
    conserved(machine)


def test_an_account_that_never_spoke_can_be_paid_and_then_speak(economy, machine):
    newcomer = economy.signer(99)
    account = account_id_of(newcomer.public_key)
    economy.do(machine, "asset.transfer", transfer(economy, 100, to=account))
    economy.do(machine, "asset.transfer", transfer(economy, 98), newcomer)
    assert held(machine, account) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"asset": "XXX"}, "asset.unknown"),
        ({"amount": 1_000_000}, "asset.balance"),  # all of it, and nothing left for the fee
        ({"asset": "GEN", "amount": 501}, "asset.balance"),
        ({"asset": "FLX"}, "asset.balance"),
        ({"to": None}, "asset.self"),
        ({"amount": 0}, "format.body"),
        ({"amount": 2**63}, "format.body"),
        ({"amount": "10"}, "format.body"),
        ({"to": "bpa1"}, "format.body"),
        ({"memo": ""}, "format.body"),
    ],
    ids=str,
)
def test_a_transfer_that_breaks_a_rule_is_refused(economy, machine, refused, change, code):
    body = transfer(economy) | change
    if body["to"] is None:
        body["to"] = economy.account()
    refused(machine, economy.make(machine, "asset.transfer", body), code)


def test_a_fee_is_owed_unless_the_kind_is_free(economy, machine, refused):
    error = refused(machine, economy.make(machine, "asset.transfer", transfer(economy), fee=1), "chain.fee")
    assert error.details == {"least": "2"}
    newcomer = economy.signer(50)
    economy.do(machine, "registry.register_node", economy.registration(newcomer), newcomer, fee=0)
    poor = economy.make(machine, "registry.retire_node", {}, newcomer, fee=1)
    refused(machine, poor, "asset.balance")


def test_a_quorum_mints_for_a_reason_and_each_reason_only_once(economy, machine, refused, conserved):
    guardian = economy.signer(11)
    economy.do(machine, "asset.transfer", transfer(economy, 100, to=economy.account(guardian)))
    (event,) = economy.do(machine, "asset.mint", mint(economy), guardian, approvals=(12,))
    assert event.fields["justification"] == "gold"
    assert held(machine, economy.account(), "GEN") == 540
    again = economy.make(machine, "asset.mint", mint(economy, amount=1), approvals=GUARDIANS)
    refused(machine, again, "asset.justified")
    economy.do(machine, "asset.mint", mint(economy, 2), approvals=GUARDIANS)
    conserved(machine)


@pytest.mark.parametrize(
    ("approvals", "change", "code"),
    [
        ((), {}, "access.quorum"),
        ((12,), {}, "access.quorum"),
        ((12, 14), {}, "access.quorum"),  # one of them is no guardian
        (GUARDIANS, {"asset": "XXX"}, "asset.unknown"),
        (GUARDIANS, {"amount": 10**12 - 499}, "asset.cap"),
        (GUARDIANS, {"justification": {"kind": "friendship", "digest": bytes(32)}}, "format.body"),
        (GUARDIANS, {"justification": {"kind": "gold", "digest": bytes(31)}}, "format.body"),
        (GUARDIANS, {"justification": None}, "format.body"),
    ],
    ids=str,
)
def test_a_minting_that_breaks_a_rule_is_refused(economy, refused, approvals, change, code):
    machine = economy.started()
    refused(machine, economy.make(machine, "asset.mint", mint(economy, **change), approvals=approvals), code)


def test_up_to_the_cap_may_be_minted(economy, machine, conserved):
    economy.do(machine, "asset.mint", mint(economy, amount=10**12 - 500), approvals=GUARDIANS)
    conserved(machine)


def test_burning_lowers_the_supply(economy, machine, refused, conserved):
    economy.do(machine, "asset.burn", {"asset": "GEN", "amount": 500})
    assert held(machine, economy.account(), "GEN") == 0
    assert find_asset(machine.state, "GEN").supply == 0
    conserved(machine)
    refused(machine, economy.make(machine, "asset.burn", {"asset": "GEN", "amount": 1}), "asset.balance")
    refused(machine, economy.make(machine, "asset.burn", {"asset": "XXX", "amount": 1}), "asset.unknown")


def test_a_governance_wallet_spends_by_the_quorum_alone(economy, machine, refused, conserved):
    body = {"wallet": "treasury", "asset": "BPI", "to": economy.account(), "amount": 1, "reason": bytes(32)}
    refused(machine, economy.make(machine, "wallet.spend", body), "access.quorum")
    for change, code in (
        ({"to": WALLETS["treasury"]}, "asset.self"),
        ({"asset": "GEN"}, "asset.balance"),
        ({"asset": "XXX"}, "asset.unknown"),
        ({"wallet": "mine"}, "format.body"),
    ):
        refused(machine, economy.make(machine, "wallet.spend", body | change, approvals=GUARDIANS), code)
    economy.do(machine, "wallet.spend", body | {"amount": 10_000}, approvals=GUARDIANS)
    conserved(machine)


def test_a_distribution_follows_its_policy_to_the_last_unit(economy, machine, refused, conserved):
    body = {"wallet": "treasury", "asset": "BPI", "amount": 9_999, "policy": "auction-25"}
    refused(machine, economy.make(machine, "wallet.distribute", body), "access.quorum")
    economy.do(machine, "wallet.distribute", body, approvals=GUARDIANS)
    shares = {"partner-chains": 2500, "company-api": 1875, "owner": 750, "community": 2999, "reserve": 1875}
    assert {name: held(machine, WALLETS[name]) for name in shares} == shares
    conserved(machine)
    too_much = economy.make(machine, "wallet.distribute", body | {"amount": 10**6}, approvals=GUARDIANS)
    refused(machine, too_much, "asset.balance")


def test_only_commands_for_the_quorum_take_more_than_one_signature(economy, machine, refused):
    signed = economy.make(machine, "asset.transfer", transfer(economy), approvals=(12,))
    refused(machine, signed, "chain.signatures")


def test_an_approval_counts_for_the_account_whose_key_it_is_now(economy, machine, refused):
    guardian, successor = economy.signer(12), economy.signer(30)
    economy.do(machine, "asset.transfer", transfer(economy, 100, to=economy.account(guardian)))
    rotation = economy.rotation(successor, revoke=guardian, account=economy.account(guardian))
    economy.do(machine, "account.rotate_key", rotation, guardian)
    refused(machine, economy.make(machine, "asset.mint", mint(economy), approvals=(12, 13)), "account.key_revoked")
    economy.do(machine, "asset.mint", mint(economy), approvals=(30, 13))


def test_an_asset_that_is_not_there_is_not_found(economy, machine):
    with pytest.raises(RefusedError):
        find_asset(machine.state, "XXX")
