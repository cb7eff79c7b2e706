"""How an enterprise comes to validate: from an empty ledger, over three processes, by the commands that a person types.

The registry's node makes the blocks. The bank and the enterprise each run a node of their own, which follows; what they
want to know they ask their own node, and what it says is proved against the network file that they were given.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.primitives.derivation import new_phrase
from bpci_node.primitives.keys import LocalSigner, did_of
from bpci_node.runtime.config import LedgerSection

STAKE = 2 * 10**11
FUNDS = 10**12


@dataclass
class Person:
    """Somebody with a key in a file."""

    key: Path

    @property
    def signer(self) -> LocalSigner:
        return LocalSigner(self.key.read_bytes())

    @property
    def did(self) -> str:
        return did_of(self.signer.public_key)

    @property
    def account(self) -> str:
        return account_id_of(self.signer.public_key)


def with_key(path: Path) -> Person:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(32))
    path.chmod(0o600)
    return Person(path)


@pytest.fixture
def run(bpci: Callable[..., Any]) -> Callable[..., Any]:
    """Run a command that succeeds, or fails with the code that is expected; return the document that it prints."""

    def call(*arguments: str | Path, refused: str | None = None) -> Any:
        found = bpci(*arguments, "--json")
        if refused is None:
            assert found.returncode == 0, found.stderr
            return json.loads(found.stdout)
        assert found.returncode == 1, found.stdout + found.stderr
        assert json.loads(found.stderr)["code"] == refused
        return None

    return call


def in_step(*nodes: Any) -> dict[str, Any]:
    """Wait until the nodes stand at one height with one root, and return where that is."""
    for _ in range(1200):
        ledgers = []
        for node in nodes:
            with node.client() as client:
                ledgers.append(client.status()["ledger"])
        if len({(ledger["height"], ledger["root"]) for ledger in ledgers}) == 1:
            return dict(ledgers[0])
        time.sleep(0.1)
    raise AssertionError(ledgers)


def test_an_enterprise_becomes_a_validator_and_changes_a_rule_by_vote(
    start: Callable[..., Any], bpci: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    registry_key = with_key(tmp_path / "registry" / "registry.key")
    bank, enterprise = (with_key(tmp_path / name / "node.key") for name in ("bank", "enterprise"))
    anna, boris, clara = (with_key(tmp_path / "guardians" / name) for name in ("anna", "boris", "clara"))

    # An empty ledger: three guardians of whom two decide, and what the enterprise brought into it.
    genesis = tmp_path / "genesis.cbor"
    rules = ("governance_voting_blocks=3", "governance_veto_blocks=1", "heartbeat_interval=1")
    run(
        *("network", "genesis", "--out", genesis, "--name", "testnet", "--network", "testnet"),
        *("--registry-key", registry_key.did, "--allocate", f"{enterprise.account}:BPI:{FUNDS}"),
        *(part for person in (anna, boris, clara) for part in ("--guardian", person.did)),
        *(part for rule in rules for part in ("--set", rule)),
    )
    section = LedgerSection("embedded", "testnet", genesis_file=genesis, heartbeat_seconds=0)
    registry = start("registry", ledger=section)
    network = tmp_path / "network.json"
    network.write_text(json.dumps(run("network", "show", registry.url)))
    bank_node, enterprise_node = (start(name, network_file=network) for name in ("bank", "enterprise"))
    everyone = (registry, bank_node, enterprise_node)
    assert in_step(*everyone)["height"] == 0
    send = ("--node", registry.url, "--network", network)
    at_bank, at_enterprise = (("--node", node.url, "--network", network) for node in everyone[1:])

    # A bank asks to be an authority. One guardian is not enough, two are.
    run("identity", "create-dadhaar", "--key", bank.key, *send)
    ask = ("authority", "request-bank", "--name", "First Bank", "--regulatory-approval", "sec,cftc")
    run(*ask, "--key", bank.key, *send)
    grant = ("authority", "grant", bank.account, "--key", anna.key)
    run(*grant, *send, refused="access.quorum")
    run(*grant, "--guardian", boris.key, *send)
    in_step(*everyone)
    assert run("authority", "show", bank.account, *at_enterprise)["type"] == "bank"

    # The enterprise asks the bank to verify it, and nobody else can attest what the bank found.
    run("identity", "create-dadhaar", "--key", enterprise.key, *send)
    claims, held, shown = tmp_path / "claims.json", tmp_path / "held.sdjwt", tmp_path / "shown.sdjwt"
    claims.write_text(json.dumps({"legal_name": "Ahorn Energie AG", "register": "HRB 4711"}))
    attest = ("identity", "issue", enterprise.account, "--level", "full", "--claims", claims, "--out", held)
    run(*attest, "--key", bank.key, *send, refused="identity.not_requested")
    run(
        *("identity", "verify", "--authority", bank.account, "--compliance", "kyc,aml", "--key", enterprise.key),
        *send,
    )
    run(*attest, "--key", clara.key, *send, refused="authority.not_active")
    run(*attest, "--key", bank.key, *send)
    in_step(*everyone)
    assert run("identity", "show", enterprise.account, *at_bank)["kyc_level"] == "full"

    # It shows one claim to a customer, who checks it at the enterprise's own node without trusting that.
    asked = ("--audience", "customer.example", "--nonce", "8f2c")
    present = ("identity", "present", held, "--show", "register", *asked, "--out", shown, "--key", enterprise.key)
    assert bpci(*present).returncode == 0
    verified = run("identity", "verify", shown, *asked, *at_enterprise)
    assert verified["claims"]["register"] == "HRB 4711"
    assert "Ahorn" not in json.dumps(verified)

    # It registers its node, sponsored by the bank, and puts a stake behind it.
    phrase = tmp_path / "words.txt"
    phrase.write_text(new_phrase(os.urandom(32)))
    set_up = ("validator", "setup", "--key", enterprise.key, "--phrase-file", phrase)
    run(*set_up, *send, refused="registry.unknown")
    run(
        *("registry", "register-node", "--socket", enterprise_node.owner_socket),
        *("--type", "bpci-enterprise", "--validator", "--bank-sponsored"),
    )
    run(*set_up, *send, refused="validator.stake")
    run(*set_up, "--stake", str(STAKE), *send)
    in_step(*everyone)
    (member,) = run("validator", "show", "--node", bank_node.url)["members"]
    assert (member["account"], member["power"]) == (enterprise.account, str(STAKE))
    (node,) = run("registry", "list", "--validator", "--node", bank_node.url)
    assert (node["account"], node["node_type"]) == (enterprise.account, "bpci-enterprise")

    # It proposes a fee and votes. Who has nothing at stake has no say, and nobody is before the veto period.
    actions, reasons = tmp_path / "actions.json", tmp_path / "why.md"
    actions.write_text(json.dumps([{"kind": "governance.set_parameter", "body": {"name": "fee_min", "value": 3}}]))
    reasons.write_text("Commands cost the network something.")
    propose = ("governance", "propose", "--actions", actions, "--reasons", reasons)
    run(*propose, "--key", bank.key, *send, refused="governance.weight")
    run(*propose, "--key", enterprise.key, *send)
    run("governance", "participate", "1", "--vote", "no", "--key", bank.key, *send, refused="governance.weight")
    run("governance", "participate", "1", "--vote", "yes", "--key", enterprise.key, *send)
    run("governance", "execute", "1", "--key", bank.key, *send, refused="governance.early")
    newcomer = 0
    while run("governance", "show", "1", *send)["veto_until"] > in_step(*everyone)["height"]:
        newcomer += 1
        person = with_key(tmp_path / "people" / str(newcomer))
        run("identity", "create-dadhaar", "--key", person.key, *send)
    run("governance", "execute", "1", "--key", bank.key, *send)
    reached = in_step(*everyone)
    assert run("governance", "show", "1", *at_enterprise)["status"] == "executed"

    # The rule holds for everyone: who can't pay the fee is refused, the enterprise pays it.
    run(
        "identity",
        "verify",
        "--authority",
        bank.account,
        "--compliance",
        "kyc",
        "--key",
        anna.key,
        *send,
        refused="asset.balance",
    )
    run("validator", "exit", "--key", enterprise.key, *send)
    assert in_step(*everyone)["height"] > reached["height"]

    # Its node was off meanwhile, comes back, and stands where the others stand.
    enterprise_node.kill()
    enterprise_node = start("enterprise", network_file=network)
    assert in_step(registry, bank_node, enterprise_node)["root"]
    assert run("validator", "show", "--node", enterprise_node.url)["members"] == []
