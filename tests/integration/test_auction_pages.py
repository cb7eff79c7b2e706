"""The pages of auctions: in a browser, and the files that they give out checked by the command that they name."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.chain.earnings import earnings_entry
from bpci_node.primitives.keys import LocalSigner
from tests.integration.auction_network import TARGET, AuctionNetwork, Bidder, bid, early, start_network
from tests.integration.browser import Browser, chromium

pytestmark = pytest.mark.real_time

Run = Callable[..., subprocess.CompletedProcess[str]]
BROWSER = {"accept": "text/html"}


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "profile") as found:
        yield found


def test_a_window_can_be_watched_looked_at_and_checked(
    start: Callable[..., Any], tmp_path: Path, raws: list[bytes], browser: Browser, bpci: Run
) -> None:
    network = start_network(start, tmp_path, 2, epoch_ms=16_000, reveal_ms=4_000, seal_ms=5_000)
    coordinator = network.coordinator(network.overview())
    browser.open(f"{coordinator}/auctions")
    assert browser.run("document.title") == "Auctions · BPCI node"
    browser.await_true("document.getElementById('state').textContent.startsWith('Live')")

    bidder = Bidder(network, LocalSigner(bytes(range(32))))
    bidder.fund()
    overview = network.wait_for(lambda: _both_serve(network), what="the beginning of an epoch of both")
    bid(network, bidder, raws[:4], overview=overview)
    holder = network.wait_for(
        lambda: next((node for node in network.validators if _status(node, "/1") == 200), None),
        what="the bundle's page",
    )
    browser.open(f"{holder.url}/auctions")
    link = f"/auctions/{TARGET}/1"
    browser.await_true(f"[...document.links].some(item => decodeURIComponent(item.pathname) === '{link}')")
    assert browser.run("[...document.querySelectorAll('h2')].map(item => item.textContent)")[:3] == [
        "Committee",
        "Windows under way",
        "Target chains",
    ]

    page = httpx.get(f"{holder.url}{link}", headers=BROWSER)
    assert "4, of which 4 were revealed in time" in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    (command,) = re.findall(r"bpci bundle verify [^<]*", page.text)
    words = shlex.split(unescape(command))[1:]
    (proof,) = re.findall(r'href="(/auctions/committees/\d+/proof)"', page.text)
    files = {}
    for path in (f"{link}/file", proof):
        reply = httpx.get(f"{holder.url}{path}")
        (name,) = re.findall(r'filename="([^"]*)"', reply.headers["content-disposition"])
        (tmp_path / name).write_bytes(reply.content)
        files[name] = str(tmp_path / name)
    checked = bpci(*(files.get(word, word) for word in words), cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "holds (full)" in checked.stdout
    assert _status(holder, "/99") == 404
    assert httpx.get(f"{holder.url}/auctions/committees/9999/proof", headers=BROWSER).status_code == 404

    # What the seats were paid stands on the pages of their accounts, with a way to its proof.
    network.wait_for(lambda: network.events("auction.shared"), what="the settlement")
    account = account_id_of(holder.signer.public_key)
    shown = httpx.get(f"{network.registry.url}/accounts/{account}", headers=BROWSER).text
    assert "Earned with seats in committees" in shown
    assert f'"/state/0x{earnings_entry(account, "BPI").hex()}"' in shown

    # A node that is no validator says what the ledger knows.
    follower = httpx.get(f"{network.registry.url}/auctions", headers=BROWSER).text
    assert "takes no part" in follower
    assert TARGET in follower


def _both_serve(network: AuctionNetwork) -> dict[str, Any] | None:
    found = early(network)
    return found if found is not None and len(found["committee"]) == 2 else None


def _status(node: Any, number: str) -> int:
    return httpx.get(f"{node.url}/auctions/{TARGET}{number}", headers=BROWSER).status_code
