"""The web face before a real node: its own process as systemd would start it, and its pages in a real browser."""

import asyncio
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from bpci_node.gateway.web.app import WebFace, web_app
from bpci_node.gateway.web.desk import Desk
from bpci_node.gateway.web.helper import MachineHelper
from bpci_node.gateway.web.pages import Pages
from bpci_node.gateway.web.sources import Sources
from bpci_node.host import certificates
from bpci_node.setup.acts import record
from tests.integration.browser import Browser, chromium
from tests.integration.conftest import COMMAND, ENVIRONMENT
from tests.integration.test_explorer import CONTRAST, NAMELESS
from tests.unit.setup.acts.machine import Machine

Run = Callable[..., subprocess.CompletedProcess[str]]
PASSWORD = "correct horse battery"
ORIGIN = {"Origin": "https://box", "X-Real-IP": "192.0.2.1"}


@pytest.fixture
def node(start: Callable[..., Any], raws: list[bytes]) -> Any:
    """A registered node in whose pool something waits."""
    running = start("a")
    with running.owner() as owner, running.client() as client:
        owner.register()
        client.submit_entries("eip155:1", raws[:80])
    return running


@pytest.fixture
def accounts(tmp_path: Path, bpci: Run) -> Path:
    directory = tmp_path / "accounts"
    directory.mkdir(mode=0o700)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    for name, role in (("ada", "owner"), ("eve", "viewer")):
        options = ("--role", role, "--password-file", tmp_path / "password", "--dir", directory)
        assert bpci("access", "add", name, *options).returncode == 0
    return directory


@contextmanager
def serving(tmp_path: Path, accounts: Path, node: Any) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The process, on a socket handed over as the service manager does it."""
    path = tmp_path / "web.sock"
    path.unlink(missing_ok=True)
    command = [*COMMAND, "access", "serve", "--dir", accounts, "--tls", tmp_path, "--owner-socket", node.owner_socket]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(16)
        # Source: sd_listen_fds(3): descriptors from 3 on, for the process whose number LISTEN_PID names.
        shell = f'exec 3<&{listening.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" "$@"'
        with (tmp_path / "web.log").open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-c", shell, *map(str, command)], env=ENVIRONMENT, pass_fds=[listening.fileno()], stderr=log
            )
    try:
        yield process, path
    finally:
        process.terminate()
        process.wait(60)


def browse(path: Path) -> httpx.Client:
    # The first answer comes when Python has started, however busy the machine is.
    return httpx.Client(base_url="http://box", transport=httpx.HTTPTransport(uds=str(path)), timeout=120)


def sign_in(client: httpx.Client, name: str) -> tuple[dict[str, str], str]:
    """Return the header that carries the session, and the token of its forms."""
    reply = client.post("/sign-in", data={"name": name, "password": PASSWORD}, headers=ORIGIN)
    assert reply.status_code == 303, reply.text
    cookie = {"Cookie": reply.headers["set-cookie"].partition(";")[0]}
    client.cookies.clear()
    found = re.search(r'form_token" value="([0-9a-f]{64})"', client.get("/", headers=cookie).text)
    assert found
    return cookie, found[1]


def test_an_owner_seals_from_the_dashboard_and_a_kill_leaves_the_log_whole(
    tmp_path: Path, accounts: Path, node: Any, bpci: Run
) -> None:
    with serving(tmp_path, accounts, node) as (process, path), browse(path) as client:
        cookie, form = sign_in(client, "ada")
        text = client.get("/", headers=cookie).text
        with node.client() as public:
            assert public.status()["node"]["did"] in text
        assert "is not there" not in text.partition("<h2>Backup")[0]
        seal = {"form_token": form, "about": "eip155:1"}
        assert client.post("/actions/seal", data=seal, headers=ORIGIN | cookie).status_code == 303
        assert "was sealed" in client.get("/", headers=cookie).text
        with browse(node.owner_socket) as owner:
            assert owner.get("/owner/status").json()["sealed"]["eip155:1"] == 1
        viewer, viewer_form = sign_in(client, "eve")
        refused = client.post("/actions/seal", data=seal | {"form_token": viewer_form}, headers=ORIGIN | viewer)
        assert refused.status_code == 403
        process.kill()
        process.wait(60)
    shown = json.loads(bpci("access", "log", "--json", "--dir", accounts).stdout)["records"]
    rows = [(row["who"], row["what"], row["result"]) for row in shown]
    assert rows[4:] == [
        ("ada", "sign_in", "done"),
        ("ada", "seal", "begun"),
        ("ada", "seal", "done"),
        ("eve", "sign_in", "done"),
        ("eve", "seal", "access.role"),
    ]
    verified = bpci("access", "log", "--verify", "--head", shown[-1]["digest"], "--dir", accounts)
    assert verified.returncode == 0, verified.stderr
    log = accounts / "actions.log"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert bpci("access", "log", "--verify", "--dir", accounts).returncode == 0
    assert bpci("access", "log", "--verify", "--head", shown[-1]["digest"], "--dir", accounts).returncode == 1
    with serving(tmp_path, accounts, node) as (_, path), browse(path) as client:
        assert client.get("/", headers=cookie).status_code == 303, "sessions end with the process"


@contextmanager
def face(directory: Path, accounts: Path, node: Any, helper: MachineHelper) -> Iterator[str]:
    """The same pages over TLS, with the certificate that this machine would make."""
    certificates.renew(directory, "box", [], now=datetime.now(UTC))
    sources = Sources(node.owner_socket, tls=directory, textfiles=directory, alerts="http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                web_app(WebFace(Desk(accounts), Pages("box"), sources, helper)),
                ssl_certfile=directory / certificates.CERTIFICATE,
                ssl_keyfile=directory / certificates.KEY,
                lifespan="off",
                ws="none",
                log_config=None,
            )
        )

        async def serve() -> None:
            await server.serve([listening])
            await sources.close()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(60)


@pytest.fixture
def helper() -> Iterator[MachineHelper]:
    """The helper of a machine with a cable and a radio, whose doctor has found something."""
    # A Unix socket's path has at most 108 characters.
    with tempfile.TemporaryDirectory(prefix="m") as directory:
        machine = Machine(Path(directory))
        for name in ("eth0/device", "wlan0/device", "wlan0/wireless"):
            (machine.system.root / "sys/class/net" / name).mkdir(parents=True)
        said = "files.mode /var/lib/bpci/node: this would be done\n  - take the rights of everybody else away"
        record.write(machine.directory, "plan", record.begun("plan").ended(1, said))
        record.write(machine.directory, "support", record.begun("support"))
        machine.active = "activating"
        path = machine.system.path("/act.sock")
        with machine.listening(path):
            yield MachineHelper(path)


def test_a_person_signs_in_and_looks_around_by_keyboard(
    tmp_path: Path, accounts: Path, node: Any, helper: MachineHelper
) -> None:
    with face(tmp_path / "tls", accounts, node, helper) as url, chromium(tmp_path / "profile") as browser:
        # Trust in the authority is the person's; the pages are what is looked at here.
        browser.call("Security.setIgnoreCertificateErrors", ignore=True)
        browser.open(f"{url}/")
        assert browser.run("location.pathname") == "/sign-in"
        take_picture(browser, "web-sign-in.png", height=420)
        for text in ("ada", PASSWORD):
            browser.type(text)
            browser.press("Tab")
        browser.press("Enter")
        wait_for(browser, "document.title.startsWith('Dashboard')")
        assert browser.run("document.scripts.length") == 0
        assert browser.run("document.cookie") == "", "no script could read the session"
        for path in ("/", "/machine", "/log", "/accounts", "/password"):
            browser.open(f"{url}{path}")
            assert browser.run("document.querySelectorAll('h1').length") == 1
            assert browser.run(CONTRAST) == []
            assert [item for item in browser.run(NAMELESS) if 'type="hidden"' not in item] == []
            # As narrow as a page gets that is read at four times its size. Source: WCAG 2.2, 1.4.10.
            browser.call("Emulation.setDeviceMetricsOverride", width=320, height=600, deviceScaleFactor=1, mobile=False)
            assert browser.run("document.documentElement.scrollWidth <= innerWidth"), path
            browser.call("Emulation.clearDeviceMetricsOverride")
        browser.open(f"{url}/")
        take_picture(browser, "web-dashboard.png", height=1250)
        browser.open(f"{url}/machine")
        take_picture(browser, "web-machine.png", height=1500)
        # From where it leads to: a page that is only scrolled would keep the mark.
        for _ in range(2):
            browser.run("window.isOld = true; document.querySelector('a[href^=\"/machine?at=\"]').focus()")
            browser.press("Enter")
            wait_for(browser, "window.isOld === undefined && location.hash === '#support'")
        browser.open(f"{url}/")
        browser.run("document.querySelector('form[action=\"/actions/seal\"] button').focus()")
        browser.press("Enter")
        wait_for(browser, "document.body.textContent.includes('was sealed')")


def wait_for(browser: Browser, condition: str) -> None:
    end = time.monotonic() + 60
    while not browser.run(f"document.readyState === 'complete' && {condition}"):
        assert time.monotonic() < end, browser.run("document.body.textContent")
        time.sleep(0.1)


def take_picture(browser: Browser, name: str, *, height: int) -> None:
    """Draw a page for the documentation, where somebody has asked for that."""
    directory = os.environ.get("BPCI_PICTURES")
    if directory:
        browser.screenshot(Path(directory) / name, height=height)
