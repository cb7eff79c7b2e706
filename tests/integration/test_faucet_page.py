"""The faucet's page in a real browser: by keyboard alone, with the browser's own work, and without script by a code."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bpci_node.chain.account import account_id_of
from bpci_node.primitives.keys import LocalSigner
from bpci_node.runtime.faucet_section import FaucetSection
from tests.integration.browser import Browser, chromium

OUTCOME = "(document.getElementById('outcome')?.textContent ?? '')"
FOCUSED = "document.activeElement.id"


def wallet() -> str:
    return account_id_of(LocalSigner(os.urandom(32)).public_key)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "profile") as found:
        yield found


@pytest.fixture
def node(start: Callable[..., Any]) -> Any:
    section = FaucetSection(enabled=True, work_bits=14)
    return start("a", adapt=lambda config: replace(config, faucet=section))


def walk_to(browser: Browser, name: str) -> None:
    """Press the tabulator until an element has the focus."""
    for _ in range(30):
        if browser.run(FOCUSED) == name:
            return
        browser.press("Tab")
    raise AssertionError(f"the keyboard does not reach {name}")


def held(node: Any, account: str) -> str:
    with node.client() as client:
        return str(client.ledger.balances(account).get("BPI", "0"))


def test_a_person_with_a_keyboard_gets_a_grant_for_the_browser_s_work_once(node: Any, browser: Browser) -> None:
    account = wallet()
    browser.open(f"{node.url}/faucet")
    walk_to(browser, "account")
    browser.type(account)
    walk_to(browser, "send")
    browser.press("Enter")
    browser.await_true(f"{OUTCOME}.includes('for good') || {OUTCOME}.includes('(')")
    assert browser.run(OUTCOME) == f"1,500 BPI are on their way to {account}, for good."
    assert held(node, account) == "150000000000"
    assert browser.run("document.getElementById('outcome').getAttribute('role')") == "status"
    walk_to(browser, "send")
    browser.press("Enter")
    browser.await_true(f"{OUTCOME}.includes('faucet.granted')")
    assert browser.run("document.getElementById('outcome').getAttribute('role')") == "alert"
    # What the API refuses, the browser's log names too; anything else there is a fault of the page.
    assert [text for text in browser.complaints() if not text.startswith("Failed to load resource")] == []


def test_without_script_a_code_does_it(node: Any, browser: Browser, bpci: Callable[..., Any]) -> None:
    account = wallet()
    (code,) = json.loads(bpci("faucet", "codes", "--socket", node.owner_socket, "--json").stdout)["codes"]
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(f"{node.url}/faucet")
    walk_to(browser, "account")
    browser.type(account)
    walk_to(browser, "code")
    browser.type(code)
    browser.press("Enter")
    browser.await_true(f"({OUTCOME}).includes('on their way')")
    assert held(node, account) == "150000000000"
    assert [text for text in browser.complaints() if not text.startswith("Failed to load resource")] == []
