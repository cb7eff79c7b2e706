"""The faucet of a node: who gets a grant, who doesn't, and what a burst of requests makes of blocks and pool."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.admission import find_work
from bpci_node.chain.assets import balance
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.defaults import default_parameters
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.parameters import Allocation
from bpci_node.chain.wallets import WALLETS
from bpci_node.errors import BpciError, LimitError, RefusedError
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime import faucet as faucet_module
from bpci_node.runtime import grant_queue
from bpci_node.runtime.config import LedgerSection, NodeConfig, dump, parse
from bpci_node.runtime.faucet import DAY_MS, SLOT_MS, Faucet
from bpci_node.runtime.faucet_section import FaucetSection
from bpci_node.runtime.node import Node

COIN = 10**8
Make = Callable[..., NodeConfig]


def wallet(number: int) -> str:
    return account_id_of(LocalSigner(number.to_bytes(32)).public_key)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The faucet's clock, Unix milliseconds."""
    now = [1_900_000_000_000 // SLOT_MS * SLOT_MS]
    monkeypatch.setattr(faucet_module, "clock_ms", lambda: now[0])
    return now


@asynccontextmanager
async def running(config: NodeConfig) -> AsyncIterator[Node]:
    node = Node(config)
    try:
        yield node
    finally:
        await node.close()


def opened(make_config: Make, **changes: Any) -> NodeConfig:
    return make_config(faucet=FaucetSection(**({"enabled": True, "work_bits": 6} | changes)))


async def ask(faucet: Faucet, number: int, *, source: str = "192.0.2.1", **changes: Any) -> dict[str, Any]:
    account, purpose = wallet(number), changes.pop("purpose", "wallet")
    if "code" not in changes and "nonce" not in changes:
        challenge = faucet.challenge(account, purpose)
        changes["nonce"] = find_work(challenge["statement"], challenge["bits"])
    return await faucet.request(account, purpose, source=source, **changes)


async def refusal(asking: Any) -> BpciError:
    with pytest.raises(BpciError) as caught:
        await asking
    return caught.value


def held(node: Node, account: str) -> int:
    return balance(node.lookups.current().state, account, "BPI")


def test_work_brings_a_wallet_its_grant_once(make_config: Make) -> None:
    async def scenario() -> None:
        async with running(opened(make_config)) as node:
            found = await ask(node.faucet, 1)
            assert found["amount"] == str(1_500 * COIN)
            assert held(node, wallet(1)) == 1_500 * COIN
            assert node.faucet.pool == (500_000_000 - 1_500) * COIN == int(node.faucet.terms()["pool"])
            assert (await refusal(ask(node.faucet, 1, nonce=bytes(8)))).code == "faucet.granted"
            assert node.counters.faucet_grants == {"wallet": 1}
            assert node.counters.faucet_refused == {"faucet.granted": 1}

    asyncio.run(scenario())


def test_a_smaller_amount_may_be_asked_for_and_no_larger_one(make_config: Make) -> None:
    async def scenario() -> None:
        async with running(opened(make_config)) as node:
            for amount in (0, 1_500 * COIN + 1):
                assert (await refusal(ask(node.faucet, 1, amount=amount))).code == "faucet.amount"
            await ask(node.faucet, 1, amount=7)
            assert held(node, wallet(1)) == 7

    asyncio.run(scenario())


def test_work_is_bound_to_account_purpose_time_and_node(make_config: Make, clock: list[int]) -> None:
    async def scenario() -> None:
        async with running(opened(make_config, work_bits=16)) as node, running(opened_other(make_config)) as other:
            challenge = node.faucet.challenge(wallet(1), "wallet")
            nonce = find_work(challenge["statement"], 16)
            assert challenge["statement"] != other.faucet.challenge(wallet(1), "wallet")["statement"]
            for wrong in (None, b"", nonce[1:], bytes(8), nonce + b"\x00"):
                asking = node.faucet.request(wallet(1), "wallet", source="a", nonce=wrong)
                assert (await refusal(asking)).code == "proof.work"
            asking = node.faucet.request(wallet(2), "wallet", source="a", nonce=nonce)
            assert (await refusal(asking)).code == "proof.work"
            clock[0] += 2 * SLOT_MS
            assert (await refusal(ask(node.faucet, 1, nonce=nonce))).code == "proof.work"
            clock[0] -= 1
            assert challenge["expires_ms"] == clock[0] + 1
            await ask(node.faucet, 1, nonce=nonce)

    asyncio.run(scenario())


def opened_other(make_config: Make) -> NodeConfig:
    return make_config("other", faucet=FaucetSection(enabled=True))


def test_one_source_is_given_so_much_a_day_and_a_restart_does_not_help(make_config: Make, clock: list[int]) -> None:
    config = opened(make_config, grants_per_source=2)

    async def first() -> None:
        async with running(config) as node:
            await ask(node.faucet, 1)
            await ask(node.faucet, 2)
            error = await refusal(ask(node.faucet, 3))
            assert isinstance(error, LimitError)
            assert (error.code, error.details["retry_after_seconds"]) == ("faucet.source_rate", DAY_MS // 1000)
            await ask(node.faucet, 3, source="2001:db8::/64")

    async def second() -> None:
        async with running(config) as node:
            assert (await refusal(ask(node.faucet, 4))).code == "faucet.source_rate"
            clock[0] += DAY_MS
            await ask(node.faucet, 4)
            kept = node.store.query("SELECT key, value FROM meta WHERE key LIKE 'faucet/%'")
            assert kept
            assert b"192.0.2.1" not in b"".join(key.encode() + bytes(value) for key, value in kept)

    asyncio.run(first())
    asyncio.run(second())


def test_a_code_takes_the_place_of_work_and_of_the_source_s_limit_and_serves_once(make_config: Make) -> None:
    async def scenario() -> None:
        async with running(opened(make_config, grants_per_source=0)) as node:
            assert (await refusal(ask(node.faucet, 1))).code == "faucet.source_rate"
            one, two = await node.faucet.make_codes(2)
            assert one != two
            spaced = f" {one[:4].upper()} {one[4:]} "
            await ask(node.faucet, 1, code=spaced)
            assert (await refusal(ask(node.faucet, 2, code=one))).code == "faucet.code"
            assert (await refusal(ask(node.faucet, 2, code=""))).code == "faucet.code"
            assert (await refusal(ask(node.faucet, 1, code=two))).code == "faucet.granted"
            kept = str(node.store.query("SELECT key FROM meta"))
            assert two not in kept
            await ask(node.faucet, 2, code=two)

    asyncio.run(scenario())


def test_a_burst_shares_blocks_and_everybody_is_given_exactly_once(make_config: Make) -> None:
    async def scenario() -> None:
        async with running(opened(make_config, grants_per_source=1000)) as node:
            before = node.lookups.height
            asked = [ask(node.faucet, number % 20 + 1) for number in range(60)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            given = [item for item in found if isinstance(item, dict)]
            codes = {item.code for item in found if isinstance(item, BpciError)}
            assert len(given) == 20
            assert codes <= {"faucet.wallet_rate", "faucet.granted"}
            assert len({item["command_id"] for item in given}) == 20
            assert node.lookups.height - before <= 5
            assert node.faucet.pool == (500_000_000 - 20 * 1_500) * COIN
            assert node.faucet.waiting == 0

    asyncio.run(scenario())


def operator_command(node: Node, nonce: int, kind: str, body: dict[str, Any]) -> bytes:
    home = node.config.state_dir.parent
    signer = LocalSigner((home / "registry.key").read_bytes())
    sender = account_id_of(signer.public_key)
    terms = {"ledger_id": node.network.ledger_id, "expires_height": 1000}
    return sign_command(signer, Command(sender=sender, nonce=nonce, kind=kind, body=body, **terms)).encode()


def test_a_command_of_the_operator_s_that_comes_between_does_no_harm(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running(opened(make_config)) as node:
            asked = node._registry.nonce
            times = []

            async def late(account: str) -> int:
                found = await asked(account)
                if not times:
                    body = {"to": wallet(9), "purpose": "wallet", "amount": 1}
                    await node.own_ledger().submit(operator_command(node, found, "faucet.grant", body))
                times.append(found)
                return found

            monkeypatch.setattr(node._registry, "nonce", late)
            await asyncio.gather(ask(node.faucet, 1), ask(node.faucet, 2))
            assert held(node, wallet(1)) == held(node, wallet(2)) == 1_500 * COIN
            assert len(times) == 2

    asyncio.run(scenario())


def test_a_grant_that_the_ledger_refuses_costs_the_wallet_nothing(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running(opened(make_config, grants_per_source=1)) as node:
            submit = node._registry.submit

            async def refuse(_signed: bytes) -> None:
                raise RefusedError("no", code="registry.deactivated")

            monkeypatch.setattr(node._registry, "submit", refuse)
            assert (await refusal(ask(node.faucet, 1))).code == "registry.deactivated"
            monkeypatch.setattr(node._registry, "submit", submit)
            await ask(node.faucet, 1)

    asyncio.run(scenario())


def test_too_many_that_wait_are_turned_away(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grant_queue, "MAX_WAITING", 0)

    async def scenario() -> None:
        async with running(opened(make_config)) as node:
            assert (await refusal(ask(node.faucet, 1))).code == "faucet.busy"

    asyncio.run(scenario())


def test_a_registered_node_is_given_the_maximum_of_its_type(make_config: Make) -> None:
    async def scenario() -> None:
        async with running(opened(make_config)) as node:
            assert (await refusal(ask_node(node))).code == "faucet.node"
            await node.register(node.config.node, None)
            found = await ask_node(node)
            assert (found["purpose"], found["amount"]) == ("node", str(1_000 * COIN))
            assert (await refusal(ask_node(node))).code == "faucet.amount"

    async def ask_node(node: Node) -> dict[str, Any]:
        challenge = node.faucet.challenge(node.account, "node")
        nonce = find_work(challenge["statement"], challenge["bits"])
        return await node.faucet.request(node.account, "node", source="a", nonce=nonce)

    asyncio.run(scenario())


def genesis_config(make_config: Make, home: Path, **changes: Any) -> NodeConfig:
    config = opened(make_config)
    registry = LocalSigner((config.state_dir.parent / "registry.key").read_bytes())
    parameters = replace(default_parameters(registry.public_key), **changes)
    (home / "genesis").write_bytes(Genesis("testnet", registry.public_key, 1, parameters).encode())
    return replace(config, ledger=LedgerSection("embedded", "testnet", genesis_file=home / "genesis"))


def test_there_is_none_on_the_mainnet_whatever_the_configuration_says(make_config: Make, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(genesis_config(make_config, tmp_path, network="mainnet")) as node:
            with pytest.raises(BpciError) as caught:
                node.faucet.terms()
            assert caught.value.code == "faucet.mainnet"
            assert (await refusal(ask(node.faucet, 1, nonce=bytes(8)))).code == "faucet.mainnet"

    asyncio.run(scenario())


def test_an_empty_pool_gives_nothing(make_config: Make, tmp_path: Path) -> None:
    async def scenario() -> None:
        allocations = (Allocation(WALLETS["faucet"], "BPI", 2_000 * COIN, None),)
        async with running(genesis_config(make_config, tmp_path, allocations=allocations)) as node:
            await ask(node.faucet, 1)
            assert (await refusal(ask(node.faucet, 2))).code == "faucet.empty"
            await ask(node.faucet, 2, amount=500 * COIN)
            assert node.faucet.pool == 0

    asyncio.run(scenario())


def test_a_closed_faucet_says_so(make_config: Make) -> None:
    async def scenario() -> None:
        async with running(make_config()) as node:
            assert not node.faucet.is_open
            for call in (node.faucet.terms, lambda: node.faucet.challenge(wallet(1), "wallet")):
                with pytest.raises(BpciError) as caught:
                    call()
                assert caught.value.code == "faucet.closed"
            assert (await refusal(node.faucet.make_codes(1))).code == "faucet.closed"

    asyncio.run(scenario())


def test_a_key_that_is_not_the_operator_s_opens_nothing(make_config: Make) -> None:
    async def scenario() -> None:
        config = make_config()
        section = FaucetSection(enabled=True, key=config.keys.node)
        async with running(replace(config, faucet=section)) as node:
            assert (await refusal(ask(node.faucet, 1, nonce=bytes(8)))).code == "faucet.operator"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("account", "purpose", "code"), [("bpa1", "wallet", "format.account"), ("", "x", "format.account")]
)
def test_nonsense_is_refused(make_config: Make, account: str, purpose: str, code: str) -> None:
    async def scenario() -> None:
        async with running(opened(make_config)) as node:
            with pytest.raises(BpciError) as caught:
                node.faucet.challenge(account, purpose)
            assert caught.value.code == code
            with pytest.raises(BpciError) as other:
                node.faucet.challenge(wallet(1), "friend")
            assert other.value.code == "format.request"

    asyncio.run(scenario())


def test_its_configuration_is_read_back_as_it_was_written(make_config: Make) -> None:
    for section in (FaucetSection(), FaucetSection(enabled=True, key="file:/k", work_bits=0, grants_per_source=7)):
        config = make_config(faucet=section)
        assert parse(dump(config), source="x").faucet == section
    with pytest.raises(BpciError) as caught:
        parse(dump(make_config()).replace("enabled = false", "enabled = 1"), source="x")
    assert caught.value.code == "config.value"
