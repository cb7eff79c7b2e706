"""From an empty ledger to a verified person, through the command line and one real node."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.primitives.keys import LocalSigner


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[int], tuple[Path, str]]:
    def make(number: int) -> tuple[Path, str]:
        path = tmp_path / f"{number}.key"
        if not path.exists():
            path.write_bytes(bytes([number]) * 32)
            path.chmod(0o600)
        return path, account_id_of(LocalSigner(path.read_bytes()).public_key)

    return make


def test_a_person_is_attested_by_a_bank_shows_one_claim_and_is_revoked(
    start: Callable[..., Any], bpci: Callable[..., Any], keys: Callable[[int], tuple[Path, str]], tmp_path: Path
) -> None:
    node = start("registry")
    guardian = node.home / "registry.key"
    network = tmp_path / "network.json"
    with node.client() as client:
        client.network().save(network)
    place = ("--node", node.url, "--network", network, "--json")
    (bank_key, bank), (holder_key, holder) = keys(1), keys(2)

    def run(*arguments: str | Path, status: int = 0) -> Any:
        found = bpci(*arguments, *place)
        assert found.returncode == status, found.stderr
        return json.loads(found.stdout if status == 0 else found.stderr)

    run("identity", "create-dadhaar", "--key", bank_key)
    request = ("authority", "request-bank", "--name", "First Bank", "--regulatory-approval", "sec,cftc")
    run(*request, "--key", bank_key)
    assert run("authority", "grant", bank, "--key", bank_key, status=1)["code"] == "access.quorum"
    run("authority", "grant", bank, "--key", bank_key, "--guardian", guardian)
    assert run("authority", "show", bank)["type"] == "bank"

    run("identity", "create-dadhaar", "--key", holder_key)
    assert run("identity", "show", holder)["kyc_level"] == "none"
    claims, held, shown = tmp_path / "claims.json", tmp_path / "held.sdjwt", tmp_path / "shown.sdjwt"
    claims.write_text(json.dumps({"name": "Asha Patel", "birthdate": "1990-03-01"}))
    issue = ("identity", "issue", holder, "--level", "full", "--claims", claims, "--out", held, "--key", bank_key)
    assert run(*issue, status=1)["code"] == "identity.not_requested"
    assert not held.exists()
    run("identity", "verify", "--authority", bank, "--compliance", "kyc,aml", "--key", holder_key)
    credential = run(*issue)["credential"]
    assert held.stat().st_mode & 0o777 == 0o600
    found = run("identity", "show", holder)
    assert (found["kyc_level"], found["reputation"]) == ("full", 300)

    asked = ("--audience", "shop.example", "--nonce", "8f2c")
    made = bpci("identity", "present", held, "--show", "birthdate", *asked, "--out", shown, "--key", holder_key)
    assert made.returncode == 0, made.stderr
    verified = run("identity", "verify", shown, *asked)
    assert verified["claims"]["birthdate"] == "1990-03-01"
    assert "Asha" not in json.dumps(verified)
    other = ("--audience", "other.example", "--nonce", "8f2c")
    assert run("identity", "verify", shown, *other, status=1)["code"] == "proof.binding"

    with node.client() as client:
        stored = b"".join(path.read_bytes() for path in node.config.state_dir.rglob("*") if path.is_file())
        assert not any(word in stored for word in (b"Asha", b"Patel", b"1990-03-01"))
        kinds = [event["kind"] for event in client.ledger.events(holder)["events"]]
    assert "identity.credential_issued" in kinds

    run("identity", "revoke", credential, "--key", bank_key)
    assert run("identity", "verify", shown, *asked, status=1)["code"] == "proof.credential_revoked"
    assert run("identity", "show", holder)["kyc_level"] == "none"


def test_a_town_without_vouchers_of_standing_stays_a_candidate(
    start: Callable[..., Any], bpci: Callable[..., Any], keys: Callable[[int], tuple[Path, str]], tmp_path: Path
) -> None:
    node = start("registry")
    (town_key, town), (stranger_key, _) = keys(3), keys(4)
    place = ("--node", node.url, "--json")

    def run(*arguments: str | Path, status: int = 0) -> Any:
        found = bpci(*arguments, *place)
        assert found.returncode == status, found.stderr
        text = found.stdout if status == 0 else found.stderr
        return json.loads(text[text.index("{") :])

    join = ("authority", "join-community", "--name", "Old Town", "--vouchers", "5", "--key", town_key)
    assert run(*join, status=1)["code"] == "identity.unknown"
    run("identity", "create-dadhaar", "--key", town_key)
    run(*join)
    assert run("authority", "vouch", town, "--key", stranger_key, status=1)["code"] == "authority.standing"
    run("authority", "vouch", town, "--key", node.home / "registry.key")
    assert len(run("authority", "show", town)["request"]["vouchers"]) == 1
    assert run("authority", "grant", town, "--key", town_key, status=1)["code"] == "authority.vouchers"
    reasons = tmp_path / "reasons.txt"
    reasons.write_text("we move")
    resign = ("authority", "revoke", town, "--reasons", reasons, "--key", town_key)
    assert run(*resign, status=1)["code"] == "authority.unknown"


def test_a_holder_of_stake_proposes_votes_and_must_wait_for_the_veto_period(
    start: Callable[..., Any], bpci: Callable[..., Any], keys: Callable[[int], tuple[Path, str]], tmp_path: Path
) -> None:
    node = start("registry")
    guardian = node.home / "registry.key"
    (voter_key, voter) = keys(5)
    with node.client() as client:
        ledger_id = str(client.status()["ledger"]["id"])
        signer = LocalSigner(guardian.read_bytes())
        spending = {"wallet": "treasury", "asset": "BPI", "to": voter, "amount": 1000, "reason": bytes(32)}
        spend = Command(ledger_id, account_id_of(signer.public_key), 0, 1000, "wallet.spend", spending)
        client.submit_command(sign_command(signer, spend).encode())
        deposit = Command(ledger_id, voter, 0, 1000, "stake.deposit", {"amount": 900})
        client.submit_command(sign_command(LocalSigner(voter_key.read_bytes()), deposit).encode())

    def run(*arguments: str | Path, status: int = 0) -> Any:
        found = bpci("governance", *arguments, "--node", node.url, "--json")
        assert found.returncode == status, found.stderr
        return json.loads(found.stdout if status == 0 else found.stderr)

    actions, reasons = tmp_path / "actions.json", tmp_path / "why.md"
    change = {"kind": "governance.set_parameter", "body": {"name": "fee_min", "value": 1}}
    actions.write_text(json.dumps([change]))
    reasons.write_text("Spam.")
    propose = ("propose", "--actions", actions, "--reasons", reasons)
    assert run(*propose, "--key", guardian, status=1)["code"] == "governance.weight"
    run(*propose, "--key", voter_key)
    run("participate", "1", "--vote", "yes", "--key", voter_key)
    found = run("show", "1")
    assert (found["passes"], found["votes"]["yes"], found["total"]) == (True, "900", "900")
    assert run("execute", "1", "--key", voter_key, status=1)["code"] == "governance.early"
    run("veto", "1", "--key", guardian)
    assert run("show", "1")["status"] == "vetoed"
    assert run("participate", "1", "--vote", "no", "--key", guardian, status=1)["code"] == "governance.closed"
