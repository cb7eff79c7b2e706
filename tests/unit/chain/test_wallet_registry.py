"""Names of wallets: one holder each, of this network alone, for roles that the account has."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpci_node.chain.genesis import Genesis
from bpci_node.chain.wallet_registry import MAX_WALLETS, find_wallet, list_wallets, network_of, wallet_names
from bpci_node.primitives.wallet_address import StampedAddress, WalletAddress


def address(economy, url="asha.example", *, signer=None, network="testnet", place="home.example"):
    return WalletAddress(network, economy.account(signer), url, place)


def body(economy, url="asha.example", *, role="owner", **changes):
    return {"address": str(address(economy, url, **changes)), "role": role}


@pytest.fixture
def machine(economy):
    machine = economy.started()
    economy.do(machine, "wallet.register", body(economy))
    return machine


def test_a_wallet_is_found_by_its_name_and_its_account(economy, machine):
    record = find_wallet(machine.state, "asha.example")
    assert (record.address, record.role, record.status) == (address(economy), "owner", "active")
    assert wallet_names(machine.state, economy.account()) == ("asha.example",)
    economy.do(machine, "wallet.register", body(economy, "a.example/shop"))
    assert wallet_names(machine.state, economy.account()) == ("a.example/shop", "asha.example")
    names = [found.address.url for found in list_wallets(machine.state)]
    assert names == ["a.example/shop", "asha.example"]
    assert [found.address.url for found in list_wallets(machine.state, after=names[0], limit=1)] == names[1:]


@pytest.mark.parametrize("network", ["mainnet", "devnet"])
@pytest.mark.parametrize("kind", ["wallet.register", "wallet.update"])
def test_an_address_of_another_network_is_refused(economy, machine, refused, network, kind):
    signed = economy.make(machine, kind, body(economy, "asha.example", network=network))
    refused(machine, signed, "wallet.network")


def test_what_was_signed_for_the_testnet_is_refused_on_mainnet(economy, machine, refused):
    # The same people, keys and allocations: only the genesis says which network it is.
    parameters = replace(economy.genesis.parameters, network="mainnet")
    genesis = Genesis(economy.genesis.name, economy.registry.public_key, economy.genesis.time_ms, parameters)
    mainnet = type(machine)(genesis)
    economy.run(mainnet)
    assert network_of(genesis) == "mainnet"
    for kind, content in (
        ("asset.transfer", {"asset": "GEN", "to": economy.account(economy.other), "amount": 1}),
        ("wallet.register", body(economy, "b.example")),
    ):
        refused(mainnet, economy.make(mainnet, kind, content), "chain.ledger")
    named = economy.make(mainnet, "wallet.register", body(economy, "b.example"), ledger_id=genesis.ledger_id)
    refused(mainnet, named, "wallet.network")
    own = body(economy, "b.example", network="mainnet")
    (result,) = economy.run(mainnet, economy.make(mainnet, "wallet.register", own, ledger_id=genesis.ledger_id))
    assert result.error is None


def test_a_ledger_that_began_with_version_1_is_a_devnet(world):
    assert network_of(world.genesis) == "devnet"


@pytest.mark.parametrize(
    "url",
    ["asha.example", "a5ha.example", "asha.examp1e", "as-ha.example"],
    ids=["same", "5 for s", "1 for l", "hyphen"],
)
def test_a_name_that_is_taken_or_looks_like_it_is_refused_to_others(economy, machine, refused, url):
    signed = economy.make(machine, "wallet.register", body(economy, url, signer=economy.other), economy.other)
    refused(machine, signed, "wallet.taken")
    refused(machine, economy.make(machine, "wallet.register", body(economy, url)), "wallet.taken")


def test_a_retired_wallet_comes_back_to_its_holder_alone(economy, machine, refused):
    economy.do(machine, "wallet.retire", {"url": "asha.example"})
    assert find_wallet(machine.state, "asha.example").status == "retired"
    refused(machine, economy.make(machine, "wallet.retire", {"url": "asha.example"}), "wallet.retired")
    refused(machine, economy.make(machine, "wallet.update", body(economy, place="b.example")), "wallet.retired")
    other = economy.make(machine, "wallet.register", body(economy, signer=economy.other), economy.other)
    refused(machine, other, "wallet.taken")
    economy.do(machine, "wallet.register", body(economy, place="b.example"))
    assert find_wallet(machine.state, "asha.example").address.place == "b.example"
    assert wallet_names(machine.state, economy.account()) == ("asha.example",)


def test_an_update_moves_the_wallet(economy, machine, refused):
    refused(machine, economy.make(machine, "wallet.update", body(economy)), "wallet.unchanged")
    refused(machine, economy.make(machine, "wallet.update", body(economy, "b.example")), "wallet.unknown")
    economy.do(machine, "wallet.update", body(economy, place="b.example"))
    record = find_wallet(machine.state, "asha.example")
    assert record.address.place == "b.example"
    assert record.registered_height < record.updated_height == machine.height


def test_nobody_speaks_for_anothers_wallet(economy, machine, refused):
    own = body(economy, signer=economy.other)
    for kind, content in (
        ("wallet.register", body(economy, "b.example")),
        ("wallet.update", body(economy)),
        ("wallet.update", own),
        ("wallet.retire", {"url": "asha.example"}),
    ):
        refused(machine, economy.make(machine, kind, content, economy.other), "wallet.account")
    refused(machine, economy.make(machine, "wallet.retire", {"url": "nobody.example"}), "wallet.unknown")


def test_an_account_has_a_bounded_number_of_names(economy, machine, refused):
    for number in range(1, MAX_WALLETS):
        economy.do(machine, "wallet.register", body(economy, f"{'abcdefgh'[number] * 4}.example"))
    economy.do(machine, "wallet.retire", {"url": "asha.example"})
    refused(machine, economy.make(machine, "wallet.register", body(economy, "zzz.example")), "wallet.count")
    economy.do(machine, "wallet.register", body(economy))


@pytest.mark.parametrize("role", ["validator", "notary", "miner"])
def test_a_role_is_the_account_s(economy, guild, machine, refused, role):
    refused(machine, economy.make(machine, "wallet.update", body(economy, role=role)), "wallet.role")
    refused(machine, economy.make(machine, "wallet.register", body(economy, "b.example", role=role)), "wallet.role")
    signer = economy.signer(50)
    guild.validator(machine, 50)
    guild.do(machine, "registry.register_miner", guild.miner(50), signer)
    economy.do(machine, "wallet.register", body(economy, "b.example", role=role, signer=signer), signer)
    assert find_wallet(machine.state, "b.example").role == role


@pytest.mark.parametrize("field", ["capital", "check", "stamp", "number"])
def test_what_is_no_address_with_a_url_is_refused_before_any_state(economy, machine, refused, field):
    text = str(address(economy, "b.example"))
    stamped = StampedAddress("testnet", economy.account(), "bank", "in", "b.example", bytes(20))
    wrong, code = {
        "capital": (text.replace("b.ex", "B.ex", 1), "format.wallet_address"),
        "check": (text.replace("b.ex", "c.ex", 1), "format.wallet_check"),
        "stamp": (str(stamped), "format.body"),
        "number": (7, "format.body"),
    }[field]
    for kind in ("wallet.register", "wallet.update"):
        refused(machine, economy.make(machine, kind, {"address": wrong, "role": "owner"}), code)


urls = st.sampled_from(["a.example", "b.example", "6.example", "8.example", "a.example/b"])
steps = st.tuples(
    st.sampled_from(["register", "update", "retire"]), st.sampled_from([2, 3, 11]), urls, st.sampled_from("xy")
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=14))
def test_by_any_sequence_a_name_stays_with_its_first_holder(economy, steps):
    machine, holders = economy.started(), {}
    for number in (11,):
        gift = {"asset": "BPI", "to": economy.account(economy.signer(number)), "amount": 1000}
        economy.do(machine, "asset.transfer", gift)
    for what, number, url, place in steps:
        signer = economy.signer(number)
        content = {"url": url} if what == "retire" else body(economy, url, signer=signer, place=f"{place}.example")
        (result,) = economy.run(machine, economy.make(machine, f"wallet.{what}", content, signer))
        if result.error is None:
            assert holders.setdefault(url.replace("8.", "b."), number) == number
        for record in list_wallets(machine.state):
            assert record.address.url in wallet_names(machine.state, record.address.account)
