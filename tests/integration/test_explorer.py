"""The explorer in a real browser, by keyboard, and its proofs checked by the commands that its pages name."""

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.integration.browser import Browser, chromium

Run = Callable[..., subprocess.CompletedProcess[str]]
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'> p\u0430ypal \u202e"
BROWSER = {"accept": "text/html"}


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "profile") as found:
        yield found


@pytest.fixture
def node(start: Callable[..., Any], raws: list[bytes]) -> Any:
    """A registered node that sealed a bundle."""
    running = start("a")
    with running.owner() as owner, running.client() as client:
        owner.register()
        client.submit_entries("eip155:1", raws[:80])
        owner.seal("eip155:1")
    return running


def account_of(node: Any) -> str:
    with node.client() as client:
        return str(client.status()["node"]["account"])


FOCUSED = "document.activeElement.textContent.trim() || document.activeElement.id"
NAMELESS = """[...document.querySelectorAll('a,button,input,select,[tabindex="0"]')].filter(e =>
  !(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length))).map(e => e.outerHTML)"""
CONTRAST = """(() => {
  const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
  const parse = c => c.match(/[0-9.]+/g).map(Number);
  const light = c => { const [r, g, b] = parse(c).map(channel); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (parse(c).length === 3 || parse(c)[3] > 0) return c } return 'rgb(255, 255, 255)' };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(e.outerHTML.slice(0, 80));
  }
  return found })()"""


def test_a_person_with_a_keyboard_finds_a_command_and_the_way_to_check_it(node: Any, browser: Browser) -> None:
    browser.open(node.url + "/")
    assert browser.run("document.title") == "Overview · BPCI node"
    browser.press("Tab")
    assert browser.run(FOCUSED) == "Skip to the content"
    assert browser.run("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Enter")
    browser.await_true("document.activeElement.id === 'content'")

    browser.open(node.url + "/")
    for _ in range(20):
        browser.press("Tab")
        if browser.run("document.activeElement.id") == "q":
            break
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.type("1")
    browser.press("Enter")
    browser.await_true("location.pathname === '/blocks/1' && document.readyState === 'complete'")
    assert browser.run("document.querySelector('h1').textContent") == "Block 1"
    for _ in range(40):
        browser.press("Tab")
        if str(browser.run("document.activeElement.getAttribute('href')")) == "/blocks/1/commands/0":
            break
    browser.press("Enter")
    browser.await_true("location.pathname === '/blocks/1/commands/0' && document.readyState === 'complete'")
    assert "bpci proof verify command-1-0.proof --network network.json" in browser.run("document.body.innerText")


def test_every_page_is_clean_in_a_browser_with_names_and_contrast_for_everything(node: Any, browser: Browser) -> None:
    account = account_of(node)
    paths = ["/", "/blocks", "/blocks/1", "/blocks/1/commands/0", "/nodes", f"/nodes/{account}", "/proposals"]
    paths += [f"/accounts/{account}", "/bundles", "/bundles/eip155:1/1", "/state/0x00", "/search?q=x"]
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for path in paths:
            browser.open(node.url + path)
            ignored = "404" if path.startswith("/search") else "\0"
            assert [text for text in browser.complaints() if ignored not in text] == [], path
            assert browser.run(NAMELESS) == [], path
            assert browser.run(CONTRAST) == [], (path, scheme)
            assert browser.run("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_what_a_visitor_is_made_to_look_for_is_shown_and_runs_nothing(node: Any, browser: Browser) -> None:
    browser.open(f"{node.url}/search?q={quote(HOSTILE)}")
    assert browser.run("document.title") == "Search · BPCI node"
    assert browser.run("document.images.length + document.scripts.length") == 0
    text = browser.run("document.body.innerText")
    assert "<script>document.title='owned'</script>" in text
    assert "mixes Cyrillic and Latin letters" in text
    assert "U+202E" in text
    # Even markup that got in would find nothing that it may load or run.
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    browser.run(
        "document.body.appendChild(Object.assign(document.createElement('script'), {text: 'document.title=1'}))"
    )
    assert browser.run("document.title") == "Search · BPCI node"
    assert any("Content Security Policy" in text for text in browser.complaints())


def _commands_of(url: str) -> tuple[list[str], str]:
    """Return the command that a page names, and what it is about to be run on."""
    page = httpx.get(url, headers=BROWSER)
    command = page.text.split('<pre tabindex="0"><code>')[1].split("</code>")[0]
    link = page.text.split('" download="')[0].rpartition('<a href="')[2]
    return shlex.split(command), link.replace("&amp;", "&")


def test_every_proof_that_a_page_offers_holds_by_the_very_command_that_it_names(
    node: Any, bpci: Run, tmp_path: Path
) -> None:
    account = account_of(node)
    network = bpci("network", "show", node.url, "--json")
    (tmp_path / "network.json").write_text(network.stdout)
    present, absent = (name.encode().hex() for name in (f"node/{account}", "node/nobody"))
    paths = ["/blocks/1/commands/0", f"/state/0x{present}", f"/state/0x{absent}", "/bundles/eip155:1/1"]
    answers = {}
    files = {}
    for path in paths:
        command, link = _commands_of(node.url + path)
        assert command[0] == "bpci"
        name = command[3]
        files[path] = tmp_path / name
        files[path].write_bytes(httpx.get(node.url + link).content)
        done = bpci(*command[1:], "--json", cwd=tmp_path)
        assert done.returncode == 0, (path, done.stderr)
        answers[path] = json.loads(done.stdout)
    node.kill()
    assert answers[paths[0]]["command"]["kind"] == "registry.register_node"
    assert (answers[paths[1]]["present"], answers[paths[2]]["present"]) == (True, False)
    assert answers[paths[3]]["node_id"] == account

    # Another network's file, or one changed byte, and it does not hold.
    wrong = json.loads(network.stdout) | {"registry_key": "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"}
    (tmp_path / "other.json").write_text(json.dumps(wrong))
    for path in paths[:3]:
        assert bpci("proof", "verify", files[path], "--network", tmp_path / "other.json").returncode in {1, 2}
        data = bytearray(files[path].read_bytes())
        data[len(data) // 2] ^= 1
        files[path].write_bytes(data)
        refused = bpci("proof", "verify", files[path], "--network", tmp_path / "network.json", "--json")
        assert refused.returncode == 1, path
    nobody = bpci("proof", "verify", files[paths[0]], "--json")
    assert (nobody.returncode, json.loads(nobody.stderr)["code"]) == (3, "proof.no_trust")
