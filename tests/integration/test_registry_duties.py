"""One devnet registry: nodes come in by work and by invitation, live, validate, and lose for what they signed twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.command import Command, sign_command
from bpci_node.errors import BpciError
from bpci_node.network.client import NodeClient
from bpci_node.primitives.derivation import new_phrase
from bpci_node.primitives.keys import LocalSigner

STAKE = 2 * 10**11


def submit(client: NodeClient, signer: LocalSigner, kind: str, body: dict[str, Any], nonce: int) -> dict[str, Any]:
    """Send a command of the registry's account, which is the only guardian of a devnet."""
    command = Command(
        ledger_id=str(client.status()["ledger"]["id"]),
        sender=account_id_of(signer.public_key),
        nonce=nonce,
        expires_height=10_000,
        kind=kind,
        body=body,
    )
    return client.submit_command(sign_command(signer, command).encode())


def key_file(home: Path, number: int) -> tuple[Path, LocalSigner]:
    """Return a key in a file, and its signer."""
    path, seed = home / f"{number}.key", number.to_bytes(32, "big")
    path.write_bytes(seed)
    path.chmod(0o600)
    return path, LocalSigner(seed)


def test_a_node_comes_in_by_work_lives_validates_and_pays_for_two_blocks_of_one_height(
    start: Callable[..., Any], bpci: Callable[..., Any], tmp_path: Path
) -> None:
    registry = start("registry")
    place = ("--node", registry.url, "--json")

    def run(*arguments: Any, code: int = 0) -> Any:
        done = bpci(*arguments, *place)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else json.loads(done.stderr)

    key, signer = key_file(tmp_path, 77)
    account = account_id_of(signer.public_key)
    admitted = run(
        *("registry", "admit", "--key", key, "--flag", "validator", "--region", "eu-central"),
        *("--capability", "storage", "--endpoint", "http://192.0.2.7:8545"),
    )
    assert admitted["account"] == account
    (found,) = run("registry", "list", "--capability", "storage", "--region", "eu-central", "--status", "active")
    assert (found["account"], found["liveness"]) == (account, "unseen")
    run("node", "heartbeat", "--key", key)
    assert run("node", "capabilities", account)["liveness"] == "live"

    second, other = key_file(tmp_path, 78)
    invitation = tmp_path / "invitation.json"
    invitation.write_text(json.dumps(run("registry", "invite", "--registry-key", registry.home / "registry.key")))
    run("registry", "admit", "--key", second, "--invitation", invitation)
    third, _ = key_file(tmp_path, 79)
    assert run("registry", "admit", "--key", third, "--invitation", invitation, code=1)["code"] == "registry.invitation"
    assert run("registry", "list", "--validator") == []

    phrase = tmp_path / "words.txt"
    phrase.write_text(new_phrase(bytes(32)))
    guardian = LocalSigner((registry.home / "registry.key").read_bytes())
    spend = {"wallet": "treasury", "asset": "BPI", "to": account, "amount": STAKE, "reason": bytes(32)}
    with registry.client() as client:
        submit(client, guardian, "wallet.spend", spend, 0)
    run("validator", "setup", "--key", key, "--phrase-file", phrase, "--stake", str(STAKE))
    (member,) = run("validator", "show")["members"]
    assert (member["account"], member["power"]) == (account, str(STAKE))
    assert [item["account"] for item in run("registry", "list", "--validator")] == [account]

    for mark in (0, 1):
        block = Block(9, 1 + mark, bytes(32), bytes(32), bytes(32), signer.public_key)
        (tmp_path / f"block-{mark}").write_bytes(sign_block(signer, block).encode())
    blocks = (tmp_path / "block-0", tmp_path / "block-1")
    assert run("validator", "report", "blocks", blocks[0], blocks[0], "--key", second, code=1)["code"] == (
        "validator.evidence"
    )
    slashed, jailed = run("validator", "report", "blocks", *blocks, "--key", second)["events"]
    assert (slashed["kind"], jailed["kind"]) == ("validator.slashed", "validator.jailed")
    lost = run("validator", "show", account)
    assert (lost["bonded"], lost["validator"]["slashed"]) == (str(STAKE * 95 // 100), str(STAKE * 5 // 100))
    assert run("validator", "show")["members"] == []
    assert run("validator", "unjail", "--key", key, code=1)["code"] == "validator.jailed"

    cause = tmp_path / "why.txt"
    cause.write_text("it was seen selling its key")
    account_2 = account_id_of(other.public_key)
    run(
        *("registry", "suspend", account_2, "--cause", cause, "--until-height", "1000"),
        *("--key", registry.home / "registry.key"),
    )
    assert run("registry", "show", account_2)["node"]["status"] == "suspended"
    assert run("node", "heartbeat", "--key", second, code=1)["code"] == "registry.suspended"
    run("registry", "resume", account_2, "--key", registry.home / "registry.key")
    assert len(run("registry", "list", "--status", "active")) == 2


def test_a_machine_whose_instance_was_overtaken_seals_nothing_any_more(
    start: Callable[..., Any], bpci: Callable[..., Any], raws: list[bytes]
) -> None:
    node = start("a")
    assert bpci("node", "register", "--socket", node.owner_socket).returncode == 0
    with node.client() as client, node.owner() as owner:
        client.submit_entries("eip155:1", raws[:2])
        owner.seal("eip155:1")
        # A clone has the same key, and raises the instance; this machine sees it in its ledger.
        signer = node.signer
        nonce = int(client.account(account_id_of(signer.public_key))["nonce"])
        submit(client, signer, "registry.raise_instance", {"instance": 1}, nonce)
        client.submit_entries("eip155:1", raws[2:4])
        with pytest.raises(BpciError) as caught:
            owner.seal("eip155:1")
    assert caught.value.code == "sign.instance"
