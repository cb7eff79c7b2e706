"""Look-ups of wallets and DAOs over HTTP: what is there, what is not, and nonsense."""

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.wallets import WALLETS
from bpci_node.primitives.keys import LocalSigner
from bpci_node.primitives.wallet_address import StampedAddress, WalletAddress

SIGNER = LocalSigner(bytes([9]) * 32)
ACCOUNT = account_id_of(SIGNER.public_key)
ADDRESS = WalletAddress("devnet", ACCOUNT, "asha.example", "home.example")
OTHER = WalletAddress("devnet", ACCOUNT, "asha.example", "elsewhere.example")
STAMPED = StampedAddress("devnet", ACCOUNT, "bank", "in", "k7.example", bytes(20))
NOBODY = "bpa1" + "a" * 32


@pytest.fixture
def done(served):
    ledger_id = str(served.client.status()["ledger"]["id"])

    def send(kind, body):
        known = served.http.get(f"/v1/accounts/{ACCOUNT}")
        nonce = known.json()["nonce"] if known.status_code == 200 else 0
        command = Command(ledger_id, ACCOUNT, nonce, 1000, kind, body)
        answer = served.client.submit_command(sign_command(SIGNER, command).encode())
        return answer["results"][0]["events"][0]["fields"]

    return send


def test_wallets_and_daos_are_found(served, done):
    done("wallet.register", {"address": str(ADDRESS), "role": "owner"})
    rules = {"admission": "vote", "quorum_bps": 5000, "threshold_bps": 5000, "voting_blocks": 10}
    creation = {"type": "community", "name": "River", "charter": bytes(32), "power": "equal", "rules": rules}
    dao = done("dao.create", creation)["dao"]
    allowance = {"asset": "BPI", "amount": 5, "blocks": 7}
    rights = {"account": ACCOUNT, "power": 1, "rights": {"invite": True, "propose": True}, "allowance": allowance}
    actions = [{"kind": "dao.set_rights", "body": rights}]
    done("dao.propose", {"dao": dao, "reasons": bytes(32), "actions": actions})

    def get(path, **query):
        answer = served.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    page = get("/v1/wallets")
    assert (page["network"], page["next"]) == ("devnet", None)
    (wallet,) = page["wallets"]
    assert wallet["address"] == str(ADDRESS)
    assert get("/v1/wallets/find", url="asha.example") == get("/v1/wallets/find", address=str(ADDRESS)) == wallet
    assert get(f"/v1/accounts/{ACCOUNT}/wallets")["wallets"] == [wallet]
    assert get("/v1/wallets", limit=1)["next"] == "asha.example"
    assert get("/v1/wallets", after="asha.example")["wallets"] == []

    (shown,) = get("/v1/daos")["daos"]
    found = get(f"/v1/daos/{dao}")
    assert found["dao"] == shown
    assert (found["members"], found["power"], found["proposals"], found["treasury"]) == (1, 1, 1, {})
    (member,) = get(f"/v1/daos/{dao}/members")["dpans"]
    assert get(f"/v1/accounts/{ACCOUNT}/dpans")["dpans"] == [member]
    assert (member["account"], member["status"], member["spent"]["amount"]) == (ACCOUNT, "active", "0")
    proposal = get(f"/v1/daos/{dao}/proposals/1")
    assert (proposal["proposal"]["status"], proposal["passes"]) == ("open", False)
    assert proposal["proposal"]["actions"][0]["body"]["allowance"] == allowance | {"amount": "5"}


def test_governance_wallets_are_listed_with_what_they_hold(served, done):
    done("identity.create_dadhaar", {})
    found = {item["name"]: item for item in served.http.get("/v1/wallets/governance").json()["wallets"]}
    assert {name: item["account"] for name, item in found.items()} == dict(WALLETS)
    assert int(found["treasury"]["balances"]["BPI"]) > 0
    assert "parvyom" in found


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/wallets?after=A", 400, "format.wallet_name"),
        ("/v1/wallets?after=%C3%A9", 400, "format.wallet_name"),
        ("/v1/wallets?limit=0", 400, "format.request"),
        ("/v1/wallets/find", 400, "format.request"),
        ("/v1/wallets/find?url=a&address=b", 400, "format.request"),
        ("/v1/wallets/find?url=nobody.example", 404, "wallet.unknown"),
        ("/v1/wallets/find?url=%C3%A9", 404, "wallet.unknown"),
        ("/v1/wallets/find?address=x", 400, "format.wallet_address"),
        (f"/v1/wallets/find?address={OTHER}", 404, "wallet.unknown"),
        (f"/v1/wallets/find?address={STAMPED}", 404, "wallet.unknown"),
        (f"/v1/wallets/find?address={str(ADDRESS).replace('asha', 'ashe')}", 400, "format.wallet_check"),
        (
            f"/v1/wallets/find?address={WalletAddress('mainnet', ACCOUNT, 'asha.example', 'home.example')}",
            409,
            "wallet.network",
        ),
        ("/v1/daos?after=x", 400, "format.account"),
        (f"/v1/daos/{NOBODY}", 404, "dao.unknown"),
        ("/v1/daos/%C3%A9/members", 404, "dao.unknown"),
        (f"/v1/daos/{NOBODY}/proposals/1", 404, "dao.unknown"),
        (f"/v1/daos/{NOBODY}/proposals/0", 400, "format.request"),
        (f"/v1/accounts/{NOBODY}/dpans?after=x", 400, "format.account"),
    ],
    ids=range(18),
)
def test_nonsense_is_refused_with_a_code(served, path, status, code):
    reply = served.http.get(path)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_an_account_without_anything_has_empty_lists(served):
    for account in (NOBODY, "%C3%A9"):
        assert served.http.get(f"/v1/accounts/{account}/dpans").json()["dpans"] == []
        assert served.http.get(f"/v1/accounts/{account}/wallets").json()["wallets"] == []
