import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.certificate import verify_certificate
from bpci_node.chain.command import Command, sign_command
from bpci_node.errors import BpciError, RefusedError
from bpci_node.runtime.config import NodeConfig, NodeSection
from bpci_node.runtime.membership import NO_REPORT, Report
from bpci_node.runtime.node import Node

Make = Callable[..., NodeConfig]


def with_node(config: NodeConfig, scenario: Callable[[Node], object]) -> None:
    async def run() -> None:
        node = Node(config)
        try:
            await scenario(node)
        finally:
            await node.close()

    asyncio.run(run())


async def record(node: Node) -> dict[str, object]:
    assert node.ledger is not None
    return (await node.ledger.find_node(node.account))[0]


def test_registering_again_changes_only_what_differs(make_config: Make) -> None:
    config = make_config()

    async def scenario(node: Node) -> None:
        assert node.ledger is not None
        await node.register(config.node, None)
        assert (await record(node))["report_digest"] == NO_REPORT
        await node.register(config.node, None)
        assert node.ledger.height == 1
        await node.register(replace(config.node, type="hybrid", flags=("validator",)), None)
        assert node.ledger.height == 2
        found = await record(node)
        assert found["node_type"] == "hybrid"
        assert found["flags"]["validator"]

    with_node(config, scenario)


def test_a_report_is_named_with_the_challenge_that_it_answers(make_config: Make) -> None:
    config = make_config()

    async def scenario(node: Node) -> None:
        assert node.ledger is not None
        challenge, challenge_sig = await node.ledger.challenge(node.signer.public_key)
        await node.register(config.node, Report(b"r" * 32, challenge, challenge_sig))
        assert (await record(node))["report_digest"] == b"r" * 32
        # Without a report the registered one stays.
        await node.register(replace(config.node, type="hybrid"), None)
        assert (await record(node))["report_digest"] == b"r" * 32
        other, other_sig = await node.ledger.challenge(bytes([5]) * 32)
        with pytest.raises(RefusedError) as caught:
            await node.register(config.node, Report(b"s" * 32, other, other_sig))
        assert caught.value.code == "registry.challenge"

    with_node(config, scenario)


def test_a_retired_node_loses_its_certificate_and_comes_back_with_a_higher_instance(make_config: Make) -> None:
    config = make_config()

    async def scenario(node: Node) -> None:
        assert node.ledger is not None
        await node.register(config.node, None)
        command = Command(
            ledger_id=node.network.ledger_id,
            sender=account_id_of(node.signer.public_key),
            nonce=1,
            expires_height=100,
            kind="registry.retire_node",
            body={},
        )
        await node.ledger.submit(sign_command(node.signer, command).encode())
        await node.refresh_certificate()
        assert node.certificate is None
        with pytest.raises(BpciError) as caught:
            await node.register(config.node, None)
        assert caught.value.code == "registry.instance"
        certificate = await node.register(replace(config.node, instance=1), None)
        network = node.network
        found = verify_certificate(certificate, registry_key=network.registry_key, ledger_id=network.ledger_id)
        assert found.instance == 1

    with_node(config, scenario)


def test_what_the_ledger_does_not_take_is_its_own_reason(make_config: Make) -> None:
    config = make_config()

    async def scenario(node: Node) -> None:
        with pytest.raises(BpciError) as caught:
            await node.register(NodeSection("x", endpoints=("not a url",)), None)
        assert caught.value.code == "format.body"
        assert node.certificate is None

    with_node(config, scenario)
