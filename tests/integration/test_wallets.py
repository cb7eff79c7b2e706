"""A person's wallet through the command line and one real node: made, funded, named, spent from, moved to new paper."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.wallet_address import WalletAddress

COIN = 10**8


@pytest.fixture
def fund() -> Callable[..., None]:
    """Let the registry, the only guardian of such a ledger, pay out of the treasury."""

    def pay(node: Any, nonce: int, to: str, amount: int) -> None:
        signer = LocalSigner((node.home / "registry.key").read_bytes())
        spending = {"wallet": "treasury", "asset": "BPI", "to": to, "amount": amount, "reason": bytes(32)}
        with node.client() as client:
            ledger_id = str(client.status()["ledger"]["id"])
            sender = account_id_of(signer.public_key)
            client.submit_command(
                sign_command(signer, Command(ledger_id, sender, nonce, 1000, "wallet.spend", spending)).encode()
            )

    return pay


def test_a_person_keeps_names_spends_and_restores_a_wallet(
    start: Callable[..., Any], bpci: Callable[..., Any], fund: Callable[..., None], tmp_path: Path
) -> None:
    node = start("registry")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery\nnot this line\n")
    opened = ("--passphrase-file", secret)
    seen = []

    def run(*arguments: str | Path, status: int = 0, place: bool = True) -> Any:
        at = ("--node", node.url, "--json") if place else ("--json",)
        found = bpci("wallet", *arguments, *at)
        seen.append(found.stdout + found.stderr)
        assert found.returncode == status, found.stderr
        text = found.stdout if status == 0 else found.stderr
        return json.loads(text[min(at for at in (text.find("{"), text.find("[")) if at >= 0) :])

    made = run("new", "savings", *opened, place=False)
    asha, path = made["account"], Path(made["file"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("new", "savings", *opened, status=1, place=False)["code"] == "keystore.exists"
    assert run("new", "other", status=2, place=False)["code"] == "usage.passphrase"
    assert [item["account"] for item in run("list", place=False)] == [asha]
    fund(node, 0, asha, 3 * COIN)
    assert run("balance", asha)["balances"] == [{"asset": "BPI", "units": str(3 * COIN), "shown": "3"}]

    name = ("--url", "asha.example", "--at", "home.asha.example")
    address = run("register", "--wallet", "savings", *opened, *name)["address"]
    assert address == str(WalletAddress("devnet", asha, "asha.example", "home.asha.example"))
    assert run("find", "asha.example")["address"] == address
    assert run("find", "ashe.example", status=1)["code"] == "wallet.unknown"
    assert run("show", address)["wallets"][0]["url"] == "asha.example"

    ravi = run("new", "ravi", "--single-key", *opened, place=False)["account"]
    pay = ("transfer", "--wallet", "ravi", *opened, "--yes", "--amount")
    assert run(*pay, "1", "--to", address, status=1)["code"] == "asset.balance"
    mine = ("transfer", "--wallet", "savings", *opened, "--yes", "--amount")
    run(*mine, "1.25", "--to", ravi)
    assert run("balance", ravi)["balances"][0]["shown"] == "1.25"
    run(*pay, "0.25", "--to", "asha.example")
    run(*pay, "0.25", "--to", address)
    assert run("balance", "asha.example")["balances"][0]["shown"] == "2.25"
    wrong = str(WalletAddress("mainnet", asha, "asha.example", "home.asha.example"))
    assert run(*pay, "0.25", "--to", wrong, status=1)["code"] == "wallet.network"
    assert run(*pay, "0.25", "--to", address.replace("asha", "ashe", 1), status=1)["code"] == "format.wallet_check"
    assert run(*pay, "0.000000001", "--to", asha, status=2)["code"] == "usage.amount"
    assert run(*pay, "1", "--to", "Asha", status=2)["code"] == "usage.account"
    kinds = [event["kind"] for event in run("history", address)["events"]]
    assert kinds.count("asset.transferred") == 3
    assert {"wallet.spent", "wallet.registered"} <= set(kinds)

    # The token of older software opens the wallet that it names, and no other.
    token = tmp_path / "token"
    token.write_text(f"{address}//correct horse battery\n")
    run("transfer", "--wallet", "savings", "--passphrase-file", token, "--yes", "--amount", "1", "--to", ravi)
    other = ("transfer", "--wallet", "ravi", "--passphrase-file", token, "--yes", "--amount", "1", "--to", asha)
    assert run(*other, status=1)["code"] == "wallet.account"
    parsed = bpci("wallet", "address", "-", "--json", input=token.read_text())
    assert json.loads(parsed.stdout)["account"] == asha
    seen.append(parsed.stdout + parsed.stderr)

    # On another machine: the words bring the wallet back, under another passphrase.
    words, fresh = tmp_path / "words.txt", tmp_path / "fresh"
    fresh.write_text("four quite unlike words")
    assert bpci("wallet", "export", "savings", "--out", words, *opened).returncode == 0
    assert words.stat().st_mode & 0o777 == 0o600
    elsewhere = ("--wallets", tmp_path / "elsewhere", "--passphrase-file", fresh)
    restored = run("import", "paper", "--phrase-file", words, *elsewhere, place=False)
    assert restored["account"] == asha
    run("retire", "--wallet", "paper", *elsewhere, "--url", "asha.example")
    assert run(*pay, "0.1", "--to", "asha.example", status=1)["code"] == "wallet.retired"
    wrong_words = (
        "transfer",
        "--wallet",
        "savings",
        "--passphrase-file",
        fresh,
        "--yes",
        "--amount",
        "1",
        "--to",
        ravi,
    )
    assert run(*wrong_words, status=1)["code"] == "keystore.passphrase"

    # Every command that signs takes a wallet.
    identity = bpci("identity", "create-dadhaar", "--wallet", "savings", *opened, "--node", node.url, "--json")
    assert json.loads(identity.stdout)["account"] == asha, identity.stderr
    told = "".join(seen) + (node.home / "node.log").read_text()
    assert "correct horse" not in told
    assert not any(
        " ".join(pair) in told for pair in zip(words.read_text().split(), words.read_text().split()[1:], strict=False)
    )


def test_members_of_a_dao_decide_spend_and_part(
    start: Callable[..., Any], bpci: Callable[..., Any], fund: Callable[..., None], tmp_path: Path
) -> None:
    node = start("registry")
    secret, charter, actions = tmp_path / "passphrase", tmp_path / "charter.md", tmp_path / "actions.json"
    secret.write_text("correct horse battery")
    charter.write_text("We keep the river.")
    circle = "River Keepers"

    def run(*arguments: str | Path, who: str | None = None, status: int = 0) -> Any:
        signed = () if who is None else ("--wallet", who, "--passphrase-file", secret)
        found = bpci(*arguments, *signed, "--node", node.url, "--json")
        assert found.returncode == status, found.stderr
        return json.loads(found.stdout if status == 0 else found.stderr)

    accounts = {}
    for number, name in enumerate(("asha", "ravi")):
        made = bpci("wallet", "new", name, "--single-key", "--passphrase-file", secret, "--json")
        accounts[name] = json.loads(made.stdout)["account"]
        fund(node, number, accounts[name], 10 * COIN)
    rules = ("--voting-blocks", "2", "--charter", charter)
    dao = run("identity", "create-dpan", "--dao-type", "community", "--name", circle, *rules, who="asha")["dao"]
    assert (
        run("dao", "create", "--type", "community", "--name", "river keepers", *rules, who="ravi", status=1)["code"]
        == "dao.name"
    )
    assert run("dao", "join", circle, who="ravi", status=1)["code"] == "dao.not_invited"
    run("dao", "invite", circle, accounts["ravi"], who="asha")
    run("dao", "join", circle, who="ravi")
    run("wallet", "transfer", "--to", dao, "--amount", "6", "--yes", who="asha")

    allowance = {"asset": "BPI", "amount": COIN, "blocks": 1_000_000}
    rights = {"rights": {"invite": False, "propose": True}, "allowance": allowance, "power": 1}
    actions.write_text(json.dumps([{"kind": "dao.set_rights", "body": {"account": accounts["ravi"]} | rights}]))
    spend = ("dao", "spend", circle, "--to", accounts["ravi"], "--reason", charter, "--amount")
    assert run(*spend, "0.5", who="ravi", status=1)["code"] == "dao.allowance"
    run("dao", "propose", circle, "--actions", actions, "--reasons", charter, who="asha")
    for name in ("asha", "ravi"):
        run("dao", "vote", circle, "1", "--vote", "yes", who=name)
    assert run("dao", "proposal", circle, "1")["passes"]
    run("wallet", "transfer", "--to", dao, "--amount", "1", "--yes", who="asha")
    run("dao", "execute", circle, "1", who="ravi")
    run(*spend, "0.5", who="ravi")
    assert run("dao", "show", dao)["treasury"] == {"BPI": "6.5"}
    dpan = run("identity", "dpan", accounts["ravi"], circle)
    assert (dpan["power"], dpan["allowance"]["amount"], dpan["spent"]["amount"]) == (1, str(COIN), str(COIN // 2))

    actions.write_text(json.dumps([{"kind": "dao.dissolve", "body": {}}]))
    run("dao", "propose", circle, "--actions", actions, "--reasons", charter, who="asha")
    for name in ("asha", "ravi"):
        run("dao", "vote", circle, "2", "--vote", "yes", who=name)
    run("wallet", "transfer", "--to", accounts["ravi"], "--amount", "1", "--yes", who="asha")
    run("dao", "execute", circle, "2", who="asha")
    found = run("dao", "show", circle)
    assert (found["status"], found["treasury"]) == ("dissolved", {})
    assert run("wallet", "balance", accounts["ravi"])["balances"][0]["shown"] == "14.75"
    kinds = [event["kind"] for event in run("dao", "history", circle)["events"]]
    assert kinds[:3] == ["dao.created", "dao.invited", "dao.joined"]
    assert kinds[-1] == "dao.divided"
    assert run("dao", "leave", circle, who="ravi", status=1)["code"] == "dao.dissolved"
