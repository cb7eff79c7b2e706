"""The pages of a node, over real sockets: headers, escaping, errors for browsers and for programs, limits."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from bpci_node.chain.ledger_proof import CommandProof, StateEntryProof, decode_ledger_proof
from bpci_node.errors import LimitError
from bpci_node.gateway import page_text
from bpci_node.gateway.pages import AT_ONCE, MAX_TURNS, Page, Pages
from bpci_node.network.wire import PROBLEM

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PATHS = (
    "/",
    "/blocks",
    "/blocks/1",
    "/blocks/1/commands/0",
    "/nodes",
    "/proposals",
    "/auctions",
    "/bundles",
    "/state/0x00",
)
NOBODY = "bpa1" + "a" * 32
SCRIPTS: dict[str, list[str | None]] = {"/auctions": ["/static/auctions.js"]}
"""Pages that a script of the node's own makes livelier; each works without."""


class Outline(HTMLParser):
    """What a page is made of, for the eyes of somebody who has none."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def page(served: Any, path: str, status: int = 200) -> Outline:
    reply = served.http.get(path, headers=BROWSER)
    assert reply.status_code == status, (path, reply.text)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    return Outline(reply.text)


@pytest.fixture(scope="module")
def registered(served: Any) -> Any:
    served.owner.register()
    return served


@pytest.mark.parametrize("path", [*PATHS, f"/accounts/{NOBODY}", "/search?q=nothing", "/nowhere"])
def test_every_page_can_be_used_without_sight_script_or_mouse(registered: Any, path: str) -> None:
    reply = registered.http.get(path, headers=BROWSER)
    assert reply.status_code == (200 if path in PATHS else 404)
    outline = Outline(reply.text)
    assert outline.all("html")[0]["lang"] == "en"
    assert [tag for tag, _ in outline.tags if tag == "h1"] == ["h1"]
    assert outline.all("a")[0] == {"class": "skip", "href": "#content"}
    assert outline.all("main")[0]["id"] == "content"
    labelled = {item["for"] for item in outline.all("label")}
    assert {item["id"] for item in outline.all("input", "select")} <= labelled
    assert len(outline.all("table")) == len(outline.all("caption"))
    assert all(item["scope"] in {"row", "col"} for item in outline.all("th"))
    identifiers = [item["id"] for _, item in outline.tags if "id" in item]
    assert len(identifiers) == len(set(identifiers))
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    scripts = [item["src"] for item in outline.all("script")]
    assert [text and text.partition("?")[0] for text in scripts] == SCRIPTS.get(path, [])
    assert not outline.all("style", "iframe", "img")
    links = [item["href"] for item in outline.all("a", "link")]
    assert all(link is not None and link.startswith(("/", "#")) and not link.startswith("//") for link in links)


def test_a_page_lets_a_browser_load_nothing_from_elsewhere_and_run_nothing(registered: Any) -> None:
    for path in (*PATHS, "/nowhere"):
        headers = registered.http.get(path, headers=BROWSER).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["style-src"] == policy["form-action"] == "'self'"
        assert policy.get("script-src") == ("'self'" if path in SCRIPTS else None)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_style_sheet_is_given_out_and_no_template(registered: Any) -> None:
    style = registered.http.get("/static/style.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in style.text
    for name in ("base.html", "..%2fpages.py", "none.css"):
        assert registered.http.get(f"/static/{name}").status_code == 404


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_from_its_ground_in_light_and_dark(registered: Any) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    style = registered.http.get("/static/style.css").text
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        for ground in ("ground", "raised"):
            for ink in ("ink", "quiet", "link", "mark", "bad", "good"):
                lighter, darker = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
                assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (ink, ground)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "format.path"),
        ("/blocks/999999", 404, "chain.block"),
        ("/blocks/none", 400, "format.request"),
        ("/blocks/1/commands/77", 404, "chain.block"),
        ("/nodes/bpa1" + "a" * 32, 404, "registry.unknown"),
        ("/nodes?type=pear", 400, "format.node_type"),
        ("/accounts/none", 400, "format.account"),
        ("/proposals/5", 404, "governance.unknown"),
        ("/bundles/eip155:1/9", 404, "bundle.unknown"),
        ("/bundles?target=eip155:2", 404, "entry.target"),
        ("/state/zz", 400, "format.hex"),
    ],
)
def test_an_error_is_a_page_for_browsers_and_a_problem_for_programs(
    registered: Any, path: str, status: int, code: str
) -> None:
    shown = page(registered, path, status)
    assert code in shown.text
    assert any(item.get("role") == "alert" for _, item in shown.tags)
    problem = registered.http.get(path)
    assert problem.headers["content-type"] == PROBLEM
    assert (problem.status_code, problem.json()["code"]) == (status, code)


def test_the_api_answers_browsers_with_problems_too(registered: Any) -> None:
    assert registered.http.get("/v1/blocks/999999", headers=BROWSER).headers["content-type"] == PROBLEM


def test_the_pages_of_a_registered_node_lead_to_one_another(registered: Any) -> None:
    account = registered.owner.owner_status()["node"]["account"]
    front = page(registered, "/")
    assert {"/blocks/1", f"/accounts/{account}"} <= {item["href"] for item in front.all("a")}
    assert "/blocks/1/commands/0" in {item["href"] for item in page(registered, "/blocks/1").all("a")}
    command = page(registered, "/blocks/1/commands/0")
    assert "registry.register_node" in command.text
    assert "bpci proof verify command-1-0.proof --network network.json" in command.text
    shown = page(registered, f"/nodes/{account}")
    assert registered.client.status()["node"]["did"] in shown.text
    assert account in page(registered, "/nodes?type=bpi-community&status=active").text
    assert account not in page(registered, "/nodes?type=hybrid").text
    assert "registry.node_registered" in page(registered, f"/accounts/{account}").text


def test_the_search_leads_to_heights_accounts_nodes_keys_and_digests(registered: Any) -> None:
    status = registered.client.status()["node"]
    block = registered.http.get("/v1/blocks/1").json()
    for wanted, place in (
        ("1", "/blocks/1"),
        (f" {status['account']} ", f"/accounts/{status['account']}"),
        (status["did"], f"/nodes/{status['did']}"),
        ("0x6e6f", "/state/0x6e6f"),
    ):
        reply = registered.http.get("/search", params={"q": wanted}, headers=BROWSER)
        assert (reply.status_code, reply.headers["location"]) == (303, place)
    for digest, place in ((block["digest"], "/blocks/1"), (block["results"][0]["command_id"], "/blocks/1/commands/0")):
        for form in (digest, digest[2:].upper()):
            found = page(registered, f"/search?q={form}")
            assert place in {item["href"] for item in found.all("a")}
    for wanted in ("", "0", "//evil.example", "ab" * 32, "'; drop", "<script>", "\u202e12"):
        reply = registered.http.get("/search", params={"q": wanted}, headers=BROWSER)
        assert reply.status_code == 404
        assert "<script" not in reply.text
        assert "\u202e" not in reply.text


def test_what_is_shown_can_be_proved_by_files(registered: Any) -> None:
    network = registered.node.network
    data = registered.http.get("/blocks/1/commands/0/proof")
    assert 'filename="command-1-0.proof"' in data.headers["content-disposition"]
    command = decode_ledger_proof(data.content)
    assert isinstance(command, CommandProof)
    command.verify(registry_key=network.registry_key, ledger_id=network.ledger_id)
    for key, is_there in ((b"node/" + registered.node.account.encode(), True), (b"node/nobody", False)):
        entry = decode_ledger_proof(registered.http.get(f"/state/0x{key.hex()}/proof").content)
        assert isinstance(entry, StateEntryProof)
        entry.verify(registry_key=network.registry_key)
        assert (entry.value is not None) == is_there


def test_a_visitor_gets_pages_at_a_bounded_rate(serve: Callable[..., Any]) -> None:
    served = serve("limited")
    replies = [served.http.get("/proposals", headers=BROWSER) for _ in range(260)]
    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused
    assert all(reply.headers["content-type"].startswith("text/html") for reply in refused)
    assert int(refused[0].headers["retry-after"]) >= 1
    assert "limit.pages" in refused[0].text


def test_few_pages_are_made_at_once_and_no_more_than_some_wait(registered: Any) -> None:
    api = SimpleNamespace(node=registered.node, allow_page=lambda _request: None)

    async def scenario() -> None:
        pages = Pages(api)  # type: ignore[arg-type]
        request = Request({"type": "http", "method": "GET", "path": "/search", "headers": [], "query_string": b""})
        release, made = asyncio.Event(), []

        async def prepare() -> Page:
            made.append(1)
            await release.wait()
            return Page("search.html", {"wanted": "x", "rows": 1})

        tasks = [asyncio.create_task(pages.answer(request, prepare)) for _ in range(MAX_TURNS)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(made) == AT_ONCE
        with pytest.raises(LimitError) as caught:
            await pages.answer(request, prepare)
        assert caught.value.code == "limit.busy"
        release.set()
        assert [reply.status_code for reply in await asyncio.gather(*tasks)] == [200] * MAX_TURNS
        assert (await pages.answer(request, prepare)).status_code == 200

    asyncio.run(scenario())


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "'--></title><b>",
    "a\u202egpj.exe",
    "zero\u200bwidth\x00\x1b[31m",
    "x" * 5_000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_shown_and_never_obeyed(text: str) -> None:
    for shown in (
        page_text.outside_text(text),
        page_text.value({text: [text, {"inner": text}]}),
        page_text.note(text.encode()),
    ):
        outline = Outline(str(shown))
        assert {tag for tag, _ in outline.tags} <= {"bdi", "span", "dl", "dt", "dd", "ol", "li"}
        assert not any(character in str(shown) for character in "\u202e\u200b\x00\x1b")
        assert all(set(attributes) <= {"class"} for _, attributes in outline.tags)


def test_letters_of_two_scripts_in_one_name_are_pointed_out() -> None:
    assert "mixes Cyrillic and Latin letters" in page_text.outside_text("p\u0430ypal")
    assert "mixes" not in page_text.outside_text("paypal 2.0 – é")
    assert "mixes" not in page_text.outside_text("Сбербанк")


def test_bytes_amounts_and_times_are_exact() -> None:
    assert page_text.amount(150_000_000_000, 8) == "1,500"
    assert page_text.amount(1, 8) == "0.00000001"
    assert page_text.amount(2**70) == f"{2**70:,}"
    assert "2025-01-01 00:00:00 UTC" in page_text.when(1_735_689_600_000)
    assert page_text.when(2**62) == f"{2**62} ms"
    assert "(100 bytes)" in page_text.value(b"\x01" * 100)
    assert page_text.note(b"\xff\xfe") == "<code>0xfffe</code>"


def test_a_page_says_the_node_s_name_as_text_whatever_it_is(registered: Any) -> None:
    node = registered.node
    section = replace(node.config.node, name='<img src=x onerror="alert(1)">')
    named = SimpleNamespace(config=replace(node.config, node=section), network=node.network)
    pages = Pages(SimpleNamespace(node=named))  # type: ignore[arg-type]
    request = Request({"type": "http", "method": "GET", "path": "/search", "headers": [], "query_string": b""})
    reply = pages.render(request, Page("search.html", {"wanted": "x", "rows": 1}))
    assert not Outline(bytes(reply.body).decode()).all("img")
