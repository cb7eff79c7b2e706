import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bpci_node.host.result import Verdict
from bpci_node.primitives.record import save_record
from bpci_node.runtime.doctor.issue import Issue
from bpci_node.setup.answers import Answers
from bpci_node.setup.unattended import Teller, make_plan, set_up
from bpci_tui import console
from bpci_tui.console import FIRST_ACTION, SIGN_IN, Looker, run, run_plain
from bpci_tui.pages import ACTIONS, WIDTH, action_lines, doctor_lines, lines_of, network_lines
from bpci_tui.state import FIGURES, State, examine_machine, read_state, read_upkeep
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
    teller = Teller(lambda _line: None, lambda _phrase: None, lambda _key: None)
    done = set_up(machine.system, plan, answers.identity.phrase, teller, checks=CHECKS, **machine.run_options)
    text = "\n".join(lines_of(Looker(machine.system, machine.port).look(lines_of)))
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


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ([None, "x", "1", "s"], SIGN_IN),
        ([None, "S"], SIGN_IN),
        ([None, ""], 0),
        (["a", "9", "1"], FIRST_ACTION),
        (["A", str(len(ACTIONS))], FIRST_ACTION + len(ACTIONS) - 1),
        (["n", "1", "a", "a", "1", ""], 0),
    ],
    ids=["s", "S", "end", "first", "last", "elsewhere"],
)
def test_only_s_asks_for_a_login_and_only_numbers_of_its_page_for_an_action(
    machine: SimulatedMachine, keys: list[str | None], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = iter(keys)
    assert run(machine.system, port=machine.port, read_key=lambda _seconds: next(waiting)) == status
    assert capsys.readouterr().out.count("BPCI Community OS") == len(keys)


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("\x1b[As", "s"),
        ("\x1b[D\x1b[Ds", "s"),
        ("\x1bOAs", "s"),
        ("\x1b[15~s", "s"),
        ("\x1b[[As", "s"),
        ("\x1b[1;5Ds", "s"),
        ("\x1b", None),
        ("\x1bd", None),
    ],
    ids=["up", "left-twice", "up-in-application", "f5", "f1-of-linux", "ctrl-left", "escape", "alt"],
)
def test_arrows_and_function_keys_do_nothing(monkeypatch: pytest.MonkeyPatch, sent: str, key: str | None) -> None:
    ours, its = os.openpty()
    with os.fdopen(its) as terminal, os.fdopen(ours, "wb", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", terminal)
        with console._keys() as wait:
            keyboard.write(sent.encode())
            assert wait(20.0) == key


AUCTION = {
    "v": 1,
    "time_us": 41_000_000,
    "epoch": 4,
    "begins_us": 40_000_000,
    "ends_us": 50_000_000,
    "seat": 0,
    "committee": [{"account": "bpa1", "endpoints": []}] * 4,
    "targets": [{"target": "eip155:1"}],
    "chains": {"eip155:1": {"sequence": 12, "digest": "0x"}},
    "halt": None,
}


def _shown(**changes: object) -> str:
    pools = {"targets": {f"eip155:{number}": {"count": 1} for number in range(6)}}
    state = State(
        "attic", ["192.0.2.7", "2001:db8::7"], 8545, STATUS | pools, 3, [], auction=AUCTION | changes, earned=45_901
    )
    lines = lines_of(state)
    assert all(len(line) <= WIDTH for line in lines)
    assert len(lines) <= 22
    return "\n".join(lines)


def test_a_validator_shows_its_seat_its_windows_and_what_it_earned() -> None:
    text = _shown()
    assert "epoch 4, 9 s more, seat 0 of 4, coordinating" in text
    assert "eip155:1: 12 is final" in text
    assert "none yet" in _shown(chains={})
    assert "0.00045901 BPI with its seats" in text
    assert "no seat" in _shown(seat=None, committee=[])
    assert "epoch" not in "\n".join(lines_of(State("attic", [], 8545, STATUS, 3, [])))


def test_a_halt_of_the_auctions_is_said_while_it_lasts() -> None:
    assert "HALTED by the guardians" in _shown(halt={"from_us": 41_000_000, "until_us": None})
    assert "HALTED" not in _shown(halt={"from_us": 1, "until_us": 41_000_000})


class _Validator(BaseHTTPRequestHandler):
    """Answers what a validator's API answers."""

    def do_GET(self) -> None:
        value: object = {"ready": True, "obstacles": []}
        if self.path == "/v1/status":
            value = STATUS
        elif self.path == "/v1/auction":
            value = AUCTION
        elif self.path.startswith("/v1/ledger/state/0x"):
            key = bytes.fromhex(self.path.removeprefix("/v1/ledger/state/0x"))
            assert key == b"auction-earned/bpa1/BPI"
            record = {"v": 1, "total": 45_901, "parts": 1, "epoch": 4, "in_epoch": 45_901}
            value = {"v": 1, "value": "0x" + save_record(record).hex()}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_arguments: object) -> None:
        pass


def test_it_asks_a_validator_for_its_auctions_and_earnings(machine: SimulatedMachine) -> None:
    with serving(_Validator) as port:
        text = "\n".join(lines_of(read_state(machine.system, port)))
    assert "seat 0 of 4, coordinating" in text
    assert "0.00045901 BPI" in text


def issue(verdict: Verdict, what: str) -> Issue:
    return Issue("disk.full", verdict, "/", what, "means", "Make room.")


def test_the_number_of_issues_is_shown_and_d_shows_them_and_goes_back(
    machine: SimulatedMachine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (issue(Verdict.FAIL, "the disk is full"),)
    monkeypatch.setattr(console, "examine_machine", lambda _system, _status: found)
    waiting = iter(["d", "D", ""])
    assert run(machine.system, port=machine.port, read_key=lambda _seconds: next(waiting)) == 0
    first, second, third = capsys.readouterr().out.split("\x1b[H\x1b[J")[1:4]
    assert "1 thing to look at" in first
    assert "FAIL the disk is full." in second
    assert "Make room." in second
    assert "1 thing to look at" in third


def test_many_long_issues_leave_the_keys_on_the_screen() -> None:
    many = tuple(issue(Verdict.WARN, "x " * 100) for _ in range(20))
    state = State("attic", [], 8545, None, None, [], issues=many)
    lines = doctor_lines(state)
    assert len(lines) <= 22
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)
    assert "and more" in lines[-2]
    assert "D  back" in lines[-1]
    assert "Nothing wrong" in "\n".join(doctor_lines(State("attic", [], 8545, None, None, [])))


def test_a_validator_with_many_chains_leaves_the_doctor_on_the_screen() -> None:
    names = [f"eip155:{number}" for number in range(1, 7)]
    status = STATUS | {"targets": {name: {"count": 1} for name in names}}
    auction = {
        "epoch": 3,
        "seat": 1,
        "committee": ["a", "b"],
        "ends_us": 2_000_000,
        "time_us": 0,
        "targets": [{"target": name} for name in names],
        "chains": {},
    }
    found = (issue(Verdict.FAIL, "the disk is full"),)
    lines = lines_of(State("attic", ["192.0.2.7", "192.0.2.8"], 8545, status, 3, [], auction, 1, found))
    assert len(lines) <= 22
    assert "press D" in lines[-3]


def test_the_console_s_doctor_looks_at_the_machine_and_at_what_the_node_says(machine: SimulatedMachine) -> None:
    guard = {"state": "expired", "expires_ms": None, "reason": None, "failure": None}
    ledger = STATUS["ledger"] | {"lag": 0, "heard_ms": None, "stopped": None}  # type: ignore[operator]
    found = examine_machine(machine.system, STATUS | {"guard": guard, "ledger": ledger})
    assert "guard.expired" in {item.code for item in found}
    assert found[0].verdict is Verdict.FAIL
    assert "unit.stopped" in {item.code for item in examine_machine(machine.system, None)}


class _Babble(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[1, 2")

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def babble() -> Iterator[int]:
    with serving(_Babble) as port:
        yield port


def test_what_is_no_node_is_shown_as_none(machine: SimulatedMachine, babble: int) -> None:
    assert read_state(machine.system, babble).status is None
    assert socket.gethostname() == read_state(machine.system, babble).hostname


def test_every_action_of_the_page_is_one_that_the_command_knows() -> None:
    from bpci_node.cli.console_actions import ACTS

    assert list(ACTS) == [name for name, _ in ACTIONS]
    script = Path(__file__).parents[3] / "ansible/roles/console/files/usr/lib/bpci/console-tty"
    assert f"acts=({' '.join(ACTS)})" in script.read_text()


def test_every_page_fits_and_shows_the_address(machine: SimulatedMachine) -> None:
    state = State("attic", ["192.0.2.7", "2001:db8::7", "192.0.2.8"], 8545, None, None, [], network=("x " * 300,))
    for page in (lines_of, network_lines, action_lines):
        lines = page(state)
        assert len(lines) <= 22
        assert all(len(line) <= WIDTH for line in lines)
        assert "http://192.0.2.7:8545" in "\n".join(lines)


def test_the_network_page_says_what_is_wrong(machine: SimulatedMachine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.addresses = []
    waiting = iter(["n", ""])
    assert run(machine.system, port=machine.port, read_key=lambda _seconds: next(waiting)) == 0
    assert "gives no address" in capsys.readouterr().out.split("\x1b[H\x1b[J")[2]


def test_upkeep_is_shown_from_what_backups_updates_and_alerts_leave(machine: SimulatedMachine) -> None:
    assert read_upkeep(machine.system, alerts_port=machine.port) == ()
    machine.system.write(
        f"{FIGURES}/bpci_backup.prom",
        "# HELP x\nbpci_backup_last_success_timestamp_seconds 1000\nbpci_backup_failed 0\n",
    )
    machine.system.write(f"{FIGURES}/bpci_update.prom", "bpci_update_pending 1\nbpci_reboot_required 1\n")
    with serving(_Alerts) as port:
        found = read_upkeep(machine.system, alerts_port=port, now=1000 + 5 * 3600)
    assert found == ("2 alerts: 'bpci alerts list'", "backup 5 h ago", "an update waits", "a restart is due")
    machine.system.write(f"{FIGURES}/bpci_backup.prom", "bpci_backup_failed 1\n")
    assert read_upkeep(machine.system, alerts_port=machine.port)[0] == "BACKUP FAILED"
    assert "BACKUP FAILED; 2 alerts" in "\n".join(
        lines_of(State("attic", [], 8545, None, None, [], upkeep=("BACKUP FAILED", "2 alerts")))
    )


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["BpciWatchdog", "BpciAlertTest"], "no alerts"),
        (["BpciWatchdog", "BpciDiskFull"], "1 alert: 'bpci alerts list'"),
        ([], "alerts not watched yet"),
    ],
    ids=["well", "one", "starting"],
)
def test_what_always_fires_is_no_alert(
    machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch, names: list[str], told: str
) -> None:
    monkeypatch.setattr(_Alerts, "names", names)
    with serving(_Alerts) as port:
        assert read_upkeep(machine.system, alerts_port=port) == (told,)


class _Alerts(BaseHTTPRequestHandler):
    """Answers where Alertmanager answers behind the prefix that its unit gives it."""

    names = ("BpciWatchdog", "BpciDiskFull", "BpciUnitFailed")

    def do_GET(self) -> None:
        is_there = self.path.startswith("/alerts/api/v2/alerts?active=true")
        self.send_response(200 if is_there else 404)
        self.end_headers()
        found = [{"labels": {"alertname": name}} for name in self.names]
        self.wfile.write(json.dumps(found).encode() if is_there else b"404 page not found")

    def log_message(self, *_arguments: object) -> None:
        pass


def test_the_plain_console_draws_nothing_and_takes_letters(machine: SimulatedMachine) -> None:
    said: list[str] = []
    waiting = iter(["", "n", "a", "3"])
    status = run_plain(machine.system, port=machine.port, read=lambda _prompt: next(waiting), say=said.append)
    assert status == FIRST_ACTION + 2
    text = "\n".join(said)
    assert "\x1b" not in text
    assert text.count("does not answer") == 2
    assert "3  Change addresses or Wi-Fi, with a trial" in text

    def ends(_prompt: str) -> str:
        raise EOFError

    assert run_plain(machine.system, port=machine.port, read=ends, say=said.append) == 0
