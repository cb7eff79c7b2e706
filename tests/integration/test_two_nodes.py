"""One node keeps the ledger, another joins it over HTTP."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bpci_node.auction.verify import verify_bundle
from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.registration import FLAGS, NodeRegistration
from bpci_node.errors import BpciError, ProofError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.keys import LocalSigner, did_of

T = "eip155:1"


def registration(client: NodeClient, signer: LocalSigner, **changes: Any) -> bytes:
    challenge = client.challenge(signer.public_key)
    body = NodeRegistration(
        node_type="bpi-community",
        node_key=signer.public_key,
        flags=dict.fromkeys(FLAGS, False),
        capabilities=(),
        endpoints=(),
        report_digest=bytes(32),
        challenge=challenge.challenge,
        challenge_sig=challenge.signature,
        instance=0,
    )
    command = Command(
        ledger_id=str(client.status()["ledger"]["id"]),
        sender=account_id_of(signer.public_key),
        nonce=0,
        expires_height=1000,
        kind="registry.register_node",
        body=body.as_body(),
    )
    return sign_command(signer, replace(command, **changes)).encode()


def refused(client: NodeClient, signed: bytes) -> str:
    with pytest.raises(BpciError) as caught:
        client.submit_command(signed)
    assert caught.value.message
    return caught.value.code


def test_a_node_joins_a_network_registers_and_seals_under_its_certificate(
    start: Callable[..., Any], bpci: Callable[..., Any], raws: list[bytes]
) -> None:
    registry = start("registry")
    with registry.client() as client:
        network = client.network()
    file = registry.home / "network.json"
    network.save(file)
    joined = start("joined", network_file=file)
    did = did_of(joined.signer.public_key)
    with joined.client() as client, registry.client(network=network) as trusted:
        status = client.status()["ledger"]
        assert (status["id"], status["mode"], status["stopped"]) == (network.ledger_id, "network", None)
        assert not client.status()["node"]["registered"]
        done = bpci("node", "register", "--socket", joined.owner_socket, "--json")
        assert done.returncode == 0, done.stderr
        found = trusted.node(did)
        assert found["node"]["account"] == account_id_of(joined.signer.public_key)
        assert found["node"]["capabilities"] == ["auction"]
        assert client.status()["node"]["registered"]
        height = trusted.status()["ledger"]["height"]
        # Registering again changes nothing; who follows the ledger takes no command, and says who does.
        assert bpci("node", "register", "--socket", joined.owner_socket).returncode == 0
        assert trusted.status()["ledger"]["height"] == height
        with pytest.raises(BpciError) as elsewhere:
            client.submit_command(b"\xa0")
        assert elsewhere.value.code == "registry.elsewhere"
        # The program brings what it has signed there by itself.
        key = joined.home / "somebody.key"
        key.write_bytes(bytes([9]) * 32)
        key.chmod(0o600)
        done = bpci("identity", "create-dadhaar", "--key", key, "--node", joined.url)
        assert done.returncode == 0, done.stderr
        assert trusted.status()["ledger"]["height"] == height + 1
        # The registry reaches back, and measures; a wrong port is not reached.
        port = joined.config.api.port
        assert trusted.is_reachable(joined.signer, port)
        assert not trusted.is_reachable(joined.signer, registry.config.api.port)
        assert trusted.measure_download(joined.signer, 1 << 20).seconds > 0
        client.submit_entries(T, raws[:100])
    assert joined.stop() == 0
    # The certificate is kept: the registry may be away when the bundle is sealed.
    registry.kill()
    joined = start("joined", network_file=file)
    with joined.owner() as owner:
        data = owner.seal(T)
    verified = verify_bundle(data, network=(network.ledger_id, network.registry_key))
    assert verified.certificate is not None
    assert verified.certificate.node_id == account_id_of(joined.signer.public_key)


def test_a_registration_found_later_brings_the_certificate_by_itself(start: Callable[..., Any]) -> None:
    registry = start("registry")
    with registry.client() as client:
        network = client.network()
        file = registry.home / "network.json"
        network.save(file)
        joined = start("joined", network_file=file)
        client.submit_command(registration(client, joined.signer))
    with joined.client() as client:
        for _ in range(600):
            if client.status()["node"]["registered"]:
                break
            time.sleep(0.1)
        assert client.status()["node"]["registered"]


def test_the_registry_refuses_with_a_reason(start: Callable[..., Any]) -> None:
    node = start()
    one, two = LocalSigner(b"\x11" * 32), LocalSigner(b"\x12" * 32)
    with node.client() as client:
        signed = registration(client, one)
        result = client.submit_command(signed)
        assert result["results"][0]["error"] is None
        height = client.status()["ledger"]["height"]
        assert refused(client, signed) == "chain.nonce"
        assert refused(client, registration(client, one, nonce=1)) == "registry.duplicate"
        assert refused(client, registration(client, two, ledger_id="testnet:" + "ab" * 32)) == "chain.ledger"
        assert refused(client, registration(client, two, nonce=5)) == "chain.nonce"
        assert refused(client, registration(client, two, kind="registry.become_king")) == "chain.kind"
        altered = bytearray(registration(client, two))
        altered[-1] ^= 1
        assert refused(client, bytes(altered)) in ("proof.signature", "chain.account", "format.command", "format.did")
        stolen = registration(client, two).replace(two.public_key, one.public_key)
        assert refused(client, stolen) == "proof.signature"
        assert client.status()["ledger"]["height"] == height


def test_a_network_file_of_another_network_is_noticed(start: Callable[..., Any], bpci: Callable[..., Any]) -> None:
    one, two = start("one"), start("two")
    with one.client() as client:
        network = client.network()
    with two.client(network=network) as client:
        for call in (client.status, client.network, lambda: client.challenge(bytes([3]) * 32)):
            with pytest.raises(ProofError):
                call()
    file = one.home / "network.json"
    network.save(file)
    assert bpci("network", "verify", file).returncode == 0
    assert bpci("network", "show", one.url, "--json").returncode == 0
    replace(network, urls=(two.url,)).save(file)
    assert bpci("network", "verify", file).returncode == 1
    replace(network, urls=("http://127.0.0.1:1",)).save(file)
    assert bpci("network", "verify", file).returncode == 3
    joined = start("joined", network_file=file)
    failed = bpci("node", "register", "--socket", joined.owner_socket)
    assert failed.returncode == 3
    assert "no node of the network can be reached" in failed.stderr


def test_the_registry_is_looked_up_from_the_command_line(start: Callable[..., Any], bpci: Callable[..., Any]) -> None:
    node = start()
    assert "no nodes" in bpci("registry", "list", "--node", node.url).stdout
    done = bpci("registry", "register-node", "--socket", node.owner_socket, "--type", "hybrid", "--validator")
    assert done.returncode == 0, done.stderr
    account = account_id_of(node.signer.public_key)
    assert account in bpci("node", "list", "--node", node.url, "--type", "hybrid").stdout
    with node.client() as client:
        client.network().save(node.home / "network.json")
    shown = bpci("registry", "show", account, "--node", node.url, "--network", node.home / "network.json")
    assert "certificate:  holds" in shown.stdout
    assert "validator" in shown.stdout
    assert bpci("registry", "show", "bpa1" + "a" * 32, "--node", node.url).returncode == 1
