"""The console's pages in a browser."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bpci_tui.pages import KEYS
from bpci_tui.state import State
from bpci_tui.web import Pages, Server, _framed
from tests.unit.setup.simulated import SimulatedMachine

ROOT = Path(__file__).parents[3]


@pytest.fixture
def port(machine: SimulatedMachine) -> Iterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(listening, Pages(machine.system, machine.port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield int(listening.getsockname()[1])
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, path: str, role: str = "owner") -> tuple[int, str, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"X-Bpci-Role": role} if role else {})
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), dict(reply.getheaders())
    finally:
        connection.close()


def test_the_pages_show_what_the_console_shows(port: int, machine: SimulatedMachine) -> None:
    status, text, headers = ask(port, "/console/")
    assert status == 200
    assert f"http://192.0.2.7:{machine.port}" in text
    assert "does not answer" in text
    assert KEYS.strip() not in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Nothing wrong" in ask(port, "/console/doctor")[1] or "FAIL" in ask(port, "/console/doctor")[1]
    assert "The way out is 192.0.2.1." in ask(port, "/console/network?x=1", "operator")[1]


@pytest.mark.parametrize("role", ["", "viewer", "Owner"])
def test_only_owner_and_operator_see_it(port: int, role: str) -> None:
    status, text, _ = ask(port, "/console/", role)
    assert status == 403
    assert "192.0.2.7" not in text


@pytest.mark.parametrize("path", ["/", "/console", "/console/actions", "/console/../etc/passwd"])
def test_there_is_nothing_else(port: int, path: str) -> None:
    assert ask(port, path)[0] == 404


def test_what_a_node_says_can_not_become_markup_and_nothing_is_fetched_from_elsewhere() -> None:
    state = State("<script>x</script>", [], 8545, None, None, [])
    text = _framed("", "State", [state.hostname])
    assert "<script" not in text
    assert "//" not in text.replace("<!DOCTYPE", "")


def test_it_ends_when_nobody_asks(machine: SimulatedMachine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        Server(listening, Pages(machine.system, machine.port), idle_seconds=0.05).serve_while_asked()


def test_without_a_socket_handed_over_it_says_what_it_is_for() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bpci_node.cli.main", "console", "--serve"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "appliance")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "bpci-web-console.socket" in done.stderr
