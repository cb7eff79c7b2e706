import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bpci_node.setup.answers import Answers
from bpci_node.setup.unattended import Teller, make_plan, set_up
from bpci_tui.console import SIGN_IN, WIDTH, State, lines_of, read_state, run
from tests.unit.setup.conftest import CHECKS
from tests.unit.setup.simulated import SimulatedMachine

STATUS = {
    "v": 1,
    "version": "0.1.0",
    "node": {"did": "did:key:z6Mk", "account": "bpa1", "name": "Attic", "type": "hybrid", "registered": True},
    "ledger": {"id": "devnet:" + "ab" * 32, "mode": "embedded", "height": 7, "root": "0x"},
    "targets": {"eip155:1": {"count": 1160}},
}


def test_it_shows_a_running_node(machine: SimulatedMachine, answers: Answers) -> None:
    plan = make_plan(machine.system, answers, lambda _name: b"")
    teller = Teller(lambda _line: None, lambda _phrase: None)
    done = set_up(machine.system, plan, answers.identity.phrase, teller, checks=CHECKS, **machine.run_options)
    text = "\n".join(lines_of(read_state(machine.system, machine.port)))
    for part in ("Attic (hybrid)", "ready", done["did"], "home (embedded)", "eip155:1: 0 entries", "0 sealed"):
        assert part in text
    assert f"http://192.0.2.7:{machine.port}" in text


@pytest.fixture
def answers() -> Answers:
    from bpci_node.setup.answers_file import from_document
    from tests.unit.setup.conftest import PASSWORD, PHRASE

    return from_document(
        {
            "v": 1,
            "owner": {"password": PASSWORD},
            "identity": {"mode": "restore", "phrase": PHRASE},
            "node": {"name": "Attic", "type": "hybrid", "hardware_profile": "dev"},
            "join": {"mode": "devnet", "name": "home"},
        },
        source="a",
    )


def test_a_node_that_does_not_answer_says_where_to_look(machine: SimulatedMachine) -> None:
    state = read_state(machine.system, machine.port)
    assert state.status is None
    assert any("journalctl -u bpci-node" in line for line in lines_of(state))


def test_a_node_that_is_not_ready_or_not_registered_says_so() -> None:
    status = STATUS | {"node": STATUS["node"] | {"registered": False}}  # type: ignore[operator]
    text = "\n".join(lines_of(State("attic", [], 8545, status, None, ["the disk is full"])))
    assert "NOT READY: the disk is full" in text
    assert "NO: signed in" in text
    assert "no network address" in text


def test_nothing_that_the_node_says_moves_the_cursor_or_breaks_a_line() -> None:
    status = STATUS | {"node": STATUS["node"] | {"name": "\x1b[2J" + "x" * 200}}  # type: ignore[operator]
    lines = lines_of(State("attic", ["192.0.2.7", "2001:db8::7"], 8545, status, 3, []))
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)
    assert len(lines) <= 22
    assert "http://[2001:db8::7]:8545" in "\n".join(lines)


@pytest.mark.parametrize(("keys", "status"), [([None, "x", "s"], SIGN_IN), ([None, "S"], SIGN_IN), ([None, ""], 0)])
def test_only_s_asks_for_a_login(
    machine: SimulatedMachine, keys: list[str | None], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = iter(keys)
    assert run(machine.system, port=machine.port, read_key=lambda _seconds: next(waiting)) == status
    assert capsys.readouterr().out.count("BPCI Community OS") == len(keys)


class _Babble(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[1, 2")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def babble() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Babble)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_no_node_is_shown_as_none(machine: SimulatedMachine, babble: int) -> None:
    assert read_state(machine.system, babble).status is None
    assert socket.gethostname() == read_state(machine.system, babble).hostname
