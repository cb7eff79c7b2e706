"""The faucet on the ledger: who grants, whom, how much, and never more than the pool holds."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.assets import balance
from bpci_node.chain.faucet import Granted, allowance_of, load_granted, load_operator
from bpci_node.chain.machine import Machine
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import BpciError

QUORUM = {"approvals": (12, 13)}
PAID = 700
MAXIMA = {"bpi-community": 40, "bpci-enterprise": 400, "hybrid": 200}


class Fountain:
    """A ledger with a pool, and its operator, the registry."""

    def __init__(self, economy, network="testnet"):
        self.economy = economy
        values = {"faucet_wallet": 50, "faucet_community": 40, "faucet_enterprise": 400, "faucet_hybrid": 200}
        parameters = economy.genesis.parameters
        parameters = replace(parameters, network=network, values={**parameters.values, **values})
        self.genesis = replace(economy.genesis, parameters=parameters)
        self.machine = Machine(self.genesis)
        self.do("asset.transfer", {"asset": "BPI", "to": WALLETS["faucet"], "amount": PAID}, economy.node)

    def make(self, kind, body, signer=None, **changes):
        signer = signer or self.economy.registry
        changes = {"ledger_id": self.genesis.ledger_id} | changes
        if signer is self.economy.registry:
            changes = {"fee": 0} | changes
        return self.economy.make(self.machine, kind, body, signer, **changes)

    def do(self, kind, body, signer=None, **changes):
        (result,) = self.economy.run(self.machine, self.make(kind, body, signer, **changes))
        assert result.error is None, result.error
        return result.events

    def grant(self, to, amount, purpose="wallet", signer=None, **changes):
        return self.make("faucet.grant", {"to": to, "purpose": purpose, "amount": amount}, signer, **changes)

    def register(self, signer, node_type):
        terms = {"now_ms": self.machine.time_ms, "node_type": node_type, "ledger_id": self.genesis.ledger_id}
        self.do("registry.register_node", self.economy.registration(signer, **terms), signer, fee=0)

    def has(self, account):
        return balance(self.machine.state, account, "BPI")


@pytest.fixture
def fountain(economy):
    return Fountain(economy)


@pytest.fixture
def wallet(economy):
    return economy.account(economy.signer(90))


def test_a_wallet_is_given_its_grant_once(fountain, wallet, refused):
    (event,) = fountain.do("faucet.grant", {"to": wallet, "purpose": "wallet", "amount": 50})
    assert (event.kind, event.fields) == ("faucet.granted", {"to": wallet, "purpose": "wallet", "amount": 50})
    assert (fountain.has(wallet), fountain.has(WALLETS["faucet"])) == (50, PAID - 50)
    assert load_granted(fountain.machine.state, wallet) == Granted(wallet=50)
    refused(fountain.machine, fountain.grant(wallet, 1), "faucet.granted")


def test_more_than_a_wallet_s_grant_is_refused_and_says_what_would_do(fountain, wallet, refused):
    assert refused(fountain.machine, fountain.grant(wallet, 51), "faucet.amount").details == {"most": "50"}


@pytest.mark.parametrize("node_type", list(MAXIMA))
def test_a_node_is_given_up_to_the_maximum_of_its_type_in_parts(fountain, economy, refused, node_type):
    signer, most = economy.signer(91), MAXIMA[node_type]
    account = economy.account(signer)
    refused(fountain.machine, fountain.grant(account, 1, "node"), "faucet.node")
    fountain.register(signer, node_type)
    fountain.do("faucet.grant", {"to": account, "purpose": "node", "amount": most - 1})
    refused(fountain.machine, fountain.grant(account, 2, "node"), "faucet.amount")
    fountain.do("faucet.grant", {"to": account, "purpose": "node", "amount": 1})
    refused(fountain.machine, fountain.grant(account, 1, "node"), "faucet.amount")
    # What it is given as a wallet is another matter.
    fountain.do("faucet.grant", {"to": account, "purpose": "wallet", "amount": 50})
    assert load_granted(fountain.machine.state, account) == Granted(wallet=50, node=most)


def test_a_node_of_another_type_is_given_the_difference(fountain, economy):
    signer = economy.signer(91)
    fountain.register(signer, "bpi-community")
    account = economy.account(signer)
    fountain.do("faucet.grant", {"to": account, "purpose": "node", "amount": 40})
    terms = {"now_ms": fountain.machine.time_ms, "node_type": "hybrid", "ledger_id": fountain.genesis.ledger_id}
    fountain.do("registry.update_node", economy.registration(signer, **terms), signer, fee=0)
    assert allowance_of(fountain.machine.state, account, "node") == 160
    terms["node_type"] = "bpi-community"
    fountain.do("registry.update_node", economy.registration(signer, **terms), signer, fee=0)
    assert allowance_of(fountain.machine.state, account, "node") == 0


def test_a_node_that_has_retired_is_given_nothing(fountain, economy, refused):
    signer = economy.signer(91)
    fountain.register(signer, "hybrid")
    fountain.do("registry.retire_node", {}, signer, fee=0)
    refused(fountain.machine, fountain.grant(economy.account(signer), 1, "node"), "faucet.node")


def test_never_more_than_the_pool_holds(fountain, economy, refused):
    body = {"wallet": "faucet", "asset": "BPI", "to": economy.account(), "amount": PAID - 10, "reason": bytes(32)}
    fountain.do("wallet.spend", body, economy.node, **QUORUM)
    refused(fountain.machine, fountain.grant(economy.account(economy.signer(90)), 11), "asset.balance")
    fountain.do("faucet.grant", {"to": economy.account(economy.signer(90)), "purpose": "wallet", "amount": 10})
    assert fountain.has(WALLETS["faucet"]) == 0


def test_only_the_operator_grants(fountain, economy, wallet, refused):
    refused(fountain.machine, fountain.grant(wallet, 1, signer=economy.node), "faucet.operator")
    assert load_operator(fountain.machine.state, fountain.genesis) == economy.account(economy.registry)


def test_the_guardians_appoint_another_operator(fountain, economy, wallet, refused):
    body = {"operator": economy.account(economy.other)}
    refused(fountain.machine, fountain.make("faucet.set_operator", body, economy.node), "access.quorum")
    (event,) = fountain.do("faucet.set_operator", body, economy.node, **QUORUM)
    assert (event.kind, event.fields) == ("faucet.operator_set", {"account": body["operator"]})
    refused(fountain.machine, fountain.grant(wallet, 1), "faucet.operator")
    fountain.do("faucet.grant", {"to": wallet, "purpose": "wallet", "amount": 1}, economy.other)


def test_there_is_no_faucet_on_the_mainnet_and_one_on_testnets_and_devnets(economy, wallet, refused):
    for network in ("testnet", "devnet"):
        Fountain(economy, network).do("faucet.grant", {"to": wallet, "purpose": "wallet", "amount": 50})
    mainnet = Fountain(economy, "mainnet")
    refused(mainnet.machine, mainnet.grant(wallet, 1), "faucet.mainnet")


def test_a_ledger_without_assets_grants_nothing(world, wallet, refused):
    machine = world.registered()
    body = {"to": wallet, "purpose": "wallet", "amount": 1}
    refused(machine, world.signed("faucet.grant", body, signer=world.registry), "asset.unknown")


def test_a_grant_needs_no_fee(fountain, wallet):
    assert fountain.has(fountain.economy.account(fountain.economy.registry)) == 0
    fountain.do("faucet.grant", {"to": wallet, "purpose": "wallet", "amount": 1}, fee=0)


_GRANTS = st.lists(
    st.tuples(st.integers(90, 93), st.sampled_from(["wallet", "node"]), st.integers(1, 500)), min_size=1, max_size=12
)


@settings(max_examples=30, deadline=None)
@given(grants=_GRANTS)
def test_no_sequence_of_grants_makes_money_or_exceeds_a_maximum(economy, conserved, grants):
    fountain = Fountain(economy)
    for number, node_type in ((90, "bpi-community"), (91, "bpci-enterprise")):
        fountain.register(economy.signer(number), node_type)
    paid = 0
    for number, purpose, amount in grants:
        signed = fountain.grant(economy.account(economy.signer(number)), amount, purpose)
        (result,) = economy.run(fountain.machine, signed)
        paid += 0 if isinstance(result.error, BpciError) else amount
    conserved(fountain.machine)
    assert fountain.has(WALLETS["faucet"]) == PAID - paid >= 0
    for number in range(90, 94):
        given = load_granted(fountain.machine.state, economy.account(economy.signer(number)))
        assert given.wallet <= 50
        assert given.node <= {90: 40, 91: 400}.get(number, 0)
