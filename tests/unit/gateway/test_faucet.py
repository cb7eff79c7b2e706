"""The faucet over HTTP: the API, the owner's codes, and the page without script."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.admission import find_work
from bpci_node.network.owner_client import OwnerClient
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.faucet_section import FaucetSection

ROOT = Path(__file__).parents[3]
SOURCES = ("runtime/faucet.py", "runtime/grant_queue.py", "store/faucet_records.py", "gateway/faucet_page.py")
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def wallet(number: int) -> str:
    return account_id_of(LocalSigner(number.to_bytes(32)).public_key)


@pytest.fixture
def open_faucet(serve: Any) -> Iterator[Any]:
    return serve("faucet", faucet=FaucetSection(enabled=True, work_bits=6, grants_per_source=3))


def solved(served: Any, account: str) -> str:
    found = served.http.get("/v1/faucet/challenge", params={"account": account}).json()
    return "0x" + find_work(bytes.fromhex(found["statement"][2:]), found["bits"]).hex()


def test_it_says_what_it_gives_and_gives_it(open_faucet: Any) -> None:
    http = open_faucet.http
    terms = http.get("/v1/faucet").json()
    assert terms["maxima"] == {
        "wallet": "150000000000",
        "bpi-community": "100000000000",
        "bpci-enterprise": "1000000000000",
        "hybrid": "500000000000",
    }
    asked = {"v": 1, "account": wallet(1), "nonce": solved(open_faucet, wallet(1))}
    given = http.post("/v1/faucet/grants", json=asked)
    assert given.status_code == 200, given.text
    assert given.json()["amount"] == "150000000000"
    balances = http.get(f"/v1/accounts/{wallet(1)}/balances").json()["balances"]
    assert balances == {"BPI": "150000000000"}
    again = http.post("/v1/faucet/grants", json=asked)
    assert (again.status_code, again.json()["code"]) == (409, "faucet.granted")
    metrics = http.get("/metrics").text
    assert 'bpci_faucet_grants_total{purpose="wallet"} 1.0' in metrics
    assert 'bpci_faucet_refused_total{code="faucet.granted"} 1.0' in metrics


def test_limits_answer_with_when_to_come_back(open_faucet: Any) -> None:
    replies = []
    for number in range(1, 5):
        asked = {"v": 1, "account": wallet(number), "nonce": solved(open_faucet, wallet(number))}
        replies.append(open_faucet.http.post("/v1/faucet/grants", json=asked))
    assert [item.status_code for item in replies] == [200, 200, 200, 429]
    assert replies[3].json()["code"] == "faucet.source_rate"
    assert int(replies[3].headers["retry-after"]) > 80_000


@pytest.mark.parametrize(
    "body",
    [
        {"v": 1},
        {"v": 2, "account": wallet(1)},
        {"v": 1, "account": "bpa1"},
        {"v": 1, "account": wallet(1), "purpose": "friend"},
        {"v": 1, "account": wallet(1), "nonce": "ff"},
        {"v": 1, "account": wallet(1), "amount": "1.5"},
        {"v": 1, "account": wallet(1), "code": "x" * 65},
    ],
    ids=["nothing", "version", "account", "purpose", "nonce", "amount", "code"],
)
def test_requests_of_another_form_are_refused(open_faucet: Any, body: dict[str, Any]) -> None:
    reply = open_faucet.http.post("/v1/faucet/grants", json=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "format.request")


def test_too_many_attempts_are_turned_away_whatever_they_hold(open_faucet: Any) -> None:
    codes = [
        open_faucet.http.post("/v1/faucet/grants", json={"v": 1, "account": wallet(1), "code": "guess"}).json()["code"]
        for _ in range(22)
    ]
    assert codes[0] == "faucet.code"
    assert codes[-1] == "limit.faucet"


def test_the_owner_makes_codes_and_nobody_else(open_faucet: Any) -> None:
    with OwnerClient(open_faucet.socket) as owner:
        codes = owner.faucet_codes(2)
    assert open_faucet.http.post("/owner/faucet/codes", json={"count": 1}).status_code == 404
    asked = {"v": 1, "account": wallet(1), "code": codes[0]}
    assert open_faucet.http.post("/v1/faucet/grants", json=asked).status_code == 200


def test_the_page_works_without_script_by_a_code(open_faucet: Any) -> None:
    http = open_faucet.http
    page = http.get("/faucet", headers=BROWSER)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(src|href|action)=\"(https?:)?//", page.text)
    assert not re.search(r"\son\w+=|<script>|style=", page.text)
    assert "500,000,000 BPI" in page.text
    for asset in re.findall(r"(?:src|data-worker)=\"(/static/[^\"]+)\"", page.text):
        assert http.get(asset).headers["content-type"].startswith("text/javascript")
    with OwnerClient(open_faucet.socket) as owner:
        (code,) = owner.faucet_codes(1)
    sent = http.post("/faucet", data={"account": wallet(1), "purpose": "wallet", "code": code}, headers=BROWSER)
    assert sent.status_code == 200
    assert "1,500 BPI are on their way" in sent.text
    again = http.post("/faucet", data={"account": wallet(1), "purpose": "wallet", "code": code}, headers=BROWSER)
    assert again.status_code == 409
    assert "faucet.granted" in again.text
    assert wallet(1) in again.text


def test_what_a_form_brings_is_escaped_and_bounded(open_faucet: Any) -> None:
    http = open_faucet.http
    evil = '"><img src=x>'
    page = http.post("/faucet", data={"account": evil, "purpose": "wallet", "code": "x"}, headers=BROWSER)
    assert page.status_code == 400
    assert "<img" not in page.text
    page = http.get("/faucet", params={"account": evil}, headers=BROWSER)
    assert "<img" not in page.text
    for sent in (b"x" * 3000, b"account=" + b"a" * 65, b"\xff=1"):
        headers = BROWSER | {"Content-Type": "application/x-www-form-urlencoded"}
        assert http.post("/faucet", content=sent, headers=headers).status_code in (400, 413)
    assert http.post("/faucet", json={}, headers=BROWSER).status_code == 415


def test_a_node_without_a_faucet_says_so_to_programs_and_browsers(served: Any) -> None:
    assert served.http.get("/v1/faucet").json()["code"] == "faucet.closed"
    page = served.http.get("/faucet", headers=BROWSER)
    assert page.status_code == 404
    assert "no faucet" in page.text
    assert 'href="/faucet"' not in page.text


def test_every_code_of_the_faucet_is_documented() -> None:
    raised: set[str] = set()
    for source in SOURCES:
        text = (ROOT / "appliance/bpci_node" / source).read_text()
        raised |= set(re.findall(r"\"((?:faucet|limit|proof|format)\.[a-z_]+)\"", text))
    tables = "".join(path.read_text() for path in (ROOT / "docs/spec/errors").glob("*.md"))
    assert raised - {"faucet.grant", "faucet.html", "faucet.key"} <= set(
        re.findall(r"^\| `([a-z0-9_.]+)` \|", tables, re.MULTILINE)
    )
    assert len(raised) > 8
